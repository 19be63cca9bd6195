"""Current injection: every input drives a leaky neuron with a constant current."""

import dataclasses
import math

import torch
from torch import Tensor

from ..units import decay_from_tau
from .abstract import AbstractEncoder, in_range

__all__ = ["CurrentInjection"]


@dataclasses.dataclass(frozen=True)
class CurrentInjection(AbstractEncoder):
    """v[n+1] = (decay v[n] + (1 - decay) gain x)(1 - s[n]), s[n] = v[n] > 1, v[0] = 0, decay = exp(-dt / tau).

    A regular train: none for gain x <= 1, first at step floor(ln(1 - 1 / (gain x)) / ln decay) + 1, faster the brighter, up to
    every second step.

    Args:
        steps: number of time steps T, >= 1.
        gain: current at x = 1, in thresholds, > 0.
        tau_mem_ms: time constant, > 0.
        dt_ms: length of a time step, > 0.

    Raises:
        ConfigurationError: a parameter out of range.

    Source: stork's constant-current input; the encoding neurons of SpyTorch tutorial 5.

    Example:
        >>> CurrentInjection(steps=20)(torch.tensor([[1.0, 0.4]])).nonzero()[:, 1:]  # gain 2: at 7, then every 8 steps
        tensor([[ 7,  0],
                [15,  0]])
    """

    gain: float = 2.0
    tau_mem_ms: float = 10.0
    dt_ms: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("gain", "tau_mem_ms", "dt_ms"):
            in_range(self, name, 0.0, math.inf, "(0, inf)")

    def encode(self, x: Tensor, first: int) -> Tensor:
        """The loop of the formula, in float64."""
        decay = decay_from_tau(self.tau_mem_ms, self.dt_ms)
        current = (1.0 - decay) * self.gain * x.double()
        v, spikes = torch.zeros_like(current), []
        for _ in range(self.steps):
            s = v > 1.0
            spikes.append(s.float())
            v = torch.where(s, 0.0, decay * v + current)
        return torch.stack(spikes, dim=1)
