"""scan: the one functional interface over neurons and backends.

A layer calls it with its weights, a test with whatever it wants to know. It checks what came, projects the input, runs
the neuron over time and returns a :class:`~snnlightning.typing.Trace`. Arguments in, results out: no state is kept.
"""

import functools
import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.nn import Parameter
from torch.nn import functional as F

from .errors import ConfigurationError, ShapeError, require
from .events import Events, dense, remember, settled
from .typing import Coefficients, LayerCall, NeuronLike, Reader, Recurrence, SpikeFunction, State, Trace

__all__ = ["BACKENDS", "Backend", "initial_state", "kind_of", "scan", "supports", "warmup"]

Backend = Literal["auto", "reference", "numba", "cpp", "triton"]
BACKENDS: tuple[str, ...] = ("auto", "reference", "numba", "cpp", "triton")
_COMPILED = {
    "numba": "the compiled loops of Numba",
    "cpp": "the compiled loops in C++",
    "triton": "the GPU kernels of Triton",
}

# What every call of a layer asks, found once: each step on the way there is one more place in memory.
_STRIDED = torch.strided
_NUMBERS = (float, int, tuple, Tensor)
_is_tracing, _is_transforming = torch._C._is_tracing, torch._C._are_functorch_transforms_active

logger = logging.getLogger("snnlightning.scan")


