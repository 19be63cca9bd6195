"""What every loss is: logits, or the trains of the last layer, and classes to a number; lower is better."""

import abc
import dataclasses

from torch import Tensor

__all__ = ["NO_CLASS", "AbstractLoss", "AbstractTrainLoss"]

NO_CLASS = -(2**62)
"""In the place of torch's ``ignore_index``: a class of -100 is an error as any other negative one, not a sample to leave out."""


@dataclasses.dataclass(frozen=True)
class AbstractLoss(abc.ABC):
    """(logits [B, C], target [B]) -> scalar, a mean over the batch."""

    @abc.abstractmethod
    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits [B, C], target [B] class numbers -> scalar."""


@dataclasses.dataclass(frozen=True)
class AbstractTrainLoss(abc.ABC):
    """(output [B, T, C] of the last layer, target) -> scalar, a mean over the batch; for a last layer that spikes."""

    @abc.abstractmethod
    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """output [B, T, C]; target [B] class numbers -> scalar."""
