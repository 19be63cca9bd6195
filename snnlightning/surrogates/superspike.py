"""SuperSpike: the fast sigmoid's derivative, heavy tails on both sides of threshold."""

import dataclasses
import math
from typing import Self

from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["SuperSpike"]


@dataclasses.dataclass(frozen=True)
class SuperSpike(AbstractSurrogate):
    """h(x) = scale / (slope |x| + 1)², with x = v - v_th.

    Height ``scale``, half width (√2 - 1) / slope, area 2 scale / slope.

    Args:
        slope: steepness, > 0 (beta of the paper; SpyTorch uses 100, stork 20, Zenke & Vogels 10).
        scale: height at threshold, > 0. ``scale=slope`` is the "asymptotic" form that harms training when the reset is
            attached.

    Used by: SpyTorch, stork, snnTorch (fast_sigmoid), Norse, SpikingJelly (SuperSpike, SoftSign), Spyx, braintools.
    Source: Zenke & Ganguli 2018; Neftci, Mostafa & Zenke 2019, Fig. 3.

    Example:
        >>> import torch
        >>> SuperSpike(slope=10.0).derivative(torch.tensor([0.0, 0.1]))
        tensor([1.0000, 0.2500])
    """

    slope: float = 10.0
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return (math.sqrt(2.0) - 1.0) / self.slope

    @property
    def area(self) -> float:
        return 2.0 * self.scale / self.slope

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(slope=(math.sqrt(2.0) - 1.0) / positive("width", width), scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale / (self.slope * x.abs() + 1.0).square()

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.scale * x / (1.0 + self.slope * x.abs())
