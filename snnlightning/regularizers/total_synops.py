"""TotalSynOps: the synaptic operations of a sample, linearly."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from ..typing import LayerRecord
from ._operations import KINDS, operations
from .abstract import AbstractRegularizer, Reads

__all__ = ["TotalSynOps"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TotalSynOps(AbstractRegularizer):
    """strength * SynOps, SynOps = < sum over connections of sum_j zeta_bj fan_out_j >_b: recurrent and readout synapses included.

    The same number that ``metrics.SynOps`` counts, with a gradient: a spike costs as much as the weights it goes through. Operations
    of the input cause no gradient. Independent of the batch size.

    Args:
        hidden_only: whether operations of the input are left out, which only pruning can change.

    Source: Sorbaro et al. 2020 (SynOpLoss). Differs: recurrent synapses count, weights of zero do not.

    Example:
        >>> import torch
        >>> from snnlightning.typing import Connection, LayerRecord
        >>> spikes = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])  # 2 spikes of a neuron with 1 weight, 1 of one with 2
        >>> synapses = Connection("readout.w_in", "readout", spikes, torch.tensor([[1.0, 1.0], [0.0, 1.0]]), True)
        >>> record = LayerRecord("readout", False, torch.zeros(1, 2, 2), (), None, (synapses,))
        >>> TotalSynOps(strength=1.0).of_records([record]).item()
        4.0
    """

    reads: ClassVar[Reads] = "connections"

    hidden_only: bool = False

    def of_records(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """Over all connections."""
        return self.strength * operations(records, KINDS[1:] if self.hidden_only else KINDS)
