"""TargetSynOps: the synaptic operations of a sample near a target."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from ..typing import LayerRecord
from ..units import positive
from ._operations import operations
from .abstract import AbstractRegularizer, Reads

__all__ = ["TargetSynOps"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetSynOps(AbstractRegularizer):
    """strength * ((SynOps - target) / target)², with SynOps as TotalSynOps has them, input included.

    A fixed strength holds the target only as well as the loss lets it; ``SpikingModule(synops_target=...)`` adapts it. The mean over
    the batch is squared, so a batch twice over pays the same, and single samples may differ.

    Args:
        target: synaptic operations per sample, > 0.

    Gradient: 2 strength (SynOps - target) / target² fan_out_j / B for every spike of neuron j.
    Source: Sorbaro et al. 2020 (SynOpLoss), targets of 1e4 to 2e6.

    Example:
        >>> import torch
        >>> from snnlightning.typing import Connection, LayerRecord
        >>> synapses = Connection("readout.w_in", "readout", torch.ones(1, 7, 4), torch.ones(2, 4), True)  # 28 spikes, fan-out 2
        >>> record = LayerRecord("readout", False, torch.zeros(1, 7, 2), (), None, (synapses,))
        >>> round(TargetSynOps(strength=1.0, target=40.0).of_records([record]).item(), 6)
        0.16
    """

    reads: ClassVar[Reads] = "connections"

    target: float

    def of_records(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """Over all connections."""
        return self.strength * (operations(records) / self.target - 1.0).square()

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("TargetSynOps.target", self.target)
