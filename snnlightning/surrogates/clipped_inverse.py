"""ClippedInverse: one over the distance to threshold, clipped."""

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["ClippedInverse"]


@dataclasses.dataclass(frozen=True)
class ClippedInverse(AbstractSurrogate):
    """h(x) = scale min(alpha, 1 / |x|), with x = v - v_th.

    The difference quotient of the step between 0 and x, clipped. Height scale alpha, half width 2 / alpha; infinite area.

    Args:
        alpha: where it is clipped, > 0.
        scale: factor, > 0.

    Used by: SpikingJelly (FakeNumericalGradient).
    Source: SpikingJelly 2.0.0, surrogate.FakeNumericalGradient; differs: alpha 1 there is 0.3, and both are free here.

    Example:
        >>> import torch
        >>> ClippedInverse(alpha=2.0).derivative(torch.tensor([0.0, 0.5, 1.0, 4.0]))
        tensor([2.0000, 2.0000, 1.0000, 0.2500])
    """

    alpha: float = 0.3
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale * self.alpha

    @property
    def width(self) -> float:
        return 2.0 / self.alpha

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(alpha=2.0 / positive("width", width), scale=height * width / 2.0)

    def derivative(self, x: Tensor) -> Tensor:
        return self.height / (self.alpha * x.abs()).clamp_min(1.0)

    def soft(self, x: Tensor) -> Tensor:
        y = self.alpha * x
        return 0.5 + self.scale * (torch.clamp(y, -1.0, 1.0) + torch.sign(y) * torch.log(y.abs().clamp_min(1.0)))
