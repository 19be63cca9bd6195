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
from .skipping import AbstractSkip
from .spiking_layer import SpikingLayer

__all__ = ["SpikingNetwork"]


class SpikingNetwork(nn.Module):
    """x -> stage -> ... -> stage -> readout over time: ``out = net(x)``, ``out.logits`` [B, C], ``out.records``.

    Stages with neurons are called ``hidden_0``, ``hidden_1``, ... and the last one ``readout``; others go by what they are
    (``pool_0``). Each leaves a record. Modules that only change the tensor on its way ([B, T, ...] to [B, T, ...]: flatten,
    dropout, ...) may stand between them and leave none; skip connections (``Residual``, ``Concat``) hold stages of their own. Synapses from the data are of the kind ``input``, those into the last
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
        modules = list(self.layers)
        stages = _stages_in(modules)
        yield from zip(_names(stages, modules[-1]), stages, strict=True)

    def initial_states(self, batch: int) -> list[State | None]:
        """With what the first piece of a longer sequence begins, one per stage: ``net(piece, net.initial_states(B))``."""
        return [stage.initial_state(batch) for _, stage in self.stages()]

    def forward(
        self, x: Tensor | Events, states: Sequence[State | None] | None = None, *, potentials: bool = False
    ) -> NetworkOutput:
        """Run all stages over the whole sequence.

        Args:
            x: [B, T, N_in] (dense or as events), or what the first stage takes.
            states: ``out.states`` of an earlier call, or None for zero; a None among them is zero for that stage.
            potentials: whether the records hold the potentials.
        """
        modules = list(self.layers)
        end = modules[-1]
        names = _names(_stages_in(modules), end)
        if states is not None and len(states) != len(names):
            raise ShapeError(f"{len(states)} states for {len(names)} layers; pass out.states of an earlier call.")
        records: list[LayerRecord] = []

        def run(stage: AbstractStage, x: Tensor | Events, binary: bool) -> LayerRecord:
            at = len(records)
            kind: ConnectionKind = "input" if at == 0 else "readout" if at == len(names) - 1 else "feedforward"
            state = None if states is None else states[at]
            # The readout is made on the way of the loop over time, where the last layer is one that takes it.
            own = {"readout": self.readout} if stage is end and type(stage) is SpikingLayer else {}
            records.append(stage.run(x, state, potentials=potentials, name=names[at], kind=kind, binary=binary, **own))
            return records[-1]

        _through(modules, x, False, run)
        last = records[-1]
        return NetworkOutput(self.readout(last.output) if last.read is None else last.read, tuple(records))


def _names(stages: Iterable[AbstractStage], end: nn.Module) -> list[str]:
    """What stages in a row are called; ``end`` is the last of them."""
    met: dict[str, int] = {}
    names = []
    for stage in stages:
        label = stage.label
        number = met[label] = met.get(label, -1) + 1
        names.append("readout" if stage is end else f"{label}_{number}")
    return names


def _stages_in(modules: Iterable[nn.Module]) -> list[AbstractStage]:
    found: list[AbstractStage] = []
    for module in modules:
        if isinstance(module, AbstractStage):
            found.append(module)
        elif isinstance(module, AbstractSkip):
            found += _stages_in(module.layers)
    return found


def _through(
    modules: Iterable[nn.Module],
    x: Tensor | Events,
    binary: bool,
    run: Callable[[AbstractStage, Tensor | Events, bool], LayerRecord],
) -> tuple[Tensor | Events, bool]:
    """x through modules in a row, and whether what comes out is known to be spikes."""
    for module in modules:
        if isinstance(module, AbstractStage):
            record = run(module, x, binary)
            x, binary = record.output, record.binary
        elif isinstance(module, AbstractSkip):
            y, both = _through(module.layers, x, binary, run)
            x, binary = module.merge(dense(x), dense(y)), binary and both and module.keeps_spikes
        else:
            x, binary = module(dense(x)), binary and bool(getattr(module, "keeps_spikes", False))
    return x, binary
