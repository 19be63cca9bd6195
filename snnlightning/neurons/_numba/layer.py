"""A whole layer over time as one autograd node: events in, loops of machine code, weight gradients by events.

Forward keeps the weights, the state that came and two lists of events (what arrived, what was sent); potentials are
computed again in the backward pass, a few samples at a time. All of it is owned by the node, so gradients may be
accumulated and any number of graphs may be alive at once.

Samples are split into chunks whose size does not depend on the number of threads, and every sum runs in the order of the
samples: results are the same bits for any number of threads.

Where something is not finite (weights, or a state or gradient on the way) the reference does the work: skipping zeros would
hide 0 times infinity.
"""

import dataclasses
import importlib
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...events import Events, dense, known, remember
from ...typing import Coefficients, NeuronLike, SpikeFunction, State, Trace
from . import kernels, pool
from .compiling import Kernel

__all__ = ["Dynamics", "run"]

Array = np.ndarray[Any, Any]

_CHUNK_ELEMENTS = 2**17
"""S T N of a chunk: its potentials stay in the cache of one core."""
_CHUNKS, _CHUNK_AT_LEAST = 8, 2**15
"""Batches are split into at least so many chunks, as far as there are samples and S T N does not fall below the second
number: a task for another thread costs as much as 10,000 elements."""


@dataclasses.dataclass(frozen=True)
class Dynamics:
    """Which of the recursions of :mod:`.kernels` a neuron is.

    Args:
        current: whether it has a synaptic current.
        delayed: whether its spikes travel one step longer.
        scaled: whether g = 1 - b, instead of 1.
        leaky: whether it has a ``decay_mem``; b = 1 without.
    """

    current: bool = False
    delayed: bool = False
    scaled: bool = False
    leaky: bool = True

    @property
    def decays(self) -> tuple[str, ...]:
        return ("decay_syn",) * self.current + ("decay_mem",) * self.leaky


@dataclasses.dataclass
class _Events:
    """Events as the kernels read them, of a chunk or of a batch; ``value`` is empty when all are one."""

    pointer: Array
    index: Array
    value: Array

    def part(self, lo: int, hi: int, steps: int) -> "_Events":
        """Those of some samples, in the same memory."""
        return _Events(self.pointer[lo * steps : hi * steps + 1], self.index, self.value)

    @classmethod
    def joined(cls, parts: Sequence["_Events"]) -> "_Events":
        """One list for all chunks."""
        starts = np.cumsum([0, *(part.pointer[-1] for part in parts)])
        pointers = [part.pointer[:-1] + start for part, start in zip(parts, starts, strict=False)]
        pointer = np.concatenate([*pointers, starts[-1:]])
        value = parts[0].value
        if any(part.value.size for part in parts):
            ones = (part.value if part.value.size else np.ones_like(part.index, value.dtype) for part in parts)
            value = np.concatenate([*ones])
        return cls(pointer, np.concatenate([part.index for part in parts]), value)

    @classmethod
    def of(cls, events: Events, dtype: torch.dtype) -> "_Events":
        """In the same memory where the element type allows it."""
        value = torch.empty(0, dtype=dtype) if events.value is None else events.value.detach().to(dtype)
        return cls(_array(events.pointer), _array(events.index), _array(value))


@dataclasses.dataclass(frozen=True)
class _Call:
    """What does not change during a call."""

    neuron: NeuronLike
    dynamics: Dynamics
    spike: SpikeFunction | None
    coefficients: Coefficients
    potentials: bool
    keep: bool
    w_rec_given: bool
    shape: torch.Size
    arrived: _Events | None
    found: list[_Events]
    sent: list[_Events]


