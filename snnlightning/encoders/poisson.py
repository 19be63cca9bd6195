"""Poisson code: spikes at a rate in Hz, however long a time step is."""

import dataclasses
import math

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ._random import uniform
from .abstract import AbstractEncoder, in_range

__all__ = ["Poisson"]


@dataclasses.dataclass(frozen=True)
class Poisson(AbstractEncoder):
    """k ~ Poisson(mu), mu = x max_rate_hz dt_ms / 1000, spikes in a step, independently in every step.

    Several spikes in a step are possible, so rates are right at any step length. The draw is a pure function of (seed, number of the
    sample in its data set, step, channel), as that of :class:`snnlightning.encoders.Rate`.

    Args:
        steps: number of time steps T, >= 1.
        max_rate_hz: rate at x = 1, > 0.
        dt_ms: length of a time step in ms, > 0; with the rate at most 20 expected spikes in a step.
        seed: whole number in [0, 2**63).

    Raises:
        ConfigurationError: a parameter out of range.

    Source: textbook; F. Zenke, SpyTorch tutorial 1 draws its input so, at 5 Hz, with one spike per step at most.

    Example:
        >>> spikes = Poisson(steps=1000, max_rate_hz=50.0)(torch.tensor([[0.0, 0.5, 1.0]]))
        >>> spikes.sum(dim=1)  # 1 s: 0, 25 and 50 are expected
        tensor([[ 0., 22., 44.]])
    """

    max_rate_hz: float = 100.0
    dt_ms: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "max_rate_hz", 0.0, math.inf, "(0, inf)")
        in_range(self, "dt_ms", 0.0, math.inf, "(0, inf)")
        in_range(self, "seed", 0, 2**63, "[0, 2**63)")
        if not isinstance(self.seed, int):
            raise ConfigurationError(f"Poisson(seed={self.seed!r}): a whole number is expected.")
        if self.max_rate_hz * self.dt_ms > 20_000.0:
            raise ConfigurationError(
                f"Poisson has {self.max_rate_hz:g} Hz in steps of {self.dt_ms:g} ms: more than 20 spikes in a step; use shorter steps."
            )

    def encode(self, x: Tensor, first: int) -> Tensor:
        """By inversion: the number of k whose cumulative probability the uniform number has passed."""
        samples, channels = x.shape
        counter = torch.arange(samples * self.steps * channels, device=x.device).view(samples, self.steps, channels)
        drawn = uniform(counter + first * self.steps * channels, self.seed).double()
        mean = (x.double() * (self.max_rate_hz * self.dt_ms / 1000.0)).unsqueeze(1)
        probability = torch.exp(-mean)
        below, spikes, k = probability, torch.zeros_like(drawn), 0
        while bool((passed := drawn >= below).any()) and k < _MOST:
            spikes += passed
            k += 1
            probability = probability * mean / k
            below = below + probability
        return spikes.float()


_MOST = 100
"""At 20 expected, more than 100 spikes never come; the cumulative sum may stay a rounding below the largest uniform number."""
