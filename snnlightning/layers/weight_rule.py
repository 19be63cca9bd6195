"""Weight rules: a parametrisation of a weight that may change with epochs and steps of the optimizer."""

import abc

from torch import Tensor, nn

__all__ = ["AbstractWeightRule", "Masked"]


class AbstractWeightRule(nn.Module, abc.ABC):
    """From the stored tensor to the weight in effect; what it remembers are buffers, so that checkpoints have it."""

    @abc.abstractmethod
    def forward(self, raw: Tensor) -> Tensor:
        """The weight in effect."""

    def restart(self, raw: Tensor) -> None:
        """The stored tensor was drawn anew."""

    def start_epoch(self, epoch: int, raw: Tensor) -> None:
        """An epoch begins, or goes on after an interruption; the second call for an epoch changes nothing."""

    def after_step(self, raw: Tensor) -> None:
        """The optimizer changed the stored tensor."""


class Masked(AbstractWeightRule):
    """w = raw · mask. Gradient: exact; none where the mask is zero."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, raw: Tensor) -> Tensor:
        """The weight in effect."""
        return raw * self.mask
