"""QuietBurst: neurons that are nearly silent or nearly always on."""

import dataclasses

import torch
from torch import Tensor

from ..errors import ConfigurationError
from .abstract import AbstractRateRegularizer

__all__ = ["QuietBurst"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuietBurst(AbstractRateRegularizer):
    """strength / 2 * sum_i ( max(0, low - r_i) + max(0, r_i - high) ), r_i = < r_bi >_b.

    The sum over the neurons of a layer, as published, of a mean over the batch.

    Args:
        low: spikes per step below which a neuron is quiet, in [0, high].
        high: spikes per step above which it bursts, in [low, 1].

    Source: Bittar & Garner 2022, with the values of sparch.

    Example:
        >>> import torch
        >>> rates = torch.tensor([[0.0, 0.2, 0.9], [0.0, 0.4, 0.7]], dtype=torch.float64)
        >>> round(QuietBurst(strength=1.0).of_rates(rates).item(), 6)
        0.155
    """

    low: float = 0.01
    high: float = 0.5

    def penalty(self, rates: Tensor) -> Tensor:
        mean = rates.mean(dim=0)
        return 0.5 * (torch.relu(self.low - mean) + torch.relu(mean - self.high)).sum()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise ConfigurationError(
                f"QuietBurst has low {self.low} and high {self.high}; 0 <= low <= high <= 1 is expected."
            )
