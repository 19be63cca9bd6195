"""RandomMask: sparse connections that are drawn once and stay."""

import dataclasses

import torch
from torch import Tensor

from ..weight_rule import AbstractWeightRule, Masked
from .abstract import AbstractSparsity, share

__all__ = ["RandomMask"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomMask(AbstractSparsity):
    """w = raw · m, with round(density · numel) ones in m at random places.

    Weights stay as they were drawn: their spread is that of a full fan-in; a gain of 1/√density in the initializer makes up for it.

    Args:
        density: share of connections, in (0, 1].
        weights, readout: see :class:`AbstractSparsity`.

    Example:
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> layer = SpikingLayer(10, 8, neuron=LIF())
        >>> RandomMask(density=0.25).apply(layer)
        >>> int((layer.w_in != 0).sum())
        20
    """

    density: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        share("RandomMask.density", self.density)

    def rule(self, weight: Tensor) -> AbstractWeightRule:
        return Masked(drawn(weight, self.density))


def drawn(weight: Tensor, density: float) -> Tensor:
    """A mask of the weight's shape with round(density · numel) ones, at least one."""
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[torch.randperm(weight.numel())[: max(1, round(density * weight.numel()))]] = True
    return mask.view(weight.shape).to(weight.device)
