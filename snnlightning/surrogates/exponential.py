"""Exponential: falls by the same factor with every step away from threshold; SLAYER's."""

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["Exponential"]


@dataclasses.dataclass(frozen=True)
class Exponential(AbstractSurrogate):
    """h(x) = scale (alpha / 2) exp(-alpha |x|), with x = v - v_th.

    Height scale alpha / 2, half width ln 2 / alpha, area scale.

    Args:
        alpha: steepness, > 0.
        scale: area, > 0 (SE-adLIF: 0.4 with alpha 5).

    Used by: SLAYER and lava-dl (alpha = 1 / tau_rho), SpikingJelly (PiecewiseExp), sinabs (SingleExponential), SE-adLIF.
    Source: Shrestha & Orchard 2018 (SLAYER); Baronig et al. 2024 for the default.

    Example:
        >>> import torch
        >>> Exponential(alpha=5.0, scale=0.4).derivative(torch.tensor([0.0, 0.1]))
        tensor([1.0000, 0.6065])
    """

    alpha: float = 5.0
    scale: float = 0.4

    @property
    def height(self) -> float:
        return self.scale * self.alpha / 2.0

    @property
    def width(self) -> float:
        return math.log(2.0) / self.alpha

    @property
    def area(self) -> float:
        return self.scale

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        alpha = math.log(2.0) / positive("width", width)
        return cls(alpha=alpha, scale=2.0 * height * width / math.log(2.0))

    def derivative(self, x: Tensor) -> Tensor:
        return self.height * torch.exp(-self.alpha * x.abs())

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 - 0.5 * self.scale * torch.sign(x) * torch.expm1(-self.alpha * x.abs())
