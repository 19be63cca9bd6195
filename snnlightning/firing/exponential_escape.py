"""ExponentialEscape: spikes at a rate that grows exponentially with the potential."""

import dataclasses
import math

import torch
from torch import Tensor

from .abstract import AbstractEscape

__all__ = ["ExponentialEscape"]

_LARGEST = 80.0
"""exp of it is a number in single precision; p is 1 long before."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExponentialEscape(AbstractEscape):
    """S ~ Bernoulli(p), p(x) = 1 - exp(-rate dt), rate(x) = rate_hz exp(x / width).

    The chance of at least one event of a Poisson process of this rate within a step, so that finer steps say the same of the
    same time.

    Args:
        rate_hz: rate at threshold in Hz, > 0.
        width: > 0, in the unit of v: by how much v must rise for e times the rate.
        dt_ms: time step in ms, > 0; that of the neuron.
        surrogate: as :class:`AbstractEscape` has it.

    Gradient: p' = (1 - p) rate dt / width, or that of ``surrogate``; d log-likelihood / dx = (S / p - 1) rate dt / width.
    Source: Pfister, Toyoizumi, Barber & Gerstner 2006; the defaults are stork's (0.01 per step of 1 ms at threshold, 0.133).

    Example:
        >>> firing = ExponentialEscape(rate_hz=100.0, width=0.2)
        >>> [round(p, 4) for p in firing.probability(torch.tensor([-1.0, 0.0, 1.0])).tolist()]
        [0.0007, 0.0952, 1.0]
    """

    rate_hz: float = 10.0
    width: float = 0.133
    dt_ms: float = 1.0

    def __post_init__(self) -> None:
        self._positive("rate_hz", "width", "dt_ms")

    def probability(self, x: Tensor) -> Tensor:
        return -torch.expm1(-self._log_expected(x).exp())

    def log_likelihood(self, x: Tensor, spikes: Tensor) -> Tensor:
        """S log p - (1 - S) rate dt, elementwise; the same shape as x."""
        log_expected = self._log_expected(x)
        expected = log_expected.exp()
        # log p = log(rate dt) where p is so small that it is rate dt; where() keeps the other branch's gradient a number
        small = log_expected < -30.0
        log_p = torch.where(small, log_expected, torch.log(-torch.expm1(-torch.where(small, 1.0, expected))))
        return spikes * log_p - (1.0 - spikes) * expected

    def _log_expected(self, x: Tensor) -> Tensor:
        """log(rate dt)."""
        return (x / self.width + math.log(self.rate_hz * self.dt_ms / 1000.0)).clamp_max(_LARGEST)