def scan(
    neuron: NeuronLike | Sequence[NeuronLike],
    x: Tensor | Events,
    w_in: Tensor | None,
    w_rec: Tensor | Recurrence | None = None,
    *,
    bias: Tensor | None = None,
    state: State | None = None,
    spike: SpikeFunction | Sequence[SpikeFunction] | None = None,
    coefficients: Coefficients | Sequence[Coefficients] | None = None,
    potentials: bool = False,
    backend: str = "auto",
    readout: Reader | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
    recurrent: Sequence[bool] | None = None,
) -> Trace:
    """Run one layer of neurons over time: drive W x + bias, recurrence V S, the neuron's update.

    With weights [K, N, N_in] it runs K members at once: layers of one shape that know nothing of each other. Everything then
    has the member axis in front (``w_rec`` [K, N, N], ``bias`` [K, N], states [K, B, N], results [K, B, T, N]), and each member
    gets the numbers it would get alone.

    Args:
        neuron: a record of :mod:`snnlightning.neurons`; or K of them, of one class and with the same resets, for K members
            whose thresholds, decays and gains differ.
        x: input [B, T, N_in]; any real dtype, taken to that of ``w_in``. Or its :class:`~snnlightning.events.Events`,
            which compiled code reads as they are. Members share it, unless it is [K, B, T, N_in].
        w_in: input weights [N, N_in], or [K, N, N_in]; None says that x [B, T, N] (or [K, B, T, N]) is the drive already, as
            convolutions, delays and normalisations make it.
        w_rec: recurrent weights [N, N] (row: to, column: from), a :class:`~snnlightning.typing.Recurrence` that stands for
            them, or None for a feed-forward layer.
        bias: [N], added to the drive of every step.
        state: what an earlier call returned, or None for all zeros; each tensor [B, N].
        spike: v - v_th -> spikes: a surrogate, or its ``soft`` twin; or one per member. A neuron without threshold takes
            None.
        coefficients: decays that replace the neuron's own (floats, [] or [N]; with members [], [K, 1] or [K, N], or one
            mapping per member as it would be given alone); gradients flow through them.
        potentials: whether to return the potentials [B, T, N] as well.
        backend: ``reference`` is the plain loop that defines the dynamics; ``numba`` runs the layer as compiled code on
            the CPU (``pip install 'snnlightning[fast]'``); ``cpp`` is the same loops in C++, built at first use where there is
            a compiler; ``triton`` runs kernels on a GPU (``pip install 'snnlightning[gpu]'``); ``auto`` takes ``triton`` for
            tensors on a GPU, elsewhere ``numba``, else ``cpp``, where they can do what is asked, and logs its choice once.
        readout: what to make of the output over time, [B, T, N] -> [B, N]; compiled loops make sum, mean, maximum and last step of
            an integrator on their way.
        sizes: neurons and inputs (N, N_in) that each member really has, where narrow ones are padded with zeros; what they get
            then does not depend on how far they are padded.
        recurrent: which members have recurrent synapses, where w_rec is zero for those that have none; None: all, if there is a w_rec.

    Returns:
        ``output`` [B, T, N], ``state`` after the last step, ``potentials`` [B, T, N] or None, ``read`` [B, N] or None. T inputs give T outputs,
        each read before the update; T = 0 gives an empty output and the state that came.

    Raises:
        ShapeError: tensors that do not fit together.
        ConfigurationError: an unknown backend, one that cannot do what is asked (the message says why), a spiking neuron
            without a surrogate or the other way round.
        MissingDependencyError: ``backend="numba"`` without Numba, ``"triton"`` without Triton.

    NaN: a potential that is NaN never crosses the threshold, so the output is silent; look at the state (``SpikingModule``
    does, and makes the loss NaN).

    Gradient: exact through all of it but the step, whose derivative is the surrogate's; reset and recurrent spikes are
    detached as the neuron says.

    Example:
        >>> import torch
        >>> from snnlightning.neurons import LIF
        >>> from snnlightning.surrogates import SuperSpike
        >>> trace = scan(LIF(), torch.ones(1, 4, 1), torch.ones(1, 1), spike=SuperSpike())
        >>> trace.output.flatten().tolist()  # U = 0, 1, 1.90, ...: strictly greater than v_th = 1
        [0.0, 0.0, 1.0, 1.0]
    """
    if backend not in BACKENDS:
        raise ConfigurationError(f"no backend named {backend!r}; available: {', '.join(BACKENDS)}.")
    members = _members(x, w_in)
    features = _check_weights(x, w_in, w_rec, bias, members)
    neurons, spikes = _each(neuron, "neurons", members), _each(spike, "surrogates", members)
    first = neurons[0]
    like = w_in if w_in is not None else dense(x)
    _check_kinds(neurons, spikes, w_rec)
    shape = (*members, x.shape[-3], features)
    if state is not None:
        state = _check_state(first, state, like, shape)
    given, learned = _numbers(neurons, coefficients, (*members, features), like)
    own_sizes = [size for size, _ in sizes] if sizes is not None else [features] * len(neurons)
    recurrent = recurrent if members and w_rec is not None else None
    plain = functools.partial(_plain, neurons, spikes, given, potentials, bool(members), readout, own_sizes, recurrent)
    if backend != "reference":
        chosen = _choose(backend, neurons, x, like, spikes, w_rec)
        if chosen != "reference":
            fused = _beside(type(first).__module__)
            own = given
            if state is None:
                alone = chosen == "triton" or x.shape[-2] == 0  # without a step the state comes back as it is
                state = _zeros(first, like, shape) if alone else _resting(first, like, shape)
            if members:
                own = [{key: _of_member(value, k) for key, value in found.items()} for k, found in enumerate(given)]
            call = LayerCall(
                neurons, spikes, own, x, w_in, cast(Tensor | None, w_rec), bias, state, learned, potentials, members, readout,
                sizes if members else None, recurrent, plain,
            )  # fmt: skip
            if members and chosen != "triton":
                return _of_members(functools.partial(fused.run, chosen), fused.ways(chosen, call), call)
            trace: Trace = fused.run(chosen, call)
            return _with_reading(trace, readout)
    if w_in is None:
        drive = like if bias is None else like + (bias if not members else bias[:, None, None])
    else:
        drive = _drive_of(dense(x).to(w_in.dtype), w_in, bias, sizes)
    state = _zeros(first, like, shape) if state is None else state
    return plain(drive, cast(Tensor | None, w_rec), state, learned)


