"""SumOfSoftmax: every step votes with its probabilities."""

import dataclasses

from torch import Tensor

from .abstract import AbstractReadout

__all__ = ["SumOfSoftmax"]


@dataclasses.dataclass(frozen=True)
class SumOfSoftmax(AbstractReadout):
    """logits_c = sum_n softmax_c(Y[n]).

    Each step's vote is between 0 and 1, so one loud step cannot outvote the others.
    Source: Bittar & Garner 2022.

    Example:
        >>> import torch
        >>> SumOfSoftmax()(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]))
        tensor([[1.1497, 0.8503]])
    """

    def reduce(self, y: Tensor) -> Tensor:
        return y.softmax(dim=-1).sum(dim=1)
