"""SpikingNetwork: layers in a row and a readout over time."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from torch import Tensor, nn

from ..errors import ConfigurationError, ShapeError
from ..events import Events
from ..readouts import AbstractReadout
from ..typing import ConnectionKind, LayerRecord, NetworkOutput, State
from .spiking_layer import SpikingLayer

__all__ = ["SpikingNetwork"]


class SpikingNetwork(nn.Module):
    """x -> layer -> ... -> layer -> readout over time: ``out = net(x)``, ``out.logits`` [B, C], ``out.records``.

    The layers are called ``hidden_0``, ``hidden_1``, ... and the last one ``readout``. Synapses from the data are of the
    kind ``input``, those into the last layer ``readout``, a layer's own ``recurrent``, all others ``feedforward``; a
    network of one layer has ``input`` synapses only.

    Args:
        layers: at least one; each takes as many features as the one before it gives.
        readout: [B, T, C] -> [B, C], from :mod:`snnlightning.readouts`.

    Raises:
        ConfigurationError: no layer.
        ShapeError: neighbours that do not fit.
    """

    def __init__(self, layers: Iterable[SpikingLayer], readout: AbstractReadout | Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.readout = readout
        if not len(self.layers):
            raise ConfigurationError("a network without layers; give at least the readout layer.")
        modules = self._modules_in_order()
        for before, after in itertools.pairwise(modules):
            if before.out_features != after.in_features:
                raise ShapeError(
                    f"a layer gives {before.out_features} features and the next one takes {after.in_features}."
                )

    @property
    def names(self) -> tuple[str, ...]:
        """What the layers are called in records and counts."""
        return (*(f"hidden_{k}" for k in range(len(self.layers) - 1)), "readout")

    def forward(
        self, x: Tensor | Events, states: Sequence[State] | None = None, *, potentials: bool = False
    ) -> NetworkOutput:
        """Run all layers over the whole sequence.

        Args:
            x: [B, T, N_in], dense or as events.
            states: ``out.states`` of an earlier call, or None for zero.
            potentials: whether the records hold the potentials.
        """
        if states is not None and len(states) != len(self.layers):
            raise ShapeError(f"{len(states)} states for {len(self.layers)} layers; pass out.states of an earlier call.")
        records: list[LayerRecord] = []
        last = len(self.layers) - 1
        for k, (name, layer) in enumerate(zip(self.names, self._modules_in_order(), strict=True)):
            kind: ConnectionKind = "input" if k == 0 else "readout" if k == last else "feedforward"
            record = layer.run(
                x,
                None if states is None else states[k],
                potentials=potentials,
                name=name,
                kind=kind,
                binary=k > 0 and records[-1].binary,
            )
            records.append(record)
            x = record.output
        return NetworkOutput(self.readout(records[-1].output), tuple(records))

    def _modules_in_order(self) -> list[SpikingLayer]:
        return [cast(SpikingLayer, layer) for layer in self.layers]
