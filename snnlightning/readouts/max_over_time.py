"""MaxOverTime: the highest potential a class ever had."""

import dataclasses
from typing import ClassVar

from torch import Tensor

from .abstract import AbstractReadout

__all__ = ["MaxOverTime"]


@dataclasses.dataclass(frozen=True)
class MaxOverTime(AbstractReadout):
    """logits_c = max_n Y_c[n].

    Gradient: through one step only, the first of those that reach the maximum (``amax`` would share it among ties, and
    potentials that were never driven tie at 0). A class whose potential never exceeds Y[0] = 0 gets no gradient.
    Source: SpyTorch tutorials; Neftci, Mostafa & Zenke 2019, section IV.

    Example:
        >>> import torch
        >>> MaxOverTime()(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]))
        tensor([[2., 1.]])
    """

    reduction: ClassVar[str | None] = "max"

    def reduce(self, y: Tensor) -> Tensor:
        return y.max(dim=1).values