def run(
    neuron: NeuronLike,
    dynamics: Dynamics,
    x: Tensor | Events,
    w_in: Tensor | None,
    w_rec: Tensor | None,
    bias: Tensor | None,
    state: State,
    spike: SpikeFunction | None,
    coefficients: Coefficients,
    potentials: bool,
) -> Trace:
    """The layer's output, last state and potentials; the arguments are those of ``scan``, checked."""
    events = None if w_in is None else x if isinstance(x, Events) else known(x)
    dtype = x.dtype if w_in is None else w_in.dtype
    finite = all(math.isfinite(float(w.detach().sum())) for w in (w_in, w_rec, bias) if w is not None)
    if not finite or not x.shape[0] * x.shape[1]:
        return neuron.run(_drive(dense(x).to(dtype), w_in, bias), w_rec, state, spike, coefficients, potentials)
    if w_in is None:
        sparse = False
    elif events is not None:
        sparse = events.density < _break_even(w_in.shape[0], looking_ns=0.0)
    else:
        sparse = x.shape[2] > 0 and _density(dense(x).to(dtype)) < _break_even(w_in.shape[0], looking_ns=0.6)
    arrived = _Events.of(events, dtype) if events is not None and sparse else None
    # What is needed of x itself: its elements where no list is there, its place in the graph.
    needed = not sparse or arrived is None or (isinstance(x, Tensor) and x.requires_grad)
    read: Tensor | None = dense(x).to(dtype) if needed else None
    learned = [t if isinstance(t := coefficients[name], Tensor) else None for name in dynamics.decays]
    given = (w_in, w_rec, bias, *state, *learned)
    keep = torch.is_grad_enabled() and any(u is not None and u.requires_grad for u in (read, *given))
    found: list[_Events] = []
    sent: list[_Events] = []
    given_rec = w_rec is not None
    call = _Call(neuron, dynamics, spike, coefficients, potentials, keep, given_rec, x.shape, arrived, found, sent)
    drive = _drive(read, w_in, bias) if not sparse and read is not None else None
    output, *rest = _Layer.apply(
        call, read if sparse else None, drive, w_in if sparse else None, bias if sparse else None, w_rec, *learned,
        *state,
    )  # fmt: skip
    last = tuple(rest[: len(state)])
    trace = Trace(output, last, (rest[-1] if neuron.spiking else output) if potentials else None)
    if neuron.spiking:
        own = _listed(sent, output)
        remember(output, own)
        trace = trace._replace(sent=own)
    if isinstance(x, Tensor) and x.dtype == dtype and (events is not None or found):
        trace = trace._replace(arrived=_listed(found, x) if events is None else events.beside(x))
    return trace


def _listed(parts: Sequence[_Events], x: Tensor) -> Events:
    """The events of all chunks as those of x [B, T, N]."""
    joined = _Events.joined(parts) if len(parts) > 1 else parts[0]
    value = torch.from_numpy(joined.value) if joined.value.size else None
    return Events.trusted(torch.from_numpy(joined.pointer), torch.from_numpy(joined.index), value, x.shape).beside(x)


def _drive(x: Tensor, w_in: Tensor | None, bias: Tensor | None) -> Tensor:
    """W x + bias; without weights x is the drive already."""
    if w_in is not None:
        return F.linear(x, w_in, bias)
    return x if bias is None else x + bias


