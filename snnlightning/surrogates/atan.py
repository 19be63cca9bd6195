"""ATan: the derivative of the arc tangent, tails like 1/x²."""

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["ATan"]


@dataclasses.dataclass(frozen=True)
class ATan(AbstractSurrogate):
    """h(x) = scale (alpha / 2) / (1 + (pi alpha x / 2)²), with x = v - v_th.

    Height scale alpha / 2, half width 2 / (pi alpha), area scale.

    Args:
        alpha: steepness, > 0 (Fang: 2; learned-delay networks: 5).
        scale: factor, > 0; with 1 the area is 1, so height and width are tied.

    Used by: PLIF and SpikingJelly, snnTorch, DCLS delays, Spyx.
    Source: Fang et al. 2021 (PLIF).

    Example:
        >>> import torch
        >>> ATan(alpha=5.0).derivative(torch.tensor([0.0, 0.1]))
        tensor([2.5000, 1.5462])
    """

    alpha: float = 2.0
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale * self.alpha / 2.0

    @property
    def width(self) -> float:
        return 2.0 / (math.pi * self.alpha)

    @property
    def area(self) -> float:
        return self.scale

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        alpha = 2.0 / (math.pi * positive("width", width))
        return cls(alpha=alpha, scale=height * math.pi * width)

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale * self.alpha / 2.0 / (1.0 + (math.pi / 2.0 * self.alpha * x).square())

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.scale / math.pi * torch.atan(math.pi / 2.0 * self.alpha * x)
