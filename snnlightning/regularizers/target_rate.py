"""TargetRate: every neuron's firing rate near a target in Hz."""

import dataclasses

from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive
from .abstract import AbstractRateRegularizer

__all__ = ["TargetRate"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetRate(AbstractRateRegularizer):
    """strength * sum_i (f_i - target_hz)², f_i = 1000 < r_bi >_b / dt_ms.

    The sum over the neurons of a layer, as published; the rate is a mean over the batch before it is squared, so a neuron may be
    busy in some samples and silent in others. A batch twice over pays the same; single samples pay more than a batch of them.

    Args:
        target_hz: f0, >= 0 (10 to 20 published).
        dt_ms: time step of the data, > 0.

    Source: Bellec et al. 2018 (LSNN), 2020 (e-prop).

    Example:
        >>> import torch
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> TargetRate(strength=1.0, target_hz=10.0).of_rates(zeta / 10).round().item()  # T = 10 steps of 1 ms
        143300.0
    """

    target_hz: float = 10.0
    dt_ms: float = 1.0

    def penalty(self, rates: Tensor) -> Tensor:
        return (1000.0 / self.dt_ms * rates.mean(dim=0) - self.target_hz).square().sum()

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("dt_ms", self.dt_ms)
        if not self.target_hz >= 0.0:
            raise ConfigurationError(f"TargetRate.target_hz is {self.target_hz}; it must be 0 or greater.")
