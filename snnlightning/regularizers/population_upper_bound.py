"""PopulationUpperBound: a layer's mean count above a bound."""

import dataclasses

import torch
from torch import Tensor

from .abstract import AbstractCountRegularizer

__all__ = ["PopulationUpperBound"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PopulationUpperBound(AbstractCountRegularizer):
    """strength * < max(0, < zeta_bi >_i - bound)^power >_b.

    Source: Zenke & Vogels 2021; stork UpperBoundL2 over the population.

    Args:
        bound: spikes per neuron and sample, averaged over the layer, above which a sample pays, >= 0.
        power: 1 or 2.

    Example:
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> round(PopulationUpperBound(strength=0.06, bound=2.0, power=1).of_counts(zeta).item(), 6)
        0.01
    """

    bound: float = 1.0
    power: int = 2

    def penalty(self, counts: Tensor) -> Tensor:
        return torch.relu(counts.mean(dim=-1) - self.bound).pow(self.power).mean()
