"""SpikeCount: how often each output neuron spiked."""

import dataclasses
from typing import ClassVar

from torch import Tensor

from .abstract import AbstractReadout

__all__ = ["SpikeCount"]


@dataclasses.dataclass(frozen=True)
class SpikeCount(AbstractReadout):
    """logits_c = sum_n S_c[n]; for a last layer that spikes. The sum of the potentials for one that does not.

    Example:
        >>> import torch
        >>> SpikeCount()(torch.tensor([[[0.0, 1.0], [2.0, 0.0]]]))
        tensor([[2., 1.]])
    """

    reads_spikes: ClassVar[bool] = True
    reduction: ClassVar[str | None] = "sum"

    def reduce(self, y: Tensor) -> Tensor:
        return y.sum(dim=1)
