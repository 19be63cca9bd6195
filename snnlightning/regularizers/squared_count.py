"""SquaredCount: the square of a neuron's mean count; busy neurons pay most."""

import dataclasses

from torch import Tensor

from .abstract import AbstractCountRegularizer

__all__ = ["SquaredCount"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquaredCount(AbstractCountRegularizer):
    """strength * < (< zeta_bi >_b)² >_i.

    Source: SpyTorch tutorial 3 (L2). Differs: SpyTorch squares the sum over the batch, so its strength is ours / B².

    Example:
        >>> import torch
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> round(SquaredCount(strength=6.0).of_counts(zeta).item(), 6)
        31.0
    """

    def penalty(self, counts: Tensor) -> Tensor:
        return counts.mean(dim=0).square().mean()