def _drive_of(x: Tensor, w_in: Tensor, bias: Tensor | None, sizes: Sequence[tuple[int, int]] | None = None) -> Tensor:
    """W x + bias in the precision of the weights, [B, T, N] or [K, B, T, N]; each member's as it would be alone.

    One product for all members would round otherwise than that of each of them does.
    """
    # State stays in the precision of the weights, also where autocast makes the product half.
    if w_in.ndim == 2:
        return F.linear(x, w_in, bias).to(w_in.dtype)
    _, size, inputs = w_in.shape
    xs = x.unbind() if x.ndim == 4 else [x] * len(w_in)
    biases: Sequence[Tensor | None] = [None] * len(w_in) if bias is None else bias.unbind()
    drives = []
    for own_x, own_w, own_bias, (n, n_in) in zip(
        xs, w_in.unbind(), biases, sizes or [(size, inputs)] * len(w_in), strict=True
    ):
        given = settled(own_x if n_in == inputs else own_x[..., :n_in])
        w = settled(own_w if (n, n_in) == (size, inputs) else own_w[:n, :n_in])
        own = F.linear(given, w, None if own_bias is None else settled(own_bias[:n])).to(w_in.dtype)
        drives.append(_Widened.apply(own, size))
    return torch.stack(drives)


def _corner(w: Tensor, n: int) -> Tensor:
    """The first n rows and columns, in a memory of their own, where products round as for a matrix of that size."""
    return w if len(w) == n else settled(w[:n, :n])


