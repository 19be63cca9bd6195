"""Circ: the derivative of x / √(1 + x²), tails like 1/|x|³."""

import dataclasses
import math
from typing import Self

from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["Circ"]

_HALF = math.sqrt(2.0 ** (2.0 / 3.0) - 1.0)


@dataclasses.dataclass(frozen=True)
class Circ(AbstractSurrogate):
    """h(x) = scale / (1 + (x / alpha)²)^(3/2), with x = v - v_th.

    Height scale, half width 0.7664 alpha, area 2 scale alpha.

    Args:
        alpha: distance over which it falls to 0.354 of its height, > 0.
        scale: height, > 0.

    Used by: Norse (method "circ").
    Source: Norse 1.1.0, tf/threshold.py, CircDist.

    Example:
        >>> import torch
        >>> Circ(alpha=0.5).derivative(torch.tensor([0.0, 0.5]))
        tensor([1.0000, 0.3536])
    """

    alpha: float = 0.5
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return _HALF * self.alpha

    @property
    def area(self) -> float:
        return 2.0 * self.scale * self.alpha

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(alpha=positive("width", width) / _HALF, scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale * (1.0 + (x / self.alpha).square()).pow(-1.5)

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.scale * x * (1.0 + (x / self.alpha).square()).rsqrt()
