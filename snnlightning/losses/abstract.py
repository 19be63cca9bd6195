"""What every loss is: logits and classes to a number; lower is better."""

import abc
import dataclasses

from torch import Tensor

__all__ = ["AbstractLoss"]


@dataclasses.dataclass(frozen=True)
class AbstractLoss(abc.ABC):
    """(logits [B, C], target [B]) -> scalar, a mean over the batch."""

    @abc.abstractmethod
    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits [B, C], target [B] class numbers -> scalar."""
