"""MeanSquaredError: distance of the logits to a one-hot target."""

import dataclasses

from torch import Tensor
from torch.nn import functional as F

from .abstract import AbstractLoss

__all__ = ["MeanSquaredError"]


@dataclasses.dataclass(frozen=True)
class MeanSquaredError(AbstractLoss):
    """L = (1 / (B C)) sum_bc (logits_bc - target_bc)², the target being ``on`` for the right class, ``off`` for others.

    Lower is better. For spike counts, ``on`` and ``off`` are counts (say 10 and 1).

    Args:
        on: target of the right class.
        off: target of every other class.

    Example:
        >>> import torch
        >>> MeanSquaredError()(torch.tensor([[1.0, 0.5]]), torch.tensor([0])).item()
        0.125
    """

    on: float = 1.0
    off: float = 0.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits [B, C], target [B] class numbers -> scalar."""
        one_hot = F.one_hot(target, logits.shape[-1]).to(logits.dtype)
        return F.mse_loss(logits, self.off + (self.on - self.off) * one_hot)
