"""Boxcar: constant near threshold, zero beyond."""

import dataclasses
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["Boxcar"]


@dataclasses.dataclass(frozen=True)
class Boxcar(AbstractSurrogate):
    """h(x) = scale for -half_width < x <= half_width, else 0, with x = v - v_th.

    Height scale, half width half_width, area 2 scale half_width.

    Args:
        half_width: where it ends, > 0.
        scale: height, > 0.

    Used by: sparch, DECOLLE, SpikingJelly (Rect), Spyx; wider than any potential it is the straight-through estimator.
    Source: Kaiser, Mostafa & Neftci 2020 (DECOLLE) and Bittar & Garner 2022 with half_width 0.5.

    Example:
        >>> import torch
        >>> Boxcar().derivative(torch.tensor([-0.5, 0.0, 0.5, 0.6]))
        tensor([0., 1., 1., 0.])
    """

    half_width: float = 0.5
    scale: float = 1.0

    jumps: ClassVar[bool] = True

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return self.half_width

    @property
    def area(self) -> float:
        return 2.0 * self.scale * self.half_width

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(half_width=positive("width", width), scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        inside = (x > -self.half_width) & (x <= self.half_width)
        return torch.where(x.isnan(), x, self.scale * inside.to(x.dtype))

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.scale * torch.clamp(x, -self.half_width, self.half_width)
