"""LastStep: the potential at the end."""

import dataclasses
from typing import ClassVar

from torch import Tensor

from .abstract import AbstractReadout

__all__ = ["LastStep"]


@dataclasses.dataclass(frozen=True)
class LastStep(AbstractReadout):
    """logits_c = Y_c[T-1].

    Example:
        >>> import torch
        >>> LastStep()(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]))
        tensor([[2., 0.]])
    """

    reduction: ClassVar[str | None] = "last"

    def reduce(self, y: Tensor) -> Tensor:
        return y[:, -1]
