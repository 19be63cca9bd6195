"""LowerBound: wakes neurons that spike less than a bound."""

import dataclasses

import torch
from torch import Tensor

from .abstract import AbstractCountRegularizer

__all__ = ["LowerBound"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LowerBound(AbstractCountRegularizer):
    """strength * < max(0, bound - zeta_bi)^power >_bi.

    Gradient: -power strength max(0, bound - zeta)^(power-1) / (B N); a silent neuron gets one wherever the surrogate is
    not zero at its potential.
    Independent of the batch size. R3.
    Source: Zenke & Vogels 2021; stork LowerBoundL2 (strength 100, bound 1e-3).

    Args:
        bound: spikes per neuron and sample below which it pays, >= 0.
        power: 1 or 2.

    Example:
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> round(LowerBound(strength=100.0).of_counts(zeta).item(), 10)
        3.33333e-05
    """

    bound: float = 1e-3
    power: int = 2

    def penalty(self, counts: Tensor) -> Tensor:
        return torch.relu(self.bound - counts).pow(self.power).mean()
