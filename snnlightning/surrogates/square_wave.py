"""SquareWave: the first terms of a square wave's Fourier series; it oscillates."""

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

__all__ = ["SquareWave"]


@functools.cache
def _half_width(terms: int) -> float:
    """In periods: the sum is sin(2 terms theta) / (2 sin theta), which falls from terms to 0 before theta = pi / (2 terms)."""
    end = math.pi / (2.0 * terms)
    root = crossing(lambda theta: math.sin(2.0 * terms * theta) - terms * math.sin(theta), 1e-3 * end, end)
    return root / (2.0 * math.pi)


@dataclasses.dataclass(frozen=True)
class SquareWave(AbstractSurrogate):
    """h(x) = scale (4 / period) sum_k cos(2 pi (2k - 1) x / period), k = 1 ... terms, with x = v - v_th.

    Height 4 scale terms / period, half width of the lobe at threshold (by bisection). It never dies away and is negative for half
    of its period, so it has no area.

    Args:
        terms: how many terms, a whole number >= 1.
        period: of the wave, > 0, in the unit of v.
        scale: factor, > 0.

    Used by: SpikingJelly, braintools (SquarewaveFourierSeries).
    Source: SpikingJelly 2.0.0, surrogate.SquarewaveFourierSeries with n = 2, T = 8.

    Example:
        >>> import torch
        >>> SquareWave().derivative(torch.tensor([0.0, 0.5, 4.0]))
        tensor([ 1.0000,  0.6533, -1.0000])
    """

    terms: int = 2
    period: float = 8.0
    scale: float = 1.0

    signed: ClassVar[bool] = True
    falls: ClassVar[bool] = False

    @property
    def height(self) -> float:
        return 4.0 * self.scale * self.terms / self.period

    @property
    def width(self) -> float:
        return self.period * _half_width(self.terms)

    @property
    def area(self) -> float:
        return math.nan

    @classmethod
    def from_height_width(cls, height: float, width: float, *, terms: int = 2) -> Self:
        period = positive("width", width) / _half_width(cls(terms=terms).terms)
        return cls(terms=terms, period=period, scale=height * period / (4.0 * terms))

    def derivative(self, x: Tensor) -> Tensor:
        waves = [torch.cos(frequency * x) for frequency in self._frequencies]
        return 4.0 * self.scale / self.period * torch.stack(waves).sum(dim=0)

    def soft(self, x: Tensor) -> Tensor:
        waves = [torch.sin(frequency * x) / frequency for frequency in self._frequencies]
        return 0.5 + 4.0 * self.scale / self.period * torch.stack(waves).sum(dim=0)

    @property
    def _frequencies(self) -> list[float]:
        return [2.0 * math.pi * (2 * k + 1) / self.period for k in range(self.terms)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not positive("SquareWave.terms", self.terms).is_integer():
            raise ConfigurationError(f"SquareWave.terms is {self.terms}; a whole number is expected.")
        object.__setattr__(self, "terms", int(self.terms))
