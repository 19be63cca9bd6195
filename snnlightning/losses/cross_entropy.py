"""CrossEntropy: softmax over the classes, negative log-likelihood of the right one."""

import dataclasses

from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigurationError
from .abstract import NO_CLASS, AbstractLoss

__all__ = ["CrossEntropy"]


@dataclasses.dataclass(frozen=True)
class CrossEntropy(AbstractLoss):
    """L = -(1/B) sum_b log softmax(logits_b)[y_b]; ln C for logits that are all equal. Lower is better.

    Args:
        label_smoothing: in [0, 1).

    Example:
        >>> import torch
        >>> CrossEntropy()(torch.zeros(4, 10), torch.tensor([0, 1, 2, 3])).item()  # ln 10
        2.3025851249694824
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ConfigurationError(f"label_smoothing is {self.label_smoothing}; it must be in [0, 1).")

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits [B, C], target [B] class numbers -> scalar."""
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing, ignore_index=NO_CLASS)