class _Widened(torch.autograd.Function):
    """[..., n] padded with zeros to [..., size]; the gradient comes back as it would to a tensor that nobody padded."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, size: int) -> Tensor:
        ctx.own = own.shape[-1]
        return F.pad(own, (0, size - ctx.own)) if size > ctx.own else own.view_as(own)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return settled(grad[..., : ctx.own]), None


def _with_reading(trace: Trace, readout: Reader | None) -> Trace:
    """What the readout makes of the output, where the backend has not made it."""
    if readout is None or trace.read is not None:
        return trace
    output = trace.output
    if output.ndim == 4:
        return trace._replace(read=readout(output.flatten(0, 1)).unflatten(0, output.shape[:2]))
    return trace._replace(read=readout(output))


def _of_members(run: Callable[[LayerCall, str], Trace], ways: Sequence[str], call: LayerCall) -> Trace:
    """Compiled code for members: one call for all that run in the same way, each in the way that it runs alone."""
    if len(set(ways)) > 1:
        lots = [[k for k in range(len(ways)) if ways[k] == way] for way in dict.fromkeys(ways)]
        return _together([_of_members(run, [ways[k] for k in lot], _some(call, lot)) for lot in lots], lots)
    x, w_in, bias = call.x, call.w_in, call.bias
    if w_in is not None and ways[0] != "events":
        x, w_in, bias = _drive_of(dense(x).to(w_in.dtype), w_in, bias, call.sizes), None, None
    if ways[0] == "plain":
        drive = dense(x) if bias is None else dense(x) + bias[:, None, None]
        return call.plain(drive, call.w_rec, call.state, call.learned)
    return _with_reading(run(call._replace(x=x, w_in=w_in, bias=bias), ways[0]), call.readout)


def _some(call: LayerCall, lot: Sequence[int]) -> LayerCall:
    """The call of some of its members."""
    neurons, spikes = [call.neurons[k] for k in lot], [call.spikes[k] for k in lot]
    coefficients = [call.coefficients[k] for k in lot]
    features = call.w_in.shape[-2] if call.w_in is not None else call.x.shape[-1]
    sizes = None if call.sizes is None else [call.sizes[k] for k in lot]
    widths = [features] * len(lot) if sizes is None else [n for n, _ in sizes]
    recurrent = None if call.recurrent is None else [call.recurrent[k] for k in lot]
    return LayerCall(
        neurons=neurons,
        spikes=spikes,
        coefficients=coefficients,
        x=call.x if len(call.x.shape) == 3 else _lot(dense(call.x), lot),
        w_in=_lot(call.w_in, lot),
        w_rec=_lot(call.w_rec, lot),
        bias=_lot(call.bias, lot),
        state=tuple(_lot(own, lot) for own in call.state),
        learned={name: _lot(value, lot) for name, value in call.learned.items()},
        potentials=call.potentials,
        members=(len(lot),),
        readout=call.readout,
        sizes=sizes,
        recurrent=recurrent,
        plain=functools.partial(
            _plain, neurons, spikes, coefficients, call.potentials, True, call.readout, widths, recurrent
        ),
    )


def _lot(value: Any, lot: Sequence[int]) -> Any:
    """Some members' parts of a tensor [K, ...]; one of [] is everybody's."""
    if value is None or value.ndim == 0:
        return value
    rows = value.unbind()
    return torch.stack([rows[k] for k in lot])


def _together(traces: Sequence[Trace], lots: Sequence[Sequence[int]]) -> Trace:
    """The traces of some members each, as that of all."""
    place = {k: (at, own) for at, lot in enumerate(lots) for own, k in enumerate(lot)}

    def joined(parts: Sequence[Tensor]) -> Tensor:
        rows = [part.unbind() for part in parts]
        return torch.stack([rows[at][own] for at, own in (place[k] for k in sorted(place))])

    first = traces[0]
    output = joined([trace.output for trace in traces])
    lists = [trace.sent for trace in traces]
    sent = None
    if any(own is not None for own in lists):
        events = [
            Events.from_dense(trace.output.detach().flatten(0, 1)) if own is None else own
            for own, trace in zip(lists, traces, strict=True)
        ]
        batch = output.shape[1]
        parts = [_samples(events[at], own * batch, batch) for at, own in (place[k] for k in sorted(place))]
        sent = Events.cat(parts).beside(output)
        remember(output, sent)
    return Trace(
        output,
        tuple(joined(variable) for variable in zip(*(trace.state for trace in traces), strict=True)),
        None if first.potentials is None else joined([cast(Tensor, trace.potentials) for trace in traces]),
        sent=sent,
        read=None if first.read is None else joined([cast(Tensor, trace.read) for trace in traces]),
    )


def _samples(events: Events, begin: int, count: int) -> Events:
    """Those of some samples of [B, T, N] in a row."""
    steps = events.shape[1]
    pointer = events.pointer[begin * steps : (begin + count) * steps + 1]
    own = slice(int(pointer[0]), int(pointer[-1]))
    value = None if events.value is None else events.value[own]
    return Events.trusted(pointer - pointer[0], events.index[own], value, (count, *events.shape[1:]))


def _plain(
    neurons: Sequence[NeuronLike],
    spikes: Sequence[SpikeFunction | None],
    given: Sequence[Coefficients],
    potentials: bool,
    has_members: bool,
    readout: Reader | None,
    sizes: Sequence[int],
    recurrent: Sequence[bool] | None,
    drive: Tensor,
    w_rec: Tensor | None,
    state: State,
    learned: Mapping[str, Tensor],
) -> Trace:
    """The reference: one member after the other."""
    if not has_members:
        trace = neurons[0].run(drive, w_rec, state, spikes[0], {**given[0], **learned}, potentials)
        return _with_reading(trace, readout)
    traces = []
    for k, (neuron, n) in enumerate(zip(neurons, sizes, strict=True)):
        own_rec = None if w_rec is None or not (recurrent is None or recurrent[k]) else _corner(w_rec[k], n)
        own = {key: _of_member(value, k) for key, value in {**given[k], **learned}.items()}
        own = {key: value[:n] if isinstance(value, Tensor) and value.ndim else value for key, value in own.items()}
        own_drive = drive[k] if drive.ndim == 4 else drive
        own_state = tuple(v[k, ..., :n] for v in state)
        traces.append(neuron.run(own_drive[..., :n], own_rec, own_state, spikes[k], own, potentials))
    size = drive.shape[-1]
    trace = Trace(
        torch.stack([_wide(trace.output, size) for trace in traces]),
        tuple(
            torch.stack([_wide(own, size) for own in variable])
            for variable in zip(*(trace.state for trace in traces), strict=True)
        ),
        torch.stack([_wide(cast(Tensor, trace.potentials), size) for trace in traces]) if potentials else None,
    )
    return _with_reading(trace, readout)


def _wide(value: Tensor, size: int) -> Tensor:
    return value if value.shape[-1] == size else F.pad(value, (0, size - value.shape[-1]))


def _numbers(
    neurons: Sequence[NeuronLike],
    coefficients: Coefficients | Sequence[Coefficients] | None,
    shape: tuple[int, ...],
    like: Tensor,
) -> tuple[list[Coefficients], dict[str, Tensor]]:
    """The coefficients of each member, and those that were given as tensors, of the type of the weights."""
    first = neurons[0]
    if coefficients is None:
        own = [n.coefficients() for n in neurons]
        return [
            {
                key: _check_coefficient(key, value, shape[-1:], like) if isinstance(value, Tensor) else value
                for key, value in found.items()
            }
            for found in own
        ], {}
    if not isinstance(coefficients, dict) and isinstance(coefficients, Sequence):
        return _stacked(_each(coefficients, "sets of coefficients", shape[:-1]), first, shape, like)
    if lacking := [name for name in first.coefficient_names if name not in coefficients]:
        raise ConfigurationError(f"coefficients lack {', '.join(sorted(lacking))}, which {type(first).__name__} needs.")
    learned = {}
    for key, value in coefficients.items():
        if isinstance(value, Tensor):
            learned[key] = _check_coefficient(key, value, shape, like)
    return [{**coefficients, **learned}] * len(neurons), learned


def _stacked(
    coefficients: Sequence[Coefficients], neuron: NeuronLike, shape: tuple[int, ...], like: Tensor
) -> tuple[list[Coefficients], dict[str, Tensor]]:
    """Of each member as it would be alone; those that are a tensor somewhere as one tensor [K, N]."""
    learned = {}
    for name in neuron.coefficient_names:
        if any(name not in own for own in coefficients):
            raise ConfigurationError(f"coefficients lack {name}, which {type(neuron).__name__} needs.")
        values = [own[name] for own in coefficients]
        if any(isinstance(value, Tensor) for value in values):
            rows = [
                _check_coefficient(name, value, shape[-1:], like).expand(shape[-1])
                if isinstance(value, Tensor)
                else like.new_full(shape[-1:], value)
                for value in values
            ]
            learned[name] = torch.stack(rows)
    return [{**own, **learned} for own in coefficients], learned


def _members(x: Tensor | Events, w_in: Tensor | None) -> tuple[int, ...]:
    """(K,) when the weights, or the drive, have a member axis, and () when not."""
    if w_in is None:
        return (x.shape[0],) if x.ndim == 4 else ()
    return (w_in.shape[0],) if w_in.ndim == 3 else ()


def _each(given: Any, what: str, members: tuple[int, ...]) -> list[Any]:
    """One for each member: the given one for all, or a list of them."""
    if not hasattr(given, "__len__") or not isinstance(given, Sequence):  # the first is known sooner
        return [given] * (members[0] if members else 1)
    if not members:
        raise ConfigurationError(
            f"{len(given)} {what} came, and w_in is that of one layer; give one, or weights of K members [K, N, N_in]."
        )
    if len(given) != members[0]:
        raise ConfigurationError(f"{len(given)} {what} came for {members[0]} members; give one, or one per member.")
    return list(given)


def _of_member(value: Any, k: int) -> Any:
    """Coefficients that are there for each member."""
    return value[k] if isinstance(value, Tensor) and value.ndim == 2 else value


def _check_kinds(
    neurons: Sequence[NeuronLike], spikes: Sequence[SpikeFunction | None], w_rec: Tensor | Recurrence | None
) -> None:
    first, kind = neurons[0], None
    for n, spike in zip(neurons, spikes, strict=True):
        if n is not first and kind_of(n) != (kind := kind or kind_of(first)):
            raise ConfigurationError(
                f"members are {first} and {n}; they may differ in numbers only, not in class, form, reset or what is detached."
            )
        if n.spiking:
            if spike is not None:
                continue
            raise ConfigurationError(
                f"{type(first).__name__} spikes and needs a surrogate; pass spike=SuperSpike(), for example."
            )
        if spike is not None or w_rec is not None:
            what = "a surrogate" if spike is not None else "recurrent weights"
            raise ConfigurationError(
                f"{type(first).__name__} has no threshold, so there are no spikes for {what}; leave it out."
            )


def kind_of(neuron: NeuronLike) -> tuple[Any, ...]:
    """What members have in common: the class, and every field that is not a number.

    Example:
        >>> from snnlightning.neurons import LIF
        >>> kind_of(LIF(v_th=0.5)) == kind_of(LIF()), kind_of(LIF(reset="zero")) == kind_of(LIF())
        (True, False)
    """
    fields: Mapping[str, Any] = getattr(neuron, "__dataclass_fields__", {})
    words = []
    for name in fields:
        value = getattr(neuron, name)
        if value is True or value is False or not isinstance(value, _NUMBERS):
            words.append((name, value))
    return type(neuron), tuple(words), neuron.state_names, getattr(neuron, "refractory_steps", 0)


def supports(
    backend: str,
    neuron: NeuronLike,
    x: Tensor | Events,
    w_in: Tensor | None,
    spike: SpikeFunction | None = None,
    w_rec: Tensor | Recurrence | None = None,
) -> str | None:
    """None when a backend can run this, or the reason why it cannot.

    Args:
        backend: ``reference``, ``numba``, ``cpp`` (which is built when it is not there yet) or ``triton``.
        neuron: a record of :mod:`snnlightning.neurons`, or one of yours.
        x: the input.
        w_in: input weights; they decide the element type and the device. None: x is the drive.
        spike: the surrogate.
        w_rec: recurrent weights, where there are any.

    Example:
        >>> from snnlightning.neurons import LI
        >>> supports("reference", LI(), torch.ones(1, 2, 3), torch.ones(1, 3)) is None
        True
    """
    if backend == "reference":
        return None
    if backend not in _COMPILED:
        raise ConfigurationError(f"no backend named {backend!r}; available: {', '.join(BACKENDS)}.")
    w_in = dense(x) if w_in is None else w_in
    if (reason := _around(x, w_in) or (_for_gpu if backend == "triton" else _for_cpu)(x, w_in)) is not None:
        return reason
    if w_rec is not None and not isinstance(w_rec, Tensor):
        return f"the recurrent weights are a {type(w_rec).__name__}, and the kernels take a matrix [N, N]"
    fused = _beside(type(neuron).__module__)
    if fused is None:
        return (
            f"{type(neuron).__name__} has no file {type(neuron).__module__.rpartition('.')[2]}__fused.py beside its own"
        )
    found: str | None = fused.supports(backend, neuron, w_in, spike)
    if found is None and backend != "numba":  # which is not installed: that is said when it is imported
        found = fused.unavailable(backend, w_in.device)
    return found


def warmup(
    neuron: NeuronLike, spike: SpikeFunction | None = None, *, dtype: torch.dtype = torch.float32, backend: str = "numba"
) -> None:  # fmt: skip
    """Compile ahead what a compiled backend needs for this neuron and surrogate, or load it: seconds, once per machine.

    Raises:
        ConfigurationError, MissingDependencyError: as ``scan``.
    """
    for x in (torch.ones(1, 2, 64, dtype=dtype), torch.eye(64, dtype=dtype)[:1].expand(1, 2, 64)):
        w_in = torch.ones(64, 64, dtype=dtype, requires_grad=True)
        w_rec = torch.ones(64, 64, dtype=dtype, requires_grad=True) if neuron.spiking else None
        scan(neuron, x, w_in, w_rec, spike=spike, backend=backend).output.sum().backward()


def _choose(
    backend: str,
    neurons: Sequence[NeuronLike],
    x: Tensor | Events,
    w_in: Tensor,
    spikes: Sequence[SpikeFunction | None],
    w_rec: Tensor | Recurrence | None,
) -> str:
    """``numba``, ``cpp``, ``triton`` or ``reference``."""
    if backend == "auto" and is_compiling():
        return "reference"
    taken = backend
    if backend == "auto":
        taken = "triton" if w_in.device.type == "cuda" else "numba" if _is_here("numba") else "cpp"
    if backend == "triton":
        require("triton", "gpu", "backend='triton'")
    reason, asked = None, set()
    for n, spike in zip(neurons, spikes, strict=True):
        if type(spike) not in asked:  # neurons are of one class and form
            asked.add(type(spike))
            reason = reason or supports(taken, n, x, w_in, spike, w_rec)
    if reason is None:
        if taken == "numba" and not _is_here("numba"):
            require("numba", "fast", "backend='numba'")
        if backend == "auto":
            _say(f"backend='auto' takes {_COMPILED[taken]}.")
        return taken
    if backend == "auto":
        if taken == "cpp":
            reason = f"Numba is not installed (pip install 'snnlightning[fast]'), and for the C++ loops: {reason}"
        _say(f"backend='auto' takes the reference: {reason}.")
        return "reference"
    raise ConfigurationError(f"backend={backend!r} cannot do this: {reason}; use backend='auto' or 'reference'.")


def _around(x: Tensor | Events, w_in: Tensor) -> str | None:
    """What the surroundings of a call have against compiled loops, or None."""
    if is_compiling() or _is_tracing():
        return "the call is being traced (torch.compile or torch.jit), and the kernels cannot be"
    if _is_transforming():
        return "a transform of torch.func (vmap, grad, ...) is active, and the kernels see plain tensors only"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active, and the kernels have the backward pass only"
    for name, tensor in (("x", w_in if isinstance(x, Events) else x), ("w_in", w_in)):
        kind = type(tensor)
        if kind is not Tensor and kind is not Parameter:
            return f"{name} is a {kind.__name__}, and the kernels see plain tensors only"
        if tensor.layout is not _STRIDED:
            return f"{name} is sparse, and the kernels read dense tensors"
    return None


def _for_cpu(x: Tensor | Events, w_in: Tensor) -> str | None:
    """What they have against kernels on the CPU."""
    for name, tensor in (("x", x.index if isinstance(x, Events) else x), ("w_in", w_in)):
        if not tensor.is_cpu:
            return f"{name} is on {tensor.device.type}, and the kernels run on the CPU"
    return None


def _for_gpu(x: Tensor | Events, w_in: Tensor) -> str | None:
    """What they have against kernels on a GPU, or under Triton's interpreter on the CPU."""
    if not _is_here("triton"):
        return "Triton is not installed (pip install 'snnlightning[gpu]')"
    if x.device != w_in.device:
        return f"x is on {x.device} and w_in on {w_in.device}; the kernels need both on one GPU"
    if w_in.device.type not in ("cuda", "cpu"):  # whether they are interpreted on the CPU, they know
        return f"w_in is on {w_in.device.type}, and the kernels run on CUDA devices"
    return None


