"""ClassRate: the right class fires at one rate, the others at another."""

import dataclasses

from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigurationError
from .abstract import AbstractTrainLoss

__all__ = ["ClassRate"]


@dataclasses.dataclass(frozen=True)
class ClassRate(AbstractTrainLoss):
    """L = (1 / 2B) sum_bc (r_bc - r*_bc)², r_bc = (1 / T) sum_n S_bc[n], r* = right for the right class and wrong for the others.

    Lower is better. Because the wrong rate is not 0, neurons of wrong classes stay alive. (On counts instead of rates:
    ``mean_squared_error`` behind the readout ``spike_count``.)

    Args:
        right: spikes per step of the right class, in [0, 1].
        wrong: spikes per step of the others, in [0, 1].

    Source: SLAYER (Shrestha & Orchard 2018), lava-dl's SpikeRate with its usual rates.

    Example:
        >>> import torch
        >>> spikes = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
        >>> round(ClassRate(right=0.5, wrong=0.2)(spikes, torch.tensor([0])).item(), 6)
        0.02
    """

    right: float = 0.2
    wrong: float = 0.03

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """output [B, T, C]; target [B] class numbers -> scalar."""
        rates = output.mean(dim=1)
        wanted = self.wrong + (self.right - self.wrong) * F.one_hot(target, rates.shape[-1]).to(rates.dtype)
        return 0.5 * (rates - wanted).square().sum(dim=-1).mean()

    def __post_init__(self) -> None:
        for name in ("right", "wrong"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(f"ClassRate.{name} is {getattr(self, name)}; a number in [0, 1] is expected.")
