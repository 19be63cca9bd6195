"""Latency code: the brighter, the earlier."""

import dataclasses
import math

import torch
from torch import Tensor

from .abstract import AbstractEncoder, in_range, scatter_spikes

__all__ = ["Latency"]


@dataclasses.dataclass(frozen=True)
class Latency(AbstractEncoder):
    """t = tau ln(x / (x - threshold)) steps for x > threshold, one spike in step floor(t); none else, none if t >= T.

    It is the time at which a leaky integrator with constant input x reaches the threshold.

    Args:
        steps: number of time steps T, >= 1.
        tau_steps: time constant of the integrator in steps, > 0.
        threshold: intensity at and below which nothing fires, in (0, 1).

    Raises:
        ConfigurationError: a parameter out of range.

    Source: F. Zenke, SpyTorch tutorial 2, current to firing time (tau 20 steps, threshold 0.2).

    Example:
        >>> Latency().spike_times(torch.tensor([[1.0, 0.5, 0.2]], dtype=torch.float64))
        tensor([[ 4.4629, 10.2165,     inf]], dtype=torch.float64)
    """

    tau_steps: float = 20.0
    threshold: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "tau_steps", 0.0, math.inf, "(0, inf)")
        in_range(self, "threshold", 0.0, 1.0, "(0, 1)")

    def spike_times(self, x: Tensor) -> Tensor:
        """t before it is put into a bin, in steps; ``inf`` where nothing fires.

        The threshold is first rounded to the dtype of ``x``, so that an intensity written as the same number is at
        threshold in float32 too; the rest is float64.

        Args:
            x: intensities in [0, 1], any shape.

        Returns:
            float64, the shape of ``x``.
        """
        threshold = torch.tensor(self.threshold, dtype=x.dtype, device=x.device).double()
        x = x.double()
        above = x - threshold
        t = self.tau_steps * torch.log(x / above)
        return torch.where(above > 0.0, t, torch.inf)

    def encode(self, x: Tensor, first: int) -> Tensor:
        """One spike per input, in step floor(t)."""
        return scatter_spikes(self._bins(x), self.steps)

    def events(self, x: Tensor, first: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """From the spike times at once: the dense train would be T times as large."""
        self.check(x)
        bins = self._bins(x)
        sample, channel = (bins >= 0).nonzero(as_tuple=True)
        return sample, bins[sample, channel], channel

    def _bins(self, x: Tensor) -> Tensor:
        """The step of each spike, [B, N] int64; -1 where there is none."""
        t = self.spike_times(x)
        return torch.where(t < self.steps, t, -1.0).floor().long()
