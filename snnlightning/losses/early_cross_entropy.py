"""EarlyCrossEntropy: cross-entropy on spike times, and a price for being late."""

import dataclasses

from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigurationError
from ..units import positive
from .abstract import NO_CLASS, AbstractLoss

__all__ = ["EarlyCrossEntropy"]


@dataclasses.dataclass(frozen=True)
class EarlyCrossEntropy(AbstractLoss):
    """L = (1/B) sum_b ( -log softmax(logits_b)[y_b] + early (exp(-logits_b[y_b] / scale) - 1) ), lower is better.

    For ``first_spike``, whose logits are -t / tau: the first term wants the right class to be first, the second wants it soon, and
    has a gradient for it even where no class spikes.

    Args:
        early: weight of the second term, >= 0.
        scale: lateness, in units of the readout's tau, that multiplies its price by e, > 0.

    Source: Göltz et al. 2021 (eq. of their loss: alpha and beta).

    Example:
        >>> import torch
        >>> EarlyCrossEntropy(early=0.0)(torch.zeros(4, 10), torch.tensor([0, 1, 2, 3])).item()  # ln 10
        2.3025851249694824
    """

    early: float = 0.01
    scale: float = 1.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits [B, C], target [B] class numbers -> scalar."""
        late = -logits.gather(1, target[:, None]).squeeze(1) / self.scale
        return F.cross_entropy(logits, target, ignore_index=NO_CLASS) + self.early * late.expm1().mean()

    def __post_init__(self) -> None:
        positive("EarlyCrossEntropy.scale", self.scale)
        if not self.early >= 0.0:
            raise ConfigurationError(f"EarlyCrossEntropy.early is {self.early}; it must be 0 or greater.")
