"""TotalCount: all spikes of a sample, linearly."""

import dataclasses

from torch import Tensor

from .abstract import AbstractCountRegularizer

__all__ = ["TotalCount"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TotalCount(AbstractCountRegularizer):
    """strength * < sum_i zeta_bi >_b.

    Source: SpyTorch tutorial 3 (L1). Differs: SpyTorch sums over the batch, so its strength is ours / B.

    Example:
        >>> import torch
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> round(TotalCount(strength=1.0).of_counts(zeta).item(), 6)
        6.0
    """

    def penalty(self, counts: Tensor) -> Tensor:
        return counts.sum(dim=-1).mean()
