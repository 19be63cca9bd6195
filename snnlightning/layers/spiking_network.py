"""SpikingNetwork: stages in a row and a readout over time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from ..errors import ConfigurationError, ShapeError
from ..events import Events, dense
from ..readouts import AbstractReadout
from ..typing import ConnectionKind, LayerRecord, NetworkOutput, State
from .abstract import AbstractLayer, AbstractStage, Shape
from .constraints import AbstractConstraint

__all__ = ["SpikingNetwork"]


class SpikingNetwork(nn.Module):
    """x -> stage -> ... -> stage -> readout over time: ``out = net(x)``, ``out.logits`` [B, C], ``out.records``.

    Stages with neurons are called ``hidden_0``, ``hidden_1``, ... and the last one ``readout``; others go by what they are
    (``pool_0``). Each leaves a record. Modules that only change the tensor on its way ([B, T, ...] to [B, T, ...]: flatten,
    dropout, ...) may stand between them and leave none. Synapses from the data are of the kind ``input``, those into the last
    stage ``readout``, a layer's own ``recurrent``, all others ``feedforward``; a network of one layer has ``input`` synapses
    only.

    Args:
        layers: at least one; each takes what the one before it gives. Shapes are checked here as far as they are known.
        readout: [B, T, C] -> [B, C], from :mod:`snnlightning.readouts`.
        constraints: what the weights may be, from :mod:`snnlightning.layers.constraints`; applied in this order.

    Raises:
        ConfigurationError: no layer, or the last one has no neurons.
        ShapeError: neighbours that do not fit.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        readout: AbstractReadout | Callable[[Tensor], Tensor],
        constraints: Iterable[AbstractConstraint] = (),
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.readout = readout
        if not len(self.layers):
            raise ConfigurationError("a network without layers; give at least the readout layer.")
        if not isinstance(self.layers[-1], AbstractLayer):
            raise ConfigurationError(
                f"the last layer is a {type(self.layers[-1]).__name__}; the readout needs neurons: put a "
                "SpikingLayer(..., neuron=LI()) behind it."
            )
        shape: Shape | None = None
        for module in self.layers:
            follow: Any = getattr(module, "shape_after", None)
            shape = None if follow is None else follow(shape)
        for constraint in constraints:
            constraint.apply(self)

    @property
    def names(self) -> tuple[str, ...]:
        """What the stages are called in records and counts."""
        return tuple(name for name, _ in self.stages())

    def stages(self) -> Iterator[tuple[str, AbstractStage]]:
        """The stages that leave a record, with their names, first to last."""
        met: dict[str, int] = {}
        for module in self.layers:
            if isinstance(module, AbstractStage):
                number = met[module.label] = met.get(module.label, -1) + 1
                yield "readout" if module is self.layers[-1] else f"{module.label}_{number}", module

    def forward(
        self, x: Tensor | Events, states: Sequence[State | None] | None = None, *, potentials: bool = False
    ) -> NetworkOutput:
        """Run all stages over the whole sequence.

        Args:
            x: [B, T, N_in] (dense or as events), or what the first stage takes.
            states: ``out.states`` of an earlier call, or None for zero; a None among them is zero for that stage.
            potentials: whether the records hold the potentials.
        """
        names = self.names
        if states is not None and len(states) != len(names):
            raise ShapeError(f"{len(states)} states for {len(names)} layers; pass out.states of an earlier call.")
        records: list[LayerRecord] = []
        binary = False
        for module in self.layers:
            if not isinstance(module, AbstractStage):
                x, binary = module(dense(x)), binary and bool(getattr(module, "keeps_spikes", False))
                continue
            at = len(records)
            kind: ConnectionKind = "input" if at == 0 else "readout" if at == len(names) - 1 else "feedforward"
            record = module.run(
                x,
                None if states is None else states[at],
                potentials=potentials,
                name=names[at],
                kind=kind,
                binary=binary,
            )
            records.append(record)
            x, binary = record.output, record.binary
        return NetworkOutput(self.readout(records[-1].output), tuple(records))
