"""Shared types: what one floor of the house promises to another without importing it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from .events import Events

__all__ = [
    "Coefficients",
    "Connection",
    "ConnectionKind",
    "Convolution",
    "Delay",
    "LayerCall",
    "LayerRecord",
    "NetworkOutput",
    "NeuronLike",
    "Plain",
    "Reader",
    "Recurrence",
    "Reset",
    "Sample",
    "SpikeFunction",
    "State",
    "Trace",
]

SpikeFunction = Callable[[Tensor], Tensor]
"""v - v_th -> spikes, of the same shape; a surrogate, or its smooth twin."""

Reader = Callable[[Tensor], Tensor]
"""[B, T, N] -> [B, N]: a readout over time. Compiled loops make the ``reduction`` that its class names: sum, mean, max or last."""

State = tuple[Tensor, ...]
"""State of one layer between two calls: what the neuron's ``state_names`` say, each [B, N]."""

Coefficients = Mapping[str, float | Tensor]
"""Decays by name; a float, a scalar tensor or one value per neuron [N]."""

Reset = Literal["subtract", "zero"]
ConnectionKind = Literal["input", "feedforward", "recurrent", "readout"]

Sample = tuple[Tensor | Events, Tensor]
"""A batch as data modules hand it out: x [B, T, N], dense or as events, and y [B]."""


class Trace(NamedTuple):
    """What a neuron did over T steps.

    ``output`` [B, T, N] is what other layers see (spikes, or the potential of a neuron without threshold); ``state`` is
    the state after the last step; ``potentials`` [B, T, N] are there when asked for. ``arrived`` and ``sent`` are input and
    output as lists, where the backend made them. ``read`` [B, N] is what the readout made of the output, when one was given.
    """

    output: Tensor
    state: State
    potentials: Tensor | None
    arrived: Events | None = None
    sent: Events | None = None
    read: Tensor | None = None


class Convolution(NamedTuple):
    """How a kernel slides: one number per spatial axis, as ``torch.nn.Conv*d`` has them (padding with zeros only).

    Pooling by sum or mean is a convolution of ``groups`` = channels with a weight of ones [C, 1, *K]; pooling by maximum has
    no synapses.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1


class Delay(NamedTuple):
    """How long spikes travel: ``steps`` [N_pre] or [N_post, N_pre], whole; ``past`` [B, D, N_pre] is what was sent in the D steps
    before the sequence, D >= the longest."""

    steps: Tensor
    past: Tensor


class Connection(NamedTuple):
    """One set of synapses as it was used: what came in, and through which weights.

    ``activity`` [B, T, N_pre] is what the presynaptic side sent, ``weight`` [N_post, N_pre] the weights in effect (after
    masks and parametrisations); ``binary`` says that the activity is known to hold spikes only, so nobody needs to look.
    With a ``convolution`` of one to three axes, activity is [B, T, C_in, *S] and weight [C_out, C_in / groups, *K].
    ``shared``: the same weights are used under this name more than once in a network; their counts add up. A ``delay``
    changes no count of operations: the activity is what was sent, and it says in which step a neuron has input. The activity is
    a list of events when the input came as one; :func:`snnlightning.events.dense` gives the tensor of either. ``events`` is the
    same as a list where a backend made one on its way, so that nobody has to look for it. ``bits`` is the width of a stored
    weight of a layer that runs at a chip's precision; None in float.
    """

    name: str
    kind: ConnectionKind
    activity: Tensor | Events
    weight: Tensor
    binary: bool
    convolution: Convolution | None = None
    shared: bool = False
    delay: Delay | None = None
    events: Events | None = None
    bits: int | None = None


class LayerRecord(NamedTuple):
    """What one layer did with one batch: the record that travels by return value to regularizers and metrics.

    ``output`` is [B, T, N], or [B, T, C, *S] behind a convolution. ``spiking`` says that the neurons have a threshold;
    ``binary`` that the output is known to be 0 and 1 only (it is not when a smooth twin stands in for the step). ``bias``
    [N] (or [C]) is the constant that was added to the input of every step. Without ``neurons`` (pooling) there is nothing
    that has to be updated, only synapses. ``events`` is the output as a list, where a backend made one, and ``read``
    [B, N] what a readout made of it that the layer was given.
    """

    name: str
    spiking: bool
    output: Tensor
    state: State
    potentials: Tensor | None
    connections: tuple[Connection, ...]
    binary: bool = False
    bias: Tensor | None = None
    neurons: bool = True
    events: Events | None = None
    read: Tensor | None = None


class NetworkOutput(NamedTuple):
    """What a network returns: ``logits`` [B, C] and one record per layer, first to last."""

    logits: Tensor
    records: tuple[LayerRecord, ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The state of every layer after the last step, to pass to the next call."""
        return tuple(record.state for record in self.records)


class Recurrence(Protocol):
    """What may stand in the place of recurrent weights [N, N]: ``z @ recurrence.mT`` is the drive [B, N] by spikes [B, N]."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def mT(self) -> "Recurrence": ...  # noqa: N802  (as tensors call it)
    def __rmatmul__(self, z: Tensor) -> Tensor: ...


class NeuronLike(Protocol):
    """What :func:`snnlightning.scan.scan` asks of a neuron."""

    @property
    def spiking(self) -> bool: ...
    @property
    def state_names(self) -> tuple[str, ...]: ...
    @property
    def coefficient_names(self) -> tuple[str, ...]: ...
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


Plain = Callable[[Tensor, Tensor | None, State, Mapping[str, Tensor]], Trace]
"""The reference: drive, w_rec, state, and tensors that replace coefficients of these names; its trace has what is read."""


class LayerCall(NamedTuple):
    """What a backend is asked to run: the arguments of :func:`snnlightning.scan.scan`, checked.

    Args:
        neurons, spikes, coefficients: one of each per member; one where there is no member axis.
        x, w_in, w_rec, bias, state, potentials, readout, sizes, recurrent: as ``scan`` has them.
        learned: the coefficients that were given as tensors, with the member axis; gradients flow to them.
        members: (K,), or () without a member axis.
        plain: the reference, for a part of the work that compiled code leaves to it.
    """

    neurons: Sequence[NeuronLike]
    spikes: Sequence[SpikeFunction | None]
    coefficients: Sequence[Coefficients]
    x: Tensor | Events
    w_in: Tensor | None
    w_rec: Tensor | None
    bias: Tensor | None
    state: State
    learned: Mapping[str, Tensor]
    potentials: bool
    members: tuple[int, ...]
    readout: Reader | None
    sizes: Sequence[tuple[int, int]] | None
    recurrent: Sequence[bool] | None
    plain: Plain
