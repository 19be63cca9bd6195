"""Gaussian: a normal density around threshold."""

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["Gaussian"]

_HALF = math.sqrt(2.0 * math.log(2.0))


@dataclasses.dataclass(frozen=True)
class Gaussian(AbstractSurrogate):
    """h(x) = scale N(x; 0, sigma) = scale exp(-x² / (2 sigma²)) / (sigma √(2 pi)), with x = v - v_th.

    Height scale / (sigma √(2 pi)), half width 1.1774 sigma, area scale.

    Args:
        sigma: standard deviation, > 0 (Yin et al.: 0.5).
        scale: area, > 0.

    Used by: sinabs, SpikingJelly and braintools (Erf), Norse (heavi_erfc).
    Source: Yin, Corradi & Bohté 2021, the central lobe of their multi-Gaussian.

    Example:
        >>> import torch
        >>> Gaussian(sigma=0.5).derivative(torch.tensor([0.0, 0.5]))
        tensor([0.7979, 0.4839])
    """

    sigma: float = 0.5
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale / (self.sigma * math.sqrt(2.0 * math.pi))

    @property
    def width(self) -> float:
        return _HALF * self.sigma

    @property
    def area(self) -> float:
        return self.scale

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        sigma = positive("width", width) / _HALF
        return cls(sigma=sigma, scale=height * sigma * math.sqrt(2.0 * math.pi))

    def derivative(self, x: Tensor) -> Tensor:
        return self.height * torch.exp(-0.5 * (x / self.sigma).square())

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + 0.5 * self.scale * torch.erf(x / (self.sigma * math.sqrt(2.0)))