@functools.cache
def _beside(module: str) -> Any:
    """``fused`` of ``<neuron>__fused.py``, the file beside the neuron's own, or None."""
    try:
        return importlib.import_module(f"{module}__fused").fused
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.endswith("__fused"):
            raise
        return None


@functools.cache
def _is_here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@functools.cache
def _say(message: str) -> None:
    """Log once per process."""
    logger.info(message)


def initial_state(neuron: NeuronLike, batch: int, features: int, like: Tensor) -> State:
    """All variables zero: one [B, N] tensor per name in ``neuron.state_names``, of the dtype and device of ``like``."""
    return _zeros(neuron, like, (batch, features))


def _zeros(neuron: NeuronLike, like: Tensor, shape: tuple[int, ...]) -> State:
    return tuple(like.new_zeros(shape) for _ in neuron.state_names)


def _check_weights(
    x: Tensor | Events,
    w_in: Tensor | None,
    w_rec: Tensor | Recurrence | None,
    bias: Tensor | None,
    members: tuple[int, ...],
) -> int:
    shape = x.shape
    if len(shape) != 3 and not (members and len(shape) == 4):
        raise ShapeError(f"x is {list(shape)}; a batch of sequences [B, T, N_in] is expected (add the missing axis).")
    if w_in is None:
        if not x.dtype.is_floating_point:
            raise ShapeError(f"the drive is {x.dtype}; real numbers in floating point are expected.")
        features = shape[-1]
    else:
        features = _check_input(x, w_in, members)
    if w_rec is not None and tuple(w_rec.shape) != (*members, features, features):
        matrix, given = "K, N, N" if members else "N, N", "x" if w_in is None else "w_in"
        raise ShapeError(
            f"w_rec is {list(w_rec.shape)}; a recurrent matrix is [{matrix}], and {given} gives "
            f"{f'K = {members[0]}, ' if members else ''}N = {features}."
        )
    if bias is not None and tuple(bias.shape) != (*members, features):
        raise ShapeError(
            f"bias is {list(bias.shape)}; one per neuron is expected, {[*members, features]}"
            f"{' = [K, N]' if members else ''}."
        )
    return features


