"""SignLog: tails like 1/x, heavier than any other family's."""

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["SignLog"]


@dataclasses.dataclass(frozen=True)
class SignLog(AbstractSurrogate):
    """h(x) = scale alpha / (1 + alpha |x|), with x = v - v_th.

    Height scale alpha, half width 1 / alpha; the area is infinite, so neurons arbitrarily far from threshold matter together.

    Args:
        alpha: steepness, > 0.
        scale: factor, > 0.

    Used by: SpikingJelly (NonzeroSignLogAbs), braintools (NonzeroSignLog).
    Source: SpikingJelly 2.0.0, surrogate.NonzeroSignLogAbs with alpha = 1.

    Example:
        >>> import torch
        >>> SignLog().derivative(torch.tensor([0.0, 1.0, 3.0]))
        tensor([1.0000, 0.5000, 0.2500])
    """

    alpha: float = 1.0
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale * self.alpha

    @property
    def width(self) -> float:
        return 1.0 / self.alpha

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(alpha=1.0 / positive("width", width), scale=height * width)

    def derivative(self, x: Tensor) -> Tensor:
        return self.height / (1.0 + self.alpha * x.abs())

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.scale * torch.sign(x) * torch.log1p(self.alpha * x.abs())
