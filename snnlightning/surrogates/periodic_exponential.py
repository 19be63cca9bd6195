"""PeriodicExponential: an exponential at threshold and again at every multiple above it."""

import dataclasses
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate, Side

__all__ = ["PeriodicExponential"]


@dataclasses.dataclass(frozen=True)
class PeriodicExponential(AbstractSurrogate):
    """h(x) = scale exp(-alpha |x|) for x < 0, scale exp(-alpha |x - k period|), k = round(x / period), for x >= 0.

    With x = v - v_th. Height scale, half width ln 2 / alpha (below threshold); infinite area. With period = v_th and reset by
    subtraction, a neuron that is k thresholds above gets the same gradient as one at threshold: it has k more spikes to lose.

    Args:
        alpha: steepness, > 0.
        period: distance of the peaks, > 0, in the unit of v; the threshold in both sources.
        scale: height, > 0.

    Used by: sinabs, Rockpool (PeriodicExponential).
    Source: Weidel & Sheik 2021 (WaveSense). Differs: the step here gives one spike at most, there several.

    Example:
        >>> import torch
        >>> PeriodicExponential().derivative(torch.tensor([-0.5, 0.0, 0.5, 1.0]))
        tensor([0.3679, 1.0000, 0.3679, 1.0000])
    """

    alpha: float = 2.0
    period: float = 1.0
    scale: float = 1.0

    side: ClassVar[Side] = "below"

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return math.log(2.0) / self.alpha

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float, *, period: float = 1.0) -> Self:
        return cls(alpha=math.log(2.0) / positive("width", width), period=period, scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale * torch.exp(-self.alpha * self._from_peak(x).abs())

    def soft(self, x: Tensor) -> Tensor:
        r = self._from_peak(x)
        within = -torch.sign(r) * torch.expm1(-self.alpha * r.abs())
        passed = -2.0 * math.expm1(-0.5 * self.alpha * self.period) * self._peaks(x)
        return 0.5 + self.scale / self.alpha * (passed + within)

    def _peaks(self, x: Tensor) -> Tensor:
        """k, without gradient."""
        return torch.floor(x.detach().clamp_min(0.0) / self.period + 0.5)

    def _from_peak(self, x: Tensor) -> Tensor:
        return x - self.period * self._peaks(x)