def _check_input(x: Tensor | Events, w_in: Tensor, members: tuple[int, ...]) -> int:
    shape, weights = x.shape, w_in.shape
    if len(weights) != (3 if members else 2):
        raise ShapeError(f"w_in is {list(weights)}; input weights are [N, N_in], or [K, N, N_in] for K members.")
    if shape[-1] != weights[-1]:
        raise ShapeError(f"x is {list(shape)} and has {shape[-1]} features; w_in {list(weights)} takes {weights[-1]}.")
    if len(shape) == 4 and shape[0] != members[0]:
        raise ShapeError(
            f"x is {list(shape)} and w_in {list(weights)}: inputs of {shape[0]} members, weights of {members[0]}."
        )
    if isinstance(x, Tensor) and x.dtype.is_complex:
        raise ShapeError("x is complex; real numbers are expected.")
    return weights[-2]


def _resting(neuron: NeuronLike, like: Tensor, shape: tuple[int, ...]) -> State:
    """``_zeros`` for loops on the CPU. They write into no state that they are given, so that one tensor does for all variables.

    NumPy makes it: torch takes three times as long to find out how to.
    """
    zero = torch.from_numpy(np.zeros(shape, np.float32 if like.dtype == torch.float32 else np.float64))
    return (zero,) * len(neuron.state_names)