def _density(x: Tensor) -> float:
    """The share of elements that are not zero, from about 64 rows."""
    rows = _array(x).reshape(-1, x.shape[-1])
    stride = max(1, rows.shape[0] // 64)
    counted = len(range(0, rows.shape[0], stride))
    return float(kernels.count_some.of(_name(x))(rows, stride)) / (counted * rows.shape[1])


def _break_even(features: int, looking_ns: float) -> float:
    """The density below which events are cheaper than a matrix product, forward and backward, for N neurons.

    Measured per element of x: a product costs about N / 35 ns, looking for events 0.6 ns, an event 10 + N / 8 ns.
    """
    return (features / 35.0 - looking_ns) / (10.0 + features / 8.0)


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _array(tensor: Tensor) -> Array:
    """The tensor's memory, or that of a contiguous copy."""
    array: Array = tensor.detach().resolve_neg().contiguous().numpy()
    return array


def _per_neuron(value: float | Tensor, features: int, dtype: np.dtype[Any]) -> Array:
    if isinstance(value, Tensor):
        return _array(value.detach().expand(features))
    return np.full(features, value, dtype)


class _Numbers:
    """The arrays that the kernels of a call read: coefficients, weights by presynaptic neuron, sizes and flags."""

    def __init__(self, call: _Call, like: Tensor, batch: int, steps: int, features: int) -> None:
        neuron, dynamics = call.neuron, call.dynamics
        self.batch, self.steps, self.features = batch, steps, features
        self.dtype = _name(like)
        self.real = np.dtype(self.dtype)
        given = call.coefficients
        decay_mem = given["decay_mem"] if dynamics.leaky else 1.0
        self.decay_mem = _per_neuron(decay_mem, features, self.real)
        self.decay_syn = _per_neuron(given["decay_syn"] if dynamics.current else 0.0, features, self.real)
        self.gain = _per_neuron(1.0 - decay_mem if dynamics.scaled else 1.0, features, self.real)
        self.v_th = self.real.type(getattr(neuron, "v_th", 1.0))
        self.attached = neuron.spiking and not getattr(neuron, "detach_reset", True)
        self.to_zero = neuron.spiking and getattr(neuron, "reset", "") == "zero"
        self.flags = (
            kernels.SPIKING * neuron.spiking
            + kernels.CURRENT * dynamics.current
            + kernels.RESET_ZERO * self.to_zero
            + kernels.RESET_ATTACHED * self.attached
            + kernels.RECURRENT * call.w_rec_given
            + kernels.DELAYED * dynamics.delayed
        )
        row = max(1, steps * features)
        size = max(1, min(_CHUNK_ELEMENTS // row, max(-(-batch // _CHUNKS), _CHUNK_AT_LEAST // row)))
        self.chunks = [(lo, min(lo + size, batch)) for lo in range(0, batch, size)]
        self.none1, self.none2, self.none3 = (np.empty((0,) * k, self.real) for k in (1, 2, 3))
        self.no_pointer, self.no_index = np.empty(0, np.int64), np.empty(0, np.int32)
        self.no_events = _Events(self.no_pointer, self.no_index, self.none1)

    def part(self, array: Array | None, lo: int, hi: int) -> Array:
        """A chunk of a [B, T, N] array, or nothing."""
        return self.none3 if array is None else array[lo:hi]


class _Layer(torch.autograd.Function):
    """scan's loop over time. Its input is events (listed in the call, or looked for in x), or drive, the product that is ready."""

    @staticmethod
    def forward(
        ctx: Any, call: _Call, x: Tensor | None, drive: Tensor | None, w_in: Tensor | None, bias: Tensor | None,
        w_rec: Tensor | None, *rest: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        source = w_in if w_in is not None else drive
        assert source is not None
        batch, steps = call.shape[:2]
        features = source.shape[0] if w_in is not None else source.shape[2]
        numbers = _Numbers(call, source, batch, steps, features)
        state = _named_state(call, rest)
        weights = _weights(numbers, w_in, bias, w_rec, state, drive)
        v = state["v"].detach().clone()
        i = state["i"].detach().clone() if call.dynamics.current else None
        output = source.new_empty(batch, steps, features)
        potentials = source.new_empty(batch, steps, features) if call.potentials and call.neuron.spiking else None
        arrived, sent = _forward(numbers, call, weights, x, v, i, output, potentials)
        last = {"v": v, "i": i, "z": output[:, -1].clone() if call.dynamics.delayed else None}
        states = [last[name] for name in call.neuron.state_names]
        if call.keep:
            ctx.call, ctx.numbers, ctx.arrived, ctx.sent = call, numbers, arrived, sent
            ctx.finite = all(bool(np.isfinite(s.numpy()).all()) for s in states if s is not None)
            ctx.save_for_backward(drive, w_in, bias, w_rec, *rest)
        ctx.set_materialize_grads(False)
        return (output, *states, *(() if potentials is None else (potentials,)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            found = _backward(ctx, grads) if ctx.finite else None
        if found is None:
            found = _reference_backward(ctx, grads)
        if not torch.is_grad_enabled():
            return found
        # create_graph=True: a second derivative would be lost in silence.
        anchor = torch.zeros((), requires_grad=True)
        return tuple(g if g is None else _NoSecondDerivative.apply(g.detach(), anchor) for g in found)


class _NoSecondDerivative(torch.autograd.Function):
    """A gradient that cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, anchor: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError(
            "backend='numba' has no second derivative (its gradients cannot be differentiated again); "
            "use backend='reference'."
        )


def _named_state(call: _Call, rest: Sequence[Tensor | None]) -> dict[str, Tensor]:
    names = call.neuron.state_names
    return {name: t for name, t in zip(names, rest[len(rest) - len(names) :], strict=True) if t is not None}


def _weights(
    numbers: _Numbers,
    w_in: Tensor | None,
    bias: Tensor | None,
    w_rec: Tensor | None,
    state: dict[str, Tensor],
    drive: Tensor | None,
) -> dict[str, Array]:
    first = numbers.none2
    if w_rec is not None and "z" in state:
        first = _array(F.linear(state["z"].detach(), w_rec.detach()))
    return {
        "drive": numbers.none3 if drive is None else _array(drive),
        "bias": numbers.none1 if bias is None else _array(bias),
        "w_in_t": numbers.none2 if w_in is None else _array(w_in.detach().mT),
        "w_rec_t": numbers.none2 if w_rec is None else _array(w_rec.detach().mT),
        "first": first,
    }


def _advance(
    numbers: _Numbers, weights: dict[str, Array], lo: int, hi: int, arrived: _Events, sent: _Events, known: bool,
    v: Array, i: Array, output: Array, potentials: Array, currents: Array,
) -> None:  # fmt: skip
    drive, first = weights["drive"], weights["first"]
    kernels.advance.of(numbers.dtype)(
        arrived.pointer, arrived.index, arrived.value, drive[lo:hi] if drive.size else drive, weights["bias"],
        weights["w_in_t"], weights["w_rec_t"], first[lo:hi] if first.size else first,
        numbers.decay_syn, numbers.decay_mem, numbers.gain, numbers.v_th, v, i,
        sent.pointer, sent.index, int(known), output, potentials, currents,
        np.empty((2, numbers.features), numbers.real), numbers.steps, numbers.flags,
    )  # fmt: skip


def _forward(
    numbers: _Numbers, call: _Call, weights: dict[str, Array], x: Tensor | None, v: Tensor, i: Tensor | None,
    output: Tensor, potentials: Tensor | None,
) -> tuple[list[_Events], list[_Events]]:  # fmt: skip
    given = None if x is None else _array(x)
    vs, cs, out = v.numpy(), numbers.none2 if i is None else i.numpy(), output.numpy()
    seen = None if potentials is None else potentials.numpy()
    arrived, sent = ([numbers.no_events] * len(numbers.chunks) for _ in range(2))

    def task(k: int) -> None:
        lo, hi = numbers.chunks[k]
        rows = (hi - lo) * numbers.steps
        incoming = numbers.no_events
        if call.arrived is not None:
            incoming = call.arrived.part(lo, hi, numbers.steps)
        elif given is not None:
            incoming = _find(numbers, given[lo:hi].reshape(rows, -1))
        own = numbers.no_events
        if call.neuron.spiking:
            own = _Events(np.zeros(rows + 1, np.int64), np.empty(rows * numbers.features + 1, np.int32), numbers.none1)
        current = cs[lo:hi] if cs.size else cs
        _advance(numbers, weights, lo, hi, incoming, own, False, vs[lo:hi], current, out[lo:hi],
                 numbers.part(seen, lo, hi), numbers.none3)  # fmt: skip
        arrived[k] = incoming
        if call.neuron.spiking:
            sent[k] = _Events(own.pointer, own.index[: own.pointer[-1]].copy(), numbers.none1)

    pool.run(task, len(numbers.chunks))
    if call.arrived is None and given is not None:
        call.found.extend(arrived)
    if call.neuron.spiking:
        call.sent.append(_Events.joined(sent))
        sent = [call.sent[0].part(lo, hi, numbers.steps) for lo, hi in numbers.chunks]
    return arrived, sent


def _find(numbers: _Numbers, x: Array) -> _Events:
    """The events of some rows."""
    room = x.size + 1
    pointer, index, value = np.empty(len(x) + 1, np.int64), np.empty(room, np.int32), np.empty(room, numbers.real)
    bits = x.view(f"i{x.itemsize}")
    counts = kernels.events.of(numbers.dtype)(x, bits, index, value, pointer) > 0
    return _Events(pointer, index[: pointer[-1]].copy(), value[: pointer[-1]].copy() if counts else numbers.none1)


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, ...] | None:  # noqa: PLR0915
    """All gradients, or None when something on the way was not finite."""
    call, numbers = ctx.call, ctx.numbers
    neuron, dynamics = call.neuron, call.dynamics
    drive, w_in, bias, w_rec, *rest = ctx.saved_tensors
    _, wants_x, wants_drive, wants_w_in, wants_bias, wants_w_rec, *wants_rest = ctx.needs_input_grad
    state = _named_state(call, rest)
    wants_decays = any(wants_rest[: len(dynamics.decays)])
    batch, steps, features = numbers.batch, numbers.steps, numbers.features
    real = numbers.real

    above: dict[str, Tensor | None] = dict(zip(neuron.state_names, grads[1:], strict=False))
    grad_output = None if grads[0] is None else _array(grads[0])
    grad_potentials = grads[-1] if neuron.spiking and call.potentials else None
    from_potentials = None if grad_potentials is None else _array(grad_potentials)

    def start(name: str) -> Array:
        grad = above.get(name)
        return np.zeros((batch, features), real) if grad is None else _array(grad).copy()

    grad_v, grad_i = start("v"), start("i") if dynamics.current else numbers.none2
    grad_z = start("z") if dynamics.delayed else numbers.none2
    needs_potentials = neuron.spiking or wants_decays
    needs_currents = wants_decays or (numbers.attached and numbers.to_zero)
    through_w_rec = w_rec is not None and neuron.spiking and not getattr(neuron, "detach_recurrent", False)
    weights = _weights(numbers, w_in, bias, w_rec, state, drive) if needs_potentials else {}
    back = {"w_rec": _array(w_rec), "w_rec_t": weights["w_rec_t"]} if through_w_rec else {}
    whole = np.empty((batch, steps, features), real) if wants_x or wants_drive else None
    decays = np.zeros((batch, 3, features), real) if wants_decays else numbers.none3
    at_start = np.empty((batch, features), real) if dynamics.delayed and w_rec is not None else numbers.none2
    grad_w_in = np.zeros((w_in.shape[1], features), real) if wants_w_in else None
    grad_w_rec = np.zeros((features, features), real) if wants_w_rec else None
    grad_bias = np.zeros((batch, features), real) if wants_bias else None
    derivative = _derivative(call.spike) if neuron.spiking else None
    threads = torch.get_num_threads()
    together = 1 if threads == 1 else 2 * threads
    deltas: dict[int, Array] = {}
    if derivative is not None:
        formula, parameters = derivative[0].of(numbers.dtype), np.array(derivative[1], real)
    v_start = _array(state["v"])
    i_start = _array(state["i"]) if dynamics.current else numbers.none2

    def again(k: int) -> tuple[Array, Array]:
        """v[n] and x[n] of a chunk, computed once more."""
        lo, hi = numbers.chunks[k]
        shape = (hi - lo, steps, features)
        potentials = np.empty(shape, real)
        currents = np.empty(shape, real) if needs_currents else numbers.none3
        _advance(numbers, weights, lo, hi, ctx.arrived[k], ctx.sent[k], True, v_start[lo:hi].copy(),
                 i_start[lo:hi].copy(), numbers.none3, potentials, currents)  # fmt: skip
        return potentials, currents

    def through_time(k: int, potentials: Array, currents: Array, psi: Array) -> None:
        lo, hi = numbers.chunks[k]
        delta = np.empty((hi - lo, steps, features), real) if whole is None else whole[lo:hi]
        deltas[k] = delta
        kernels.retreat.of(numbers.dtype)(
            psi, numbers.part(grad_output, lo, hi), numbers.part(from_potentials, lo, hi), potentials, currents,
            ctx.sent[k].pointer, ctx.sent[k].index, back.get("w_rec", numbers.none2),
            back.get("w_rec_t", numbers.none2), numbers.decay_syn, numbers.decay_mem, numbers.gain, numbers.v_th,
            grad_v[lo:hi], grad_i[lo:hi] if grad_i.size else grad_i, grad_z[lo:hi] if grad_z.size else grad_z,
            delta, decays[lo:hi] if decays.size else decays, np.zeros((3, hi - lo, features), real),
            np.empty(features + 1, np.int32), steps, numbers.flags,
        )  # fmt: skip
        if grad_bias is not None:
            grad_bias[lo:hi] = delta.sum(axis=1)
        if at_start.size:
            at_start[lo:hi] = delta[:, 0]

    def task(k: int) -> None:
        potentials, currents = again(k) if needs_potentials else (numbers.none3, numbers.none3)
        psi = numbers.none3
        if neuron.spiking:
            # In place when nobody reads the potentials any more.
            psi = np.empty_like(potentials) if wants_decays or needs_currents else potentials
            formula(potentials.reshape(-1), numbers.v_th, parameters, psi.reshape(-1))
        through_time(k, potentials, currents, psi)

    for begin in range(0, len(numbers.chunks), together):
        group = range(begin, min(begin + together, len(numbers.chunks)))
        if neuron.spiking and derivative is None:
            # A surrogate that only torch knows: potentials of all samples of the group, then h on this thread.
            made: dict[int, tuple[Array, Array]] = {}
            pool.run(lambda k: made.__setitem__(group[k], again(group[k])), len(group))  # noqa: B023
            shapes = {k: call.spike.derivative(torch.from_numpy(made[k][0]) - float(numbers.v_th)) for k in group}
            pool.run(lambda k: through_time(group[k], *made[group[k]], _array(shapes[group[k]])), len(group))  # noqa: B023
        else:
            pool.run(lambda k: task(group[k]), len(group))  # noqa: B023
        _sum_weights(numbers, ctx, [(k, deltas.pop(k)) for k in group], grad_w_in, grad_w_rec, threads)

    if not all(bool(np.isfinite(array).all()) for array in (grad_v, grad_i)):
        return None
    first_z = None
    if at_start.size:
        delta_0 = torch.from_numpy(at_start)
        if grad_w_rec is not None:
            grad_w_rec += _array(state["z"].detach().mT @ delta_0)
        first_z = delta_0 @ w_rec.detach() if through_w_rec else None
    firsts = {"v": torch.from_numpy(grad_v), "i": torch.from_numpy(grad_i), "z": first_z}
    grad_x = None
    if wants_x:
        grad_x = torch.from_numpy(whole) @ w_in.detach()
    return (
        None,
        grad_x,
        torch.from_numpy(whole) if wants_drive else None,
        None if grad_w_in is None else torch.from_numpy(grad_w_in).mT,
        None if grad_bias is None else torch.from_numpy(grad_bias).sum(dim=0),
        None if grad_w_rec is None else torch.from_numpy(grad_w_rec).mT,
        *_decay_gradients(dynamics, decays, rest, wants_rest),
        *(firsts[name] if wanted else None for name, wanted in _last(neuron.state_names, wants_rest)),
    )


def _last(names: Sequence[str], wants: Sequence[bool]) -> list[tuple[str, bool]]:
    return list(zip(names, wants[len(wants) - len(names) :], strict=True))


def _decay_gradients(
    dynamics: Dynamics, sums: Array, rest: Sequence[Tensor | None], wants: Sequence[bool]
) -> list[Tensor | None]:
    """Of a and b in their own shape; g = 1 - b gives its share to b."""
    if not sums.size:
        return [None] * len(dynamics.decays)
    a, b, g = torch.from_numpy(sums).sum(dim=0)
    own = {"decay_syn": a, "decay_mem": b - g if dynamics.scaled else b}
    return [
        None
        if not wanted or tensor is None
        else own[name].sum()
        if tensor.ndim == 0
        else own[name].reshape(tensor.shape)
        for name, tensor, wanted in zip(dynamics.decays, rest, wants, strict=False)
    ]


def _sum_weights(
    numbers: _Numbers, ctx: Any, deltas: list[tuple[int, Array]], grad_w_in: Array | None, grad_w_rec: Array | None,
    threads: int,
) -> None:  # fmt: skip
    """Add some chunks to the weight gradients; threads share the columns, so the order of the sums does not change."""
    kernel = kernels.weight_gradient.of(numbers.dtype)
    width = -(-numbers.features // threads)
    width = -(-width // 16) * 16
    blocks = [(lo, min(lo + width, numbers.features)) for lo in range(0, numbers.features, width)]
    delayed = int(ctx.call.dynamics.delayed)
    jobs = [
        (lo, hi, grad, lists, late)
        for grad, lists, late in ((grad_w_in, ctx.arrived, 0), (grad_w_rec, ctx.sent, delayed))
        if grad is not None
        for lo, hi in blocks
    ]

    def task(j: int) -> None:
        lo, hi, grad, lists, late = jobs[j]
        for k, delta in deltas:
            kernel(delta, lists[k].pointer, lists[k].index, lists[k].value, late, lo, hi, grad)

    pool.run(task, len(jobs))


def _derivative(spike: SpikeFunction | None) -> tuple[Kernel, tuple[float, ...]] | None:
    """The surrogate's h as a kernel, when a file ``<surrogate>__numba.py`` beside it has one; and its parameters."""
    module = _beside(type(spike).__module__)
    if module is None:
        return None
    return _kernel_of(module.derivative), module.parameters(spike)


_beside_cache: dict[str, ModuleType | None] = {}
_kernel_cache: dict[Callable[..., None], Kernel] = {}


def _beside(name: str) -> ModuleType | None:
    if name not in _beside_cache:
        try:
            _beside_cache[name] = importlib.import_module(f"{name}__numba")
        except ModuleNotFoundError:
            _beside_cache[name] = None
    return _beside_cache[name]


def _kernel_of(formula: Callable[..., None]) -> Kernel:
    if formula not in _kernel_cache:
        _kernel_cache[formula] = Kernel(formula, "void(real[::1], real, real[::1], real[::1])", False)
    return _kernel_cache[formula]


def _reference_backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The same gradients from the plain loop, where something is not finite."""
    call, numbers = ctx.call, ctx.numbers
    wants = ctx.needs_input_grad[1:]
    with torch.enable_grad():
        saved: list[Any] = [None if t is None else t.detach().requires_grad_() for t in ctx.saved_tensors]
        drive, w_in, bias, w_rec, *rest = saved
        x = None
        if drive is None:
            x = torch.from_numpy(_dense(numbers, ctx.arrived, call.shape)).requires_grad_()
            current = F.linear(x, w_in, bias)
        else:
            current = drive
        decays = {name: t for name, t in zip(call.dynamics.decays, rest, strict=False) if t is not None}
        state = tuple(_named_state(call, rest).values())
        trace = call.neuron.run(current, w_rec, state, call.spike, {**call.coefficients, **decays}, call.potentials)
        outputs = (trace.output, *trace.state, *([trace.potentials] if call.neuron.spiking and call.potentials else []))
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
        inputs: tuple[Any, ...] = (x, drive, w_in, bias, w_rec, *rest)
        leaves = [t for t, wanted in zip(inputs, wants, strict=True) if wanted]
        found = iter(torch.autograd.grad([o for o, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True))
    return (None, *(next(found) if wanted else None for wanted in wants))


def _dense(numbers: _Numbers, arrived: list[_Events], shape: torch.Size) -> Array:
    """x again, from its events."""
    x = np.zeros(tuple(shape), numbers.real)
    for (lo, hi), events in zip(numbers.chunks, arrived, strict=True):
        rows = x[lo:hi].reshape(-1, shape[2])
        row = np.repeat(np.arange(len(rows)), np.diff(events.pointer))
        own = slice(events.pointer[0], events.pointer[-1])
        rows[row, events.index[own]] = events.value[own] if events.value.size else 1.0
    return x
