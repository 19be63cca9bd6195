"""WeightSize: the size of all weights; power 1 makes some of them vanish."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ..typing import LayerRecord
from .abstract import AbstractRegularizer, Reads

__all__ = ["WeightSize"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightSize(AbstractRegularizer):
    """strength * sum |w|^power over all synapses, input to readout.

    Weights near 0 can be pruned, and fan-out is the only lever on the operations that inputs cause. Independent of the batch.

    Args:
        power: 1 (sparse) or 2 (small).

    Source: textbook (lasso, ridge).

    Example:
        >>> import torch
        >>> from snnlightning.typing import Connection, LayerRecord
        >>> synapses = Connection("readout.w_in", "input", torch.ones(1, 2, 2), torch.tensor([[2.0, -1.0]]), True)
        >>> WeightSize(strength=0.5).of_records([LayerRecord("readout", False, torch.zeros(1, 2, 1), (), None, (synapses,))]).item()
        1.5
    """

    reads: ClassVar[Reads] = "connections"

    power: int = 1

    def of_records(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """The sum over the connections of all layers; weights that are used twice count once."""
        weights = {id(c.weight): c.weight for record in records for c in record.connections}
        terms = [weight.abs().pow(self.power).sum() for weight in weights.values()]
        return self.strength * torch.stack(terms).sum() if terms else None
