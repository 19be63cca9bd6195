"""Membrane: potentials below threshold on the average, but not all of them far below."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..typing import LayerRecord
from .abstract import AbstractRegularizer, Reads

__all__ = ["Membrane"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Membrane(AbstractRegularizer):
    """strength * ( < max(0, x + 0.01) > + rest * max(0, 0.1 - < sigmoid(x) >) ), x = U - v_th, means over batch, steps and neurons.

    The first term pulls potentials below threshold, the second keeps a layer from falling silent. Summed over the hidden layers.

    Args:
        rest: weight of the second term, >= 0.
        v_th: threshold of the hidden neurons.

    Gradient: through the potentials directly, with no surrogate where they are not reset.
    Source: Kaiser, Mostafa & Neftci 2020 (DECOLLE), its code; strength and rest are 3e-3 there. Independent of the batch size.

    Example:
        >>> import torch
        >>> from snnlightning.typing import LayerRecord
        >>> hidden = LayerRecord("hidden_0", True, torch.zeros(1, 2, 1), (), torch.tensor([[[0.5], [1.5]]]), ())
        >>> Membrane(strength=1.0).of_records([hidden, hidden]).item()
        0.2549999952316284
    """

    reads: ClassVar[Reads] = "potentials"

    rest: float = 3e-3
    v_th: float = 1.0

    def of_records(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """The sum over the hidden spiking layers.

        Raises:
            ConfigurationError: a record without potentials.
        """
        terms = [self._of(record) for record in records[:-1] if record.spiking]
        return self.strength * torch.stack(terms).sum() if terms else None

    def _of(self, record: LayerRecord) -> Tensor:
        if record.potentials is None:
            raise ConfigurationError(
                f"Membrane reads potentials, and the record of {record.name!r} holds none; call the network with "
                "potentials=True (a SpikingModule does for a SpikingNetwork that learns by bptt)."
            )
        x = record.potentials - self.v_th
        return torch.relu(x + 0.01).mean() + self.rest * torch.relu(0.1 - torch.sigmoid(x).mean())

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rest >= 0.0:
            raise ConfigurationError(f"Membrane.rest is {self.rest}; it must be 0 or greater.")
