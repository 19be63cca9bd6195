"""RateUpperBound: a bound on rates per step, of each neuron or of the layer."""

import dataclasses

import torch
from torch import Tensor

from .abstract import AbstractRateRegularizer

__all__ = ["RateUpperBound"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RateUpperBound(AbstractRateRegularizer):
    """strength * < max(0, r_bi - bound)² >_bi, or < max(0, < r_bi >_i - bound)² >_b for the population.

    It is UpperBound (or PopulationUpperBound) with bound * T and strength / T², for sequences of any length.

    Args:
        bound: spikes per step, >= 0.
        population: whether the bound is on the layer's mean.

    Source: Perez-Nieves & Goodman 2021. Differs: there, the sum over population counts divides by N once more.

    Example:
        >>> import torch
        >>> rates = torch.tensor([[0.0, 0.2, 0.5], [0.1, 0.4, 0.0]], dtype=torch.float64)
        >>> round(RateUpperBound(strength=6.0, bound=0.3).of_rates(rates).item(), 6)
        0.05
    """

    bound: float = 0.1
    population: bool = False

    def penalty(self, rates: Tensor) -> Tensor:
        return torch.relu((rates.mean(dim=-1) if self.population else rates) - self.bound).square().mean()
