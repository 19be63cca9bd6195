"""Shared types: what one floor of the house promises to another without importing it."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

__all__ = [
    "Coefficients",
    "Connection",
    "ConnectionKind",
    "LayerRecord",
    "NetworkOutput",
    "NeuronLike",
    "Reset",
    "Sample",
    "SpikeFunction",
    "State",
    "Trace",
]

SpikeFunction = Callable[[Tensor], Tensor]
"""v - v_th -> spikes, of the same shape; a surrogate, or its smooth twin."""

State = tuple[Tensor, ...]
"""State of one layer between two calls: what the neuron's ``state_names`` say, each [B, N]."""

Coefficients = Mapping[str, float | Tensor]
"""Decays by name; a float, a scalar tensor or one value per neuron [N]."""

Reset = Literal["subtract", "zero"]
ConnectionKind = Literal["input", "feedforward", "recurrent", "readout"]

Sample = tuple[Tensor, Tensor]
"""A batch as data modules hand it out: x [B, T, N] and y [B]."""


class Trace(NamedTuple):
    """What a neuron did over T steps.

    ``output`` [B, T, N] is what other layers see (spikes, or the potential of a neuron without threshold); ``state`` is
    the state after the last step; ``potentials`` [B, T, N] are there when asked for.
    """

    output: Tensor
    state: State
    potentials: Tensor | None


class Connection(NamedTuple):
    """One set of synapses as it was used: what came in, and through which weights.

    ``activity`` [B, T, N_pre] is what the presynaptic side sent, ``weight`` [N_post, N_pre] the weights in effect (after
    masks and parametrisations); ``binary`` says that the activity is known to hold spikes only, so nobody needs to look.
    """

    name: str
    kind: ConnectionKind
    activity: Tensor
    weight: Tensor
    binary: bool


class LayerRecord(NamedTuple):
    """What one layer did with one batch: the record that travels by return value to regularizers and metrics.

    ``spiking`` says that the neurons have a threshold; ``binary`` that the output is known to be 0 and 1 only (it is not
    when a smooth twin stands in for the step).
    """

    name: str
    spiking: bool
    output: Tensor
    state: State
    potentials: Tensor | None
    connections: tuple[Connection, ...]
    binary: bool = False


class NetworkOutput(NamedTuple):
    """What a network returns: ``logits`` [B, C] and one record per layer, first to last."""

    logits: Tensor
    records: tuple[LayerRecord, ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The state of every layer after the last step, to pass to the next call."""
        return tuple(record.state for record in self.records)


class NeuronLike(Protocol):
    """What :func:`snnlightning.scan.scan` asks of a neuron."""

    @property
    def spiking(self) -> bool: ...
    @property
    def state_names(self) -> tuple[str, ...]: ...
    def coefficients(self) -> dict[str, float | Tensor]: ...
    def run(
        self,
        drive: Tensor,
        w_rec: Tensor | None,
        state: State,
        spike: SpikeFunction | None,
        coefficients: Coefficients,
        potentials: bool,
    ) -> Trace: ...
