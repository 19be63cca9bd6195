"""TargetCount: every neuron's count near a target."""

import dataclasses

from torch import Tensor

from .abstract import AbstractCountRegularizer

__all__ = ["TargetCount"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetCount(AbstractCountRegularizer):
    """strength * < |zeta_bi - target|^power >_bi.

    Source: stork, its Activity regularizer.

    Args:
        target: spikes per neuron and sample, >= 0.
        power: 1 or 2.

    Example:
        >>> import torch
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> round(TargetCount(strength=1.0, target=2.0).of_counts(zeta).item(), 6)
        3.666667
    """

    target: float = 1.0
    power: int = 2

    def penalty(self, counts: Tensor) -> Tensor:
        return (counts - self.target).abs().pow(self.power).mean()