def _check_state(neuron: NeuronLike, state: State, w_in: Tensor, shape: tuple[int, ...]) -> State:
    names = neuron.state_names
    if len(state) != len(names):
        raise ShapeError(
            f"the state has {len(state)} tensors; {type(neuron).__name__} has {len(names)}: {', '.join(names)}."
        )
    for name, tensor in zip(names, state, strict=True):
        if tuple(tensor.shape) != shape:
            axes = "[B, N]" if len(shape) == 2 else "[K, B, N]"
            raise ShapeError(f"state {name} is {list(tensor.shape)}; {axes} = {list(shape)} is expected.")
        if tensor.dtype != w_in.dtype:
            raise ConfigurationError(
                f"state {name} is {tensor.dtype} and the weights are {w_in.dtype}; convert one of them."
            )
    return tuple(state)


def _check_coefficient(name: str, value: Tensor, shape: tuple[int, ...], like: Tensor) -> Tensor:
    allowed: list[tuple[int, ...]] = [(), shape]
    if len(shape) == 2:
        allowed.append((shape[0], 1))
    if tuple(value.shape) not in allowed:
        listed = ", or ".join(str(list(one)) for one in allowed[1:])
        raise ShapeError(f"{name} has shape {list(value.shape)}; one value, or one per neuron {listed}, is expected.")
    return value.to(device=like.device, dtype=like.dtype)
