"""MeanOverTime: the average potential."""

import dataclasses
from typing import ClassVar

from torch import Tensor

from .abstract import AbstractReadout

__all__ = ["MeanOverTime"]


@dataclasses.dataclass(frozen=True)
class MeanOverTime(AbstractReadout):
    """logits_c = (1/T) sum_n Y_c[n].

    Example:
        >>> import torch
        >>> MeanOverTime()(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]))
        tensor([[1.0000, 0.5000]])
    """

    reduction: ClassVar[str | None] = "mean"

    def reduce(self, y: Tensor) -> Tensor:
        return y.mean(dim=1)
