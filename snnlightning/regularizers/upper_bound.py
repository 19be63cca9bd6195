"""UpperBound: every neuron's count above a bound."""

import dataclasses

import torch
from torch import Tensor

from .abstract import AbstractCountRegularizer

__all__ = ["UpperBound"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpperBound(AbstractCountRegularizer):
    """strength * < max(0, zeta_bi - bound)^power >_bi.

    Source: stork UpperBoundL2 per neuron.

    Args:
        bound: spikes per neuron and sample above which it pays, >= 0.
        power: 1 or 2.

    Example:
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> round(UpperBound(strength=0.1, bound=4.0).of_counts(zeta).item(), 7)
        0.0166667
    """

    bound: float = 1.0
    power: int = 2

    def penalty(self, counts: Tensor) -> Tensor:
        return torch.relu(counts - self.bound).pow(self.power).mean()
