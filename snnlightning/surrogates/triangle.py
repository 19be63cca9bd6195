"""Triangle: a linear ramp down on both sides of threshold, zero beyond."""

import dataclasses
from typing import Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["Triangle"]


@dataclasses.dataclass(frozen=True)
class Triangle(AbstractSurrogate):
    """h(x) = gamma max(0, 1 - slope |x|), with x = v - v_th.

    Height gamma, half width 1 / (2 slope), area gamma / slope; zero from |x| = 1 / slope on, so that the backward pass
    may skip neurons far from threshold, and a network that is silent at the start gets no gradient at all.

    Args:
        gamma: height at threshold, > 0 (LSNN: 0.3).
        slope: one over half the base, > 0.

    Used by: LSNN and e-prop, stork (EsserSpike), Norse, Spyx, SpikingJelly (PiecewiseQuadratic).
    Source: Esser et al. 2016; Bellec et al. 2018 with gamma = 0.3.

    Example:
        >>> import torch
        >>> Triangle(gamma=1.0).derivative(torch.tensor([0.0, 0.5, 2.0]))
        tensor([1.0000, 0.5000, 0.0000])
    """

    gamma: float = 0.3
    slope: float = 1.0

    @property
    def height(self) -> float:
        return self.gamma

    @property
    def width(self) -> float:
        return 0.5 / self.slope

    @property
    def area(self) -> float:
        return self.gamma / self.slope

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(gamma=height, slope=0.5 / positive("width", width))

    def derivative(self, x: Tensor) -> Tensor:
        return self.gamma * (1.0 - self.slope * x.abs()).clamp_min(0.0)

    def soft(self, x: Tensor) -> Tensor:
        u = torch.clamp(x, -1.0 / self.slope, 1.0 / self.slope)
        return 0.5 + self.gamma * (u - 0.5 * self.slope * u * u.abs())
