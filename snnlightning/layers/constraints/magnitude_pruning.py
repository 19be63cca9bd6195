"""MagnitudePruning: the smallest weights go, at once or epoch by epoch, and do not come back."""

import dataclasses

import torch
from torch import Tensor

from ...errors import ConfigurationError
from ..weight_rule import AbstractWeightRule, Masked
from .abstract import AbstractSparsity, share

__all__ = ["MagnitudePruning"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MagnitudePruning(AbstractSparsity):
    """In each matrix the round(s · numel) weights of least magnitude are zero; s grows from epoch to epoch,

        s(e) = sparsity · (1 - (1 - (e - start) / (end - start))³),   0 before start, sparsity from end on.

    With ``end_epoch=0``, the default, it prunes once, when it is applied: to a trained network, which may then be trained on.

    Args:
        sparsity: share of weights that are zero in the end, in [0, 1).
        start_epoch: last epoch without pruning, >= 0.
        end_epoch: first epoch at the full sparsity, > start_epoch; or both 0.
        weights, readout: see :class:`AbstractSparsity`.

    Source: Zhu & Gupta 2017, eq. 1 (from a sparsity of 0, a step per epoch).

    Example:
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> layer = SpikingLayer(4, 1, neuron=LIF())
        >>> _ = layer.w_in.data.copy_(torch.tensor([[0.5, -2.0, 0.1, -0.3]]))
        >>> MagnitudePruning(sparsity=0.5).apply(layer)
        >>> layer.w_in.tolist()
        [[0.5, -2.0, 0.0, -0.0]]
    """

    sparsity: float = 0.9
    start_epoch: int = 0
    end_epoch: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        share("MagnitudePruning.sparsity", self.sparsity, zero=True)
        if not 0 <= self.start_epoch < self.end_epoch and (self.start_epoch, self.end_epoch) != (0, 0):
            raise ConfigurationError(
                f"pruning from epoch {self.start_epoch} to {self.end_epoch}; 0 <= start_epoch < end_epoch is expected, or 0 for both."
            )

    def rule(self, weight: Tensor) -> AbstractWeightRule:
        rule = _Pruned(torch.ones_like(weight, dtype=torch.bool), self)
        if self.end_epoch == 0:
            rule.prune(weight, self.sparsity)
        return rule

    def at(self, epoch: int) -> float:
        """s of an epoch.

        Example:
            >>> [round(MagnitudePruning(sparsity=0.8, end_epoch=2).at(e), 2) for e in range(4)]
            [0.0, 0.7, 0.8, 0.8]
        """
        if self.end_epoch == 0:
            return self.sparsity
        left = 1.0 - (epoch - self.start_epoch) / (self.end_epoch - self.start_epoch)
        return self.sparsity * (1.0 - min(1.0, max(0.0, left)) ** 3)


class _Pruned(Masked):
    def __init__(self, mask: Tensor, schedule: MagnitudePruning) -> None:
        super().__init__(mask)
        self.schedule = schedule

    def restart(self, raw: Tensor) -> None:
        self.mask.fill_(True)
        self.start_epoch(0, raw)

    @torch.no_grad()
    def start_epoch(self, epoch: int, raw: Tensor) -> None:
        if self.schedule.end_epoch:
            self.prune(raw, self.schedule.at(epoch))
        elif bool(self.mask.all()):
            self.prune(raw, self.schedule.sparsity)

    def prune(self, raw: Tensor, sparsity: float) -> None:
        """The least of |w|; what is pruned already is 0 and stays among them."""
        count = max(round(sparsity * raw.numel()), int((~self.mask).sum()))
        order = torch.where(self.mask, raw.detach().abs(), -1.0).flatten().argsort()
        self.mask.view(-1)[order[:count]] = False
