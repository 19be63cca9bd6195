"""MultiGaussian: a Gaussian with two wide negative lobes beside it."""

import dataclasses
import functools
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive
from ._crossing import crossing
from .abstract import AbstractSurrogate

__all__ = ["MultiGaussian"]


def _unit(y: float, share: float, spread: float) -> float:
    """h for sigma = scale = 1."""
    lobes = sum(math.exp(-0.5 * ((y + centre) / spread) ** 2) for centre in (1.0, -1.0))
    return ((1.0 + share) * math.exp(-0.5 * y * y) - share / spread * lobes) / math.sqrt(2.0 * math.pi)


@functools.cache
def _half_width(share: float, spread: float) -> float:
    half = 0.5 * _unit(0.0, share, spread)
    return crossing(lambda y: _unit(y, share, spread) - half, 0.0, 2.0)


@dataclasses.dataclass(frozen=True)
class MultiGaussian(AbstractSurrogate):
    """h(x) = scale ((1 + share) N(x; 0, sigma) - share N(x; sigma, spread sigma) - share N(x; -sigma, spread sigma)).

    With x = v - v_th. Height and half width of the sum (the width by bisection), area scale (1 - share). Far from threshold
    h is negative: a neuron there is pushed away from spiking by what would pull one near threshold towards it.

    Args:
        sigma: standard deviation of the central lobe, > 0 (paper: 0.5).
        share: weight of the lobes beside it, in (0, 1) (paper: 0.15).
        spread: how many times wider those are, > 1 (paper: 6).
        scale: factor, > 0 (paper: 0.5).

    Used by: Yin et al. (ALIF networks), sinabs, braintools.
    Source: Yin, Corradi & Bohté 2021, with the values of their code.

    Example:
        >>> import torch
        >>> MultiGaussian().derivative(torch.tensor([0.0, 0.5, 1.5]))
        tensor([ 0.4391,  0.2589, -0.0123])
    """

    sigma: float = 0.5
    share: float = 0.15
    spread: float = 6.0
    scale: float = 0.5

    signed: ClassVar[bool] = True
    falls: ClassVar[bool] = False

    @property
    def height(self) -> float:
        return self.scale / self.sigma * _unit(0.0, self.share, self.spread)

    @property
    def width(self) -> float:
        return self.sigma * _half_width(self.share, self.spread)

    @property
    def area(self) -> float:
        return self.scale * (1.0 - self.share)

    @classmethod
    def from_height_width(cls, height: float, width: float, *, share: float = 0.15, spread: float = 6.0) -> Self:
        share, spread = cls(share=share, spread=spread)._shape
        sigma = positive("width", width) / _half_width(share, spread)
        return cls(sigma=sigma, share=share, spread=spread, scale=height * sigma / _unit(0.0, share, spread))

    @property
    def _shape(self) -> tuple[float, float]:
        return self.share, self.spread

    def derivative(self, x: Tensor) -> Tensor:
        y = x / self.sigma
        centre = (1.0 + self.share) * torch.exp(-0.5 * y.square())
        right = torch.exp(-0.5 * ((y - 1.0) / self.spread).square())
        left = torch.exp(-0.5 * ((y + 1.0) / self.spread).square())
        density = self.scale / (self.sigma * math.sqrt(2.0 * math.pi))
        return density * (centre - self.share / self.spread * (right + left))

    def soft(self, x: Tensor) -> Tensor:
        y = x / (self.sigma * math.sqrt(2.0))
        lobe = math.sqrt(0.5)
        lobes = torch.erf((y - lobe) / self.spread) + torch.erf((y + lobe) / self.spread)
        return 0.5 + 0.5 * self.scale * ((1.0 + self.share) * torch.erf(y) - self.share * lobes)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.share < 1.0:
            raise ConfigurationError(f"MultiGaussian.share is {self.share}; a number in (0, 1) is expected.")
        if not self.spread > 1.0:
            raise ConfigurationError(f"MultiGaussian.spread is {self.spread}; a number greater than 1 is expected.")
