"""A whole layer over time as one autograd node: events in, loops of machine code, weight gradients by events.

Forward keeps the weights, the state that came and two lists of events (what arrived, what was sent); potentials are
computed again in the backward pass, a few samples at a time, unless they are few. All of it is owned by the node, so gradients may be
accumulated and any number of graphs may be alive at once.

Samples are split into chunks, and chunks into lots, whose sizes do not depend on the number of threads. Sums run in the order of the samples
within a lot and then in that of the lots: the loops give the same bits for any number of threads.

Where something is not finite (weights, or a state or gradient on the way) the reference does the work: skipping zeros would
hide 0 times infinity.

A readout over time that the loops know (``reduction``) is made by them on their way, and its gradient enters the backward loop as
one row per sample; others are the caller's.

Members: K networks of one shape are K times as many tasks, each with the weights and numbers of its member. Inside, every
array has the axis K, of size 1 where the caller has none.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...events import Events, dense, known, remember, settled
from ...typing import Coefficients, LayerCall, NeuronLike, Plain, Reader, SpikeFunction, Trace
from . import memory, pool
from .around import coefficient_gradients, drive_of, refuse_second_derivative
from .formula import formula
from .recursion import READ_MAX, READ_SUM, RECURRENT, RESET_ATTACHED, RESET_ZERO, SPIKING, Recursion
from .sent_back import SentBack
from .weight_gradient import WeightGradient, lots

__all__ = ["Code", "run", "ways"]

Array = np.ndarray[Any, Any]


class Code(Protocol):
    """What compiles the loops."""

    def loop(self, name: str, dtype: str) -> Callable[..., Any]:
        """A loop by name, for ``float32`` or ``float64``."""

    def derivative(self, spike: Any, dtype: str) -> tuple[Callable[..., Any], tuple[float, ...]] | None:
        """The surrogate's h as a loop ``(v, v_th, parameters, out)`` and its parameters, or None where it has none."""


_CHUNK_ELEMENTS = 2**17
"""S T N of a chunk: its potentials stay in the cache of one core."""


_STORED_BYTES = 2**23
"""Variables of all steps that take up to so much are stored; of more, the surrogate's h is packed, or they are computed again."""


_PACKED_BYTES = 2**24
"""What packed h may take; chunks for which there is no room left are computed again in the backward pass."""


_WIDE = 128
"""Neurons from which h is packed: it saves a tenth of a step at 256 and costs a quarter of the bytes that potentials take."""


_BLOCK = 256
"""Elements of h whose places are one byte each."""


_CACHED_BYTES = 2**20
"""Input weights that are more than this go block of neurons by block, each half as large: it stays in the second cache while the events of
all steps pass. One row after the other of 64 MB comes from memory, which takes five times as long. The gradient of recurrent weights
does from half of it on, being written as well; it takes a tenth less at 512 neurons."""


_SHORT_ROW = 32
"""Neurons up to which the loops send gradients on to x themselves: BLAS takes three to five times as long."""


_COUNTED_STEPS = 2**24
"""Whole numbers below are exact in float32, in which the step of a maximum is kept."""


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
        starts = list(itertools.accumulate((int(part.pointer[-1]) for part in parts), initial=0))
        pointer, at = np.empty(sum(len(part.pointer) - 1 for part in parts) + 1, np.int64), 0
        for part, start in zip(parts, starts, strict=False):
            np.add(part.pointer, start, out=pointer[at : at + len(part.pointer)])
            at += len(part.pointer) - 1
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
    """What does not change during a call; one neuron, recursion, surrogate and set of coefficients per member."""

    code: Code
    neurons: Sequence[NeuronLike]
    recursions: Sequence[Recursion]
    spikes: Sequence[SpikeFunction | None]
    coefficients: Sequence[Coefficients]
    plain: Plain
    potentials: bool
    keep: bool
    w_rec_given: bool
    members: tuple[int, ...]
    shape: torch.Size
    arrived: _Events | None
    found: list[_Events]
    sent: list[_Events]
    reduction: str | None
    sizes: Sequence[tuple[int, int]] | None
    recurrent: Sequence[bool] | None
    before: bool
    """Whether x is what another such node made; it reads a gradient by its factors."""

    @property
    def neuron(self) -> NeuronLike:
        """The first; what is asked of it is the same for all."""
        return self.neurons[0]

    @property
    def recursion(self) -> Recursion:
        """The first; see ``neuron``."""
        return self.recursions[0]


def run(code: Code, recursions: Sequence[Recursion], work: LayerCall, way: str | None = None) -> Trace:
    """The layer's output, last state and potentials; what the readout makes of it where the loops know it.

    Args:
        code: of the backend.
        recursions: of each member.
        work: what to run.
        way: one of :func:`ways`; decided here when None, without members.
    """
    x, w_in, w_rec, bias, state, learned = work.x, work.w_in, work.w_rec, work.bias, work.state, work.learned
    neuron, recursion, potentials = work.neurons[0], recursions[0], work.potentials
    events = None if w_in is None else x if isinstance(x, Events) else known(x)
    dtype = x.dtype if w_in is None else w_in.dtype
    if way is None:
        (way,) = set(ways(code, work))
    if way == "plain":
        return work.plain(drive_of(dense(x).to(dtype), w_in, bias).to(dtype), w_rec, state, learned)
    sparse = way == "events"
    arrived = _Events.of(events, dtype) if events is not None and sparse else None
    # What is needed of x itself: its elements where no list is there, its place in the graph.
    needed = not sparse or arrived is None or (isinstance(x, Tensor) and x.requires_grad)
    read: Tensor | None = dense(x).to(dtype) if needed else None
    inputs = [learned.get(name) for name in recursion.learnable]
    given = (w_in, w_rec, bias, *state, *inputs)
    keep = torch.is_grad_enabled() and any(u is not None and u.requires_grad for u in (read, *given))
    found: list[_Events] = []
    sent: list[_Events] = []
    reduction = None if neuron.spiking or x.shape[-2] >= _COUNTED_STEPS else _reduction(work.readout)
    call = _Call(
        code, work.neurons, recursions, work.spikes, work.coefficients, work.plain, potentials, keep, w_rec is not None, work.members,
        x.shape, arrived, found, sent, reduction, work.sizes, work.recurrent, _made_by_a_layer(read),
    )  # fmt: skip
    # The one thing that autocast makes half.
    drive = drive_of(read, w_in, bias).to(dtype) if not sparse and read is not None else None
    with _in_full():
        output, *rest = _Layer.apply(
            call, read if sparse else None, drive, w_in if sparse else None, bias if sparse else None, w_rec, *inputs, *state,
        )  # fmt: skip
    last = tuple(rest[: len(state)])
    trace = Trace(output, last, (rest[-1] if neuron.spiking else output) if potentials else None)
    if neuron.spiking:
        own = _listed(sent, output)
        remember(output, own)
        trace = trace._replace(sent=own)
    if reduction is not None:
        trace = trace._replace(read=rest[-1])
    if isinstance(x, Tensor) and x.dtype == dtype and (events is not None or found):
        trace = trace._replace(arrived=_listed(found, x) if events is None else events.beside(x))
    return trace


def _in_full() -> contextlib.AbstractContextManager[Any]:
    """The loops compute in the precision of the weights, also under autocast."""
    return torch.autocast("cpu", enabled=False) if torch.is_autocast_enabled("cpu") else contextlib.nullcontext()


def _made_by_a_layer(x: Tensor | None) -> bool:
    return x is not None and x.output_nr == 0 and type(x.grad_fn) is _Layer._backward_cls


def _reduction(readout: Reader | None) -> str | None:
    """What the class itself says it does; a class made from it may do something else."""
    found: str | None = vars(type(readout)).get("reduction")
    return found


def _listed(parts: Sequence[_Events], x: Tensor) -> Events:
    """The events of all chunks as those of x [B, T, N], or of [K, B, T, N] as K B samples."""
    joined = _Events.joined(parts) if len(parts) > 1 else parts[0]
    value = torch.from_numpy(joined.value) if joined.value.size else None
    shape = (x.shape[:-2].numel(), *x.shape[-2:])
    return Events.trusted(torch.from_numpy(joined.pointer), torch.from_numpy(joined.index), value, shape).beside(x)


def ways(code: Code, work: LayerCall) -> list[str]:
    """How each member runs: ``plain`` where something is not finite, from its ``events``, or from the ``drive``.

    It is the same for a member alone, whatever it is beside and however far it is padded, and decides how its sums are rounded.
    """
    x, w_in, count = work.x, work.w_in, len(work.neurons)
    weights = (w_in, work.w_rec, work.bias)
    if not math.prod(x.shape[:-1]):
        return ["plain"] * count
    sums = [
        [float(w.detach().sum())] if count == 1 else w.detach().flatten(1).sum(1).tolist()
        for w in weights
        if w is not None
    ]
    finite = [all(map(math.isfinite, own)) for own in zip(*sums, strict=True)] if sums else [True] * count
    if w_in is None:
        return ["drive" if own else "plain" for own in finite]
    own_sizes = work.sizes or [(w_in.shape[-2], w_in.shape[-1])] * count
    events, looking_ns = x if isinstance(x, Events) else known(x), 0.0
    if events is not None and len(x.shape) == 3:
        densities = [events.density] * count
    elif events is not None:
        rows = math.prod(x.shape[1:-1])
        found = events.pointer[::rows].diff().tolist()
        densities = [n / max(1, rows * n_in) for n, (_, n_in) in zip(found, own_sizes, strict=True)]
    elif x.shape[-1] == 0:
        densities = [math.inf] * count
    else:
        looking_ns, read = 0.3, dense(x).to(w_in.dtype)
        if read.ndim == 3:
            densities = [_density(code, read, read.shape[-1])] * count
        else:
            densities = [_density(code, own, n_in) for own, (_, n_in) in zip(read, own_sizes, strict=True)]
    return [
        "plain" if not own else "events" if density < _break_even(n, looking_ns) else "drive"
        for own, density, (n, _) in zip(finite, densities, own_sizes, strict=True)
    ]


def _density(code: Code, x: Tensor, features: int) -> float:
    """The share of elements that are not zero, from about 64 rows, of so many features."""
    rows = _array(x).reshape(-1, x.shape[-1])
    stride = max(1, rows.shape[0] // 64)
    counted = len(range(0, rows.shape[0], stride))
    return float(code.loop("count_some", _name(x))(rows, stride)) / (counted * features)


def _break_even(features: int, looking_ns: float) -> float:
    """The density below which events are cheaper than a matrix product, forward and backward, for N neurons.

    Measured per element of x: a product costs 0.4 + N / 24 ns (half of it where autocast makes it half), looking for events 0.3 ns,
    an event 3 + N / 8 ns.
    """
    product_ns = (0.4 + features / 24.0) * (0.5 if torch.is_autocast_enabled("cpu") else 1.0)
    return (product_ns - looking_ns) / (3.0 + features / 8.0)


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _array(tensor: Tensor) -> Array:
    """The tensor's memory, or that of a contiguous copy."""
    tensor = tensor.detach()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    array: Array = tensor.contiguous().numpy()
    return array


def _rows(values: Sequence[float | Tensor], features: int, dtype: np.dtype[Any]) -> Array:
    """One row of N for each."""
    if not any(isinstance(value, Tensor) for value in values):
        return _number_rows(tuple(values), features, dtype)
    found = memory.empty((len(values), features), dtype)
    for row, value in zip(found, values, strict=True):
        row[:] = value.detach().numpy() if isinstance(value, Tensor) else value
    return found


@functools.lru_cache(256)
def _number_rows(values: tuple[float, ...], features: int, dtype: np.dtype[Any]) -> Array:
    """Of numbers alone, which are the same in every step."""
    found = memory.empty((len(values), features), dtype)
    found[:] = np.array(values, dtype)[:, None]
    return found


@functools.cache
def _nothing(dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """Empty arrays of one, two and three axes."""
    return np.empty(0, dtype), np.empty((0, 0), dtype), np.empty((0, 0, 0), dtype)


class _Numbers:
    """The arrays that the loops of a call read: coefficients, weights by presynaptic neuron, sizes and flags."""

    def __init__(self, call: _Call, like: Tensor, batch: int, steps: int, features: int) -> None:
        neuron = call.neuron
        self.members, self.batch, self.steps, self.features = len(call.neurons), batch, steps, features
        self.axis = call.members
        self.code, self.dtype = call.code, _name(like)
        self.real = np.dtype(self.dtype)
        self.coefficients = [
            _rows(recursion.rows(given), features, self.real)
            for recursion, given in zip(call.recursions, call.coefficients, strict=True)
        ]
        self.attached = neuron.spiking and not getattr(neuron, "detach_reset", True)
        self.to_zero = neuron.spiking and getattr(neuron, "reset", "") == "zero"
        self.silent = int(getattr(neuron, "refractory_steps", 0))
        self.adaptive = call.recursion.loops != "linear"
        self.flags = (
            call.recursion.flags
            | SPIKING * neuron.spiking
            | RESET_ZERO * self.to_zero
            | RESET_ATTACHED * self.attached
            | READ_SUM * (call.reduction in ("sum", "mean"))
            | READ_MAX * (call.reduction == "max")
        )
        self.blocks: list[tuple[int, int]] = []
        self.recurrent = [
            call.w_rec_given and (call.recurrent is None or call.recurrent[k]) for k in range(self.members)
        ]
        self.widths = [features] * self.members if call.sizes is None else [n for n, _ in call.sizes]
        self.chunks: list[tuple[int, int, int]] = []
        self.lots: list[range] = []
        for k, width in enumerate(self.widths):
            own, at = _chunks(batch, steps * width), len(self.chunks)
            inputs = (call.shape[-1] if call.sizes is None else call.sizes[k][1]) + width * self.recurrent[k]
            parts = lots(len(own), inputs * width * self.real.itemsize)
            self.lots += [range(at + part.start, at + part.stop) for part in parts]
            self.chunks += [(k, lo, hi) for lo, hi in own]
        self.none1, self.none2, self.none3 = _nothing(self.real)
        self.no_pointer, self.no_index = np.empty(0, np.int64), np.empty(0, np.int32)
        self.no_events = _Events(self.no_pointer, self.no_index, self.none1)
        suffix = "" if not self.adaptive else f"_{call.recursion.loops}"
        self.advance = call.code.loop(f"advance{suffix}", self.dtype)
        self.retreat_name = f"retreat{suffix}"

    def own(self, k: int, *arrays: Array) -> list[Array]:
        """Arrays [..., N] without the neurons that pad member k, as it has them alone; what is empty stays so."""
        n = self.widths[k]
        if n == self.features:
            return [*arrays]
        return [
            array if array.shape[-1] in (0, n) else np.ascontiguousarray(array[..., :n]) for array in arrays
        ]  # fmt: skip

    def flags_of(self, k: int) -> int:
        """The flags of a member's loops."""
        return self.flags | RECURRENT * self.recurrent[k]

    def over_samples(self, array: Array) -> Array:
        """The sum of [K, B, ..., N] over B: numpy adds a column by itself, a member of one neuron's, in another order."""
        if min(self.widths) == self.features:
            return np.asarray(array.sum(axis=1))
        out = np.zeros((len(array), *array.shape[2:]), array.dtype)
        for k, n in enumerate(self.widths):
            out[k, ..., :n] = self.own(k, array[k : k + 1])[0].sum(axis=1)[0]
        return out

    def all(self, tensor: Tensor | None) -> Array | None:
        """The memory of a tensor, with the member axis."""
        return None if tensor is None else self.view(_array(tensor))

    def view(self, array: Array) -> Array:
        """[K, ...], whether there was a member axis or not."""
        return array.reshape(self.members, *array.shape[len(self.axis) :])

    def blocked(self, w: Tensor | None, room: int) -> list[tuple[int, int]]:
        """Neurons lo ... hi - 1 of each block of weights, none where they are small."""
        if w is None or self.axis or w.numel() * self.real.itemsize <= room:
            return []
        width = max(64, room // 2 // (w.shape[1] * self.real.itemsize) // 64 * 64)
        return [(lo, min(lo + width, self.features)) for lo in range(0, self.features, width)]

    def turned(self, array: Array) -> Array:
        """[K, N, M] from [K, M, N]."""
        out = memory.empty((len(array), array.shape[2], array.shape[1]), self.real)
        turn = self.code.loop("turn", self.dtype)
        for own, to in zip(array, out, strict=True):
            turn(own, to)
        return out

    def zeros(self, *shape: int) -> Array:
        """[K, ...]."""
        return memory.zeros((self.members, *shape), self.real)

    def given_back(self, array: Array) -> Tensor:
        """A tensor, with a member axis only if the call has one."""
        return torch.from_numpy(array.reshape(*self.axis, *array.shape[1:]))


def _chunks(batch: int, row: int) -> list[tuple[int, int]]:
    """Samples in chunks, of ``row`` elements each: as for a member alone, however many they are; how its parts add up depends on it."""
    row = max(1, row)
    size = max(1, min(_CHUNK_ELEMENTS // row, batch))
    count = -(-batch // size)
    if count > 1:
        count += count % 2  # two lots are as long then, where samples allow it
    size = max(1, -(-batch // count))  # as many in each
    return [(lo, min(lo + size, batch)) for lo in range(0, batch, size)]


def _part(array: Array | None, chunk: tuple[int, int, int], none: Array) -> Array:
    """A chunk of [K, B, ...], or nothing."""
    k, lo, hi = chunk
    return none if array is None else array[k, lo:hi]


class _Layer(torch.autograd.Function):
    """scan's loop over time. Its input is events (listed in the call, or looked for in x), or drive, the product that is ready."""

    @staticmethod
    def forward(
        ctx: Any, call: _Call, x: Tensor | None, drive: Tensor | None, w_in: Tensor | None, bias: Tensor | None,
        w_rec: Tensor | None, *rest: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        source = w_in if w_in is not None else drive
        assert source is not None
        batch, steps = call.shape[-3:-1]
        features = source.shape[-2] if w_in is not None else source.shape[-1]
        numbers = _Numbers(call, source, batch, steps, features)
        state = _named_state(call, rest)
        numbers.blocks = numbers.blocked(w_in, _CACHED_BYTES)
        weights = _weights(numbers, w_in, bias, w_rec, state, drive)
        last = {name: variable.detach().clone() for name, variable in state.items() if name != "z"}
        shape = (*call.members, batch, steps, features)
        output = _empty(shape, numbers)
        potentials = _empty(shape, numbers) if call.potentials and call.neuron.spiking else None
        coefficients = ctx.needs_input_grad[6 : 6 + len(call.recursion.learnable)]
        wanted = _stored(numbers, call, any(coefficients))
        size = sum(wanted) * output.numel() * numbers.real.itemsize
        stores = call.keep and call.neuron.spiking and potentials is None and size <= _STORED_BYTES
        stored: dict[int, _Kept] | None = {} if stores else None
        packs = call.keep and call.neuron.spiking and not stores and not any(wanted[1:]) and features >= _WIDE
        packed = _Packed(_Slopes(call, numbers), _PACKED_BYTES) if packs else None
        reads = _read_from(numbers, call)
        arrived, sent = _forward(numbers, call, weights, x, last, output, potentials, wanted, stored, packed, reads)
        if call.recursion.delayed:
            last["z"] = output[..., -1, :].clone()
        states = [last[name] for name in call.neuron.state_names]
        if call.keep:
            ctx.call, ctx.numbers, ctx.arrived, ctx.sent, ctx.stored = call, numbers, arrived, sent, stored
            ctx.reads, ctx.packed = reads, packed
            if stored is not None or (packed is not None and len(packed.chunks) == len(numbers.chunks)):
                weights = {"w_rec_t": weights["w_rec_t"]}  # nothing will be computed again
            ctx.weights = {**weights, "drive": None}  # saved below
            ctx.finite = _finite([cast(Array, numbers.all(s)) for s in states])
            ctx.save_for_backward(drive, w_in, bias, w_rec, *rest)
        ctx.set_materialize_grads(False)
        seen = () if potentials is None else (potentials,)
        return (output, *states, *seen, *_read(numbers, call, reads, output))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        # What overflows belongs to a member whose gradients are not finite, and is seen there.
        with torch.no_grad(), np.errstate(over="ignore", invalid="ignore"), _in_full():
            found = _backward(ctx, grads) if ctx.finite.any() else None
        if not ctx.finite.all():
            with _in_full():
                found = _where(ctx, found, _reference_backward(ctx, grads))
        assert found is not None
        return refuse_second_derivative(found)


def _empty(shape: Sequence[int], numbers: _Numbers) -> Tensor:
    return torch.from_numpy(memory.empty(shape, numbers.real))


def _read_from(numbers: _Numbers, call: _Call) -> Array | None:
    """[K, B, 2, N] for the loops to write to: the sum or the maximum, and the step that counts; below zero all of them do."""
    if call.reduction is None:
        return None
    reads = numbers.zeros(numbers.batch, 2, numbers.features)
    if call.reduction == "max":
        reads[:, :, 0] = -np.inf
    else:
        reads[:, :, 1] = numbers.steps - 1 if call.reduction == "last" else -1
    return reads


def _read(numbers: _Numbers, call: _Call, reads: Array | None, output: Tensor) -> tuple[Tensor, ...]:
    """The result of the readout, when it is the loops'."""
    if reads is None:
        return ()
    if call.reduction == "last":
        return (output[..., -1, :].clone(),)
    return (numbers.given_back(reads[:, :, 0] / numbers.steps if call.reduction == "mean" else reads[:, :, 0].copy()),)


def _read_back(numbers: _Numbers, call: _Call, reads: Array | None, grad: Tensor | None) -> Array | None:
    """[K, B, 2, N]: what the readout sends back, and the step it sends it to."""
    if reads is None or grad is None:
        return None
    back = reads.copy()
    back[:, :, 0] = numbers.all(grad)
    if call.reduction == "mean":
        back[:, :, 0] /= numbers.steps
    return back


_Kept = tuple[Array, Array, Array, Array]
"""v[n], the second variable, the current and the surrogate's argument of a chunk; empty where not needed."""


class _Slopes:
    """The surrogate's h over a chunk, of each member, from the loops that know it."""

    def __init__(self, call: _Call, numbers: _Numbers) -> None:
        self.numbers = numbers
        self.formulas = (
            [formula(call.code, spike, numbers.dtype) for spike in call.spikes] if call.neuron.spiking else []
        )
        self.parameters = [np.array(f[1], numbers.real) if f is not None else numbers.none1 for f in self.formulas]
        rows = [] if numbers.adaptive else [numbers.own(k, own[3])[0] for k, own in enumerate(numbers.coefficients)]
        self.thresholds = [own[0] if (own == own[0]).all() else None for own in rows]

    @property
    def known(self) -> bool:
        """Whether there is a loop for all of them; torch makes the others."""
        return all(f is not None for f in self.formulas)

    def argument(self, k: int, kept: "_Kept", out: Array | None) -> tuple[Array, Any]:
        """v and the threshold that it is counted from, one number; where each neuron has its own, v - v_th and 0."""
        zero = self.numbers.real.type(0.0)
        if self.numbers.adaptive:
            return kept[3], zero
        shared = self.thresholds[k]
        if shared is not None:
            return kept[0], shared
        (rows,) = self.numbers.own(k, self.numbers.coefficients[k][3])
        return np.subtract(kept[0], rows, out=out), zero

    def write(self, k: int, kept: "_Kept", psi: Array) -> None:
        """psi = h, which may be where its argument is."""
        given, v_th = self.argument(k, kept, psi)
        known = self.formulas[k]
        assert known is not None
        known[0](given.reshape(-1), v_th, self.parameters[k], psi.reshape(-1))


class _Packed:
    """h of the chunks for which it is zero for the most part, from the forward to the backward pass.

    Elements that are not zero, and their places in blocks of 256: five bytes each, where the potentials take four for every element.

    Args:
        slopes: what makes h.
        room: bytes that may be taken; chunks for which there is none left are computed again. Both ways give the same bits.
    """

    def __init__(self, slopes: _Slopes, room: int) -> None:
        self.slopes, self.room, self.chunks = (
            slopes,
            room if slopes.known else 0,
            dict[int, tuple[Array, Array, Array]](),
        )

    def put(self, j: int, psi: Array, scratch: memory.Scratch) -> None:
        """Keep psi, a chunk's, if it is worth it; of a surrogate that is rarely zero no more chunks are asked for."""
        flat = psi.reshape(-1)
        most = flat.size // 2
        pointer = np.empty(-(-flat.size // _BLOCK) + 1, np.int64)
        place, value = scratch("place", (most,), np.uint8), scratch("value", (most,), psi.dtype)
        pack = self.slopes.numbers.code.loop("pack", self.slopes.numbers.dtype)
        found = int(pack(flat, pointer, place, value, scratch("chosen", (_BLOCK,), np.int32)))
        if found < 0:
            self.room = 0
            return
        self.chunks[j] = pointer, place[:found].copy(), value[:found].copy()
        self.room -= sum(part.nbytes for part in self.chunks[j])

    def get(self, j: int, psi: Array) -> bool:
        """Fill in psi, or say that it is not here."""
        if j not in self.chunks:
            return False
        self.slopes.numbers.code.loop("unpack", self.slopes.numbers.dtype)(*self.chunks[j], psi.reshape(-1))
        return True


def _stored(numbers: _Numbers, call: _Call, wants_coefficients: bool) -> tuple[bool, bool, bool, bool]:
    """Which of them the backward pass reads."""
    currents = numbers.adaptive or wants_coefficients or (numbers.attached and numbers.to_zero)
    return call.neuron.spiking or wants_coefficients, numbers.adaptive, currents, numbers.adaptive


def _room(
    numbers: _Numbers, chunk: tuple[int, int, int], wanted: tuple[bool, bool, bool, bool], scratch: memory.Scratch | None = None
) -> _Kept:  # fmt: skip
    """Of its own, or to work in."""
    shape = (chunk[2] - chunk[1], numbers.steps, numbers.features)
    one, two, three, four = (
        numbers.none3
        if not needed
        else memory.empty(shape, numbers.real)
        if scratch is None
        else scratch(f"kept {k}", shape, numbers.real)
        for k, needed in enumerate(wanted)
    )
    return one, two, three, four


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
) -> dict[str, Any]:
    first, by_block = None, []
    if w_rec is not None and "z" in state:
        first = numbers.all(_of_each(numbers, lambda z, w: z @ w.mT, state["z"].detach(), w_rec.detach(), True))
    if w_in is not None and numbers.blocks:
        rows = _array(w_in)
        by_block = [numbers.turned(rows[None, lo:hi])[0] for lo, hi in numbers.blocks]
    return {
        "drive": numbers.all(drive),
        "bias": numbers.all(bias),
        "w_in_t": None if w_in is None or numbers.blocks else numbers.turned(cast(Array, numbers.all(w_in))),
        "blocks": by_block,
        "w_rec_t": None if w_rec is None else numbers.turned(cast(Array, numbers.all(w_rec))),
        "first": first,
    }


def _of_each(
    numbers: _Numbers, product: Callable[[Tensor, Tensor], Tensor], z: Tensor, other: Tensor, square: bool
) -> Tensor:
    """A product with z [K, B, N], of a matrix [K, N, N] when ``square``, or of [K, B, N]; each member's rounds as it does alone."""
    if not numbers.axis:
        return product(z, other)
    made = []
    for k, n in enumerate(numbers.widths):
        own = product(settled(z[k, :, :n]), settled(other[k, :n, :n] if square else other[k, :, :n]))
        rest = numbers.features - n
        made.append(F.pad(own, (0, rest, 0, 0 if square else rest)))
    return torch.stack(made)


def _advance(
    numbers: _Numbers, weights: dict[str, Any], chunk: tuple[int, int, int], arrived: _Events, sent: _Events,
    state: tuple[Array, Array, Array], output: Array, kept: "_Kept", silent: int, known: bool, scratch: memory.Scratch,
) -> None:  # fmt: skip
    k = chunk[0]
    drive, bias, w_in_t, w_rec_t, first = (weights[name] for name in ("drive", "bias", "w_in_t", "w_rec_t", "first"))
    biases, given = numbers.none1 if bias is None else bias[k], _part(drive, chunk, numbers.none3)
    if numbers.blocks:
        given = scratch("drive", (chunk[2] - chunk[1], numbers.steps, numbers.features), numbers.real)
        project, flat = numbers.code.loop("project", numbers.dtype), given.reshape(-1, numbers.features)
        for (lo, _), block in zip(numbers.blocks, weights["blocks"], strict=True):
            project(arrived.pointer, arrived.index, arrived.value, biases, block, lo, flat)
    numbers.advance(
        arrived.pointer, arrived.index, arrived.value, given, biases,
        numbers.none2 if w_in_t is None else w_in_t[k],
        numbers.none2 if w_rec_t is None or not numbers.recurrent[k] else w_rec_t[k],
        _part(first, chunk, numbers.none2), numbers.coefficients[k], *state,
        sent.pointer, sent.index, int(known), output, *kept, scratch("rows", (4, numbers.features), numbers.real), silent,
        numbers.steps, numbers.flags_of(k),
    )  # fmt: skip


def _forward(
    numbers: _Numbers, call: _Call, weights: dict[str, Any], x: Tensor | None, last: dict[str, Tensor],
    output: Tensor, potentials: Tensor | None, wanted: tuple[bool, bool, bool, bool], stored: dict[int, _Kept] | None,
    packed: _Packed | None, reads: Array | None,
) -> tuple[list[_Events], list[_Events]]:  # fmt: skip
    chunks, steps, none3 = numbers.chunks, numbers.steps, numbers.none3
    out, seen = numbers.all(output), numbers.all(potentials)
    # ``last`` is written through these views.
    v, second, left = (
        numbers.all(last[name]) if name in last else None for name in ("v", call.recursion.second, "refractory")
    )
    arrived, sent = ([numbers.no_events] * len(chunks) for _ in range(2))
    scratch = memory.Scratch()
    find = _arrive(numbers, call, x, arrived, scratch)
    none2, spiking = numbers.none2, call.neuron.spiking

    def task(j: int) -> None:
        chunk = chunks[j]
        rows = (chunk[2] - chunk[1]) * steps
        if find is not None:
            arrived[j] = find(j)
        own = numbers.no_events
        if spiking:
            room = scratch("sent", (rows * numbers.features + 1,), np.int32)
            own = _Events(np.zeros(rows + 1, np.int64), room, numbers.none1)
        state = _part(v, chunk, none2), _part(second, chunk, none2), _part(left, chunk, none2)
        kept = _part(seen, chunk, none3), none3, none3, _part(reads, chunk, none3)
        packs = packed is not None and packed.room > 0
        if stored is not None:
            kept = stored[j] = _room(numbers, chunk, wanted)
        elif packs and seen is None:
            kept = _room(numbers, chunk, wanted, scratch)
        resting = state[2].copy() if packs and numbers.silent else none2
        _advance(
            numbers,
            weights,
            chunk,
            arrived[j],
            own,
            state,
            _part(out, chunk, none3),
            kept,
            numbers.silent,
            False,
            scratch,
        )
        if packed is not None and packs:
            kept = cast(_Kept, tuple(numbers.own(chunk[0], *kept)))  # h is made as in the backward pass
            # In its place, a loop that is vectorised would be slower than into another.
            psi = scratch("psi", kept[0].shape, numbers.real)
            packed.slopes.write(chunk[0], kept, psi)
            if numbers.silent:
                (resting,) = numbers.own(chunk[0], resting)
                call.code.loop("silence", numbers.dtype)(psi, own.pointer, own.index, resting, numbers.silent)
            packed.put(j, psi, scratch)
        if spiking:
            sent[j] = _Events(own.pointer, own.index[: own.pointer[-1]].copy(), numbers.none1)

    pool.run(task, len(chunks))
    if find is not None:
        arrived = _in_one(numbers, arrived, call.found)
    if spiking:
        sent = _in_one(numbers, sent, call.sent)
    return arrived, sent


def _in_one(numbers: _Numbers, parts: list[_Events], joined: list[_Events]) -> list[_Events]:
    """The events of each chunk in the memory of one list, which is added to ``joined``."""
    joined.append(whole := _Events.joined(parts))
    steps, batch = numbers.steps, numbers.batch
    return [whole.part(k * batch + lo, k * batch + hi, steps) for k, lo, hi in numbers.chunks]


def _arrive(
    numbers: _Numbers, call: _Call, x: Tensor | None, arrived: list[_Events], scratch: memory.Scratch
) -> Callable[[int], _Events] | None:  # fmt: skip
    """Fill in the input events of every chunk, parts of a list that came; or return what finds those of a chunk in x."""
    chunks, steps = numbers.chunks, numbers.steps
    shared = len(call.shape) == 3
    if call.arrived is not None:
        for j, (k, lo, hi) in enumerate(chunks):
            at = 0 if shared else k * numbers.batch
            arrived[j] = call.arrived.part(at + lo, at + hi, steps)
    if x is None or call.arrived is not None:
        return None
    given = _array(x).reshape(-1, *call.shape[-3:])

    def find(j: int) -> _Events:
        k, lo, hi = looked[j]
        return _find(numbers, call.code, given[k, lo:hi].reshape((hi - lo) * steps, -1), scratch)

    looked = [chunk for chunk in chunks if chunk[0] == 0] if shared else chunks
    if len(looked) == len(chunks):
        return find
    # Once for all members.
    found = [numbers.no_events] * len(looked)
    pool.run(lambda j: found.__setitem__(j, find(j)), len(looked))
    call.found.extend(found)
    if len(found) * numbers.members == len(chunks):
        arrived[:] = found * numbers.members
    else:  # members of other sizes have other chunks
        whole = _Events.joined(found)
        arrived[:] = [whole.part(lo, hi, steps) for _, lo, hi in chunks]
    return None


def _find(numbers: _Numbers, code: Code, x: Array, scratch: memory.Scratch) -> _Events:
    """The events of some rows."""
    room, pointer = (x.size + 1,), np.empty(len(x) + 1, np.int64)
    index, value = scratch("index", room, np.int32), scratch("value", room, numbers.real)
    counts = code.loop("events", numbers.dtype)(x, index, value, pointer) > 0
    return _Events(pointer, index[: pointer[-1]].copy(), value[: pointer[-1]].copy() if counts else numbers.none1)


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, ...] | None:  # noqa: PLR0915
    """All gradients, or None when no member's were finite on the way; ``ctx.finite`` says whose were."""
    call, numbers = ctx.call, ctx.numbers
    neuron, recursion, chunks = call.neuron, call.recursion, numbers.chunks
    drive, w_in, _, w_rec, *rest = ctx.saved_tensors
    _, wants_x, wants_drive, wants_w_in, wants_bias, wants_w_rec, *wants_rest = ctx.needs_input_grad
    state = _named_state(call, rest)
    wants_coefficients = any(wants_rest[: len(recursion.learnable)])
    batch, steps, features = numbers.batch, numbers.steps, numbers.features
    real, none2, none3 = numbers.real, numbers.none2, numbers.none3

    above: dict[str, Tensor | None] = dict(zip(neuron.state_names, grads[1:], strict=False))
    factors = grads[0] if isinstance(grads[0], SentBack) and not call.members else None
    grad_output = numbers.all(grads[0]) if factors is None else None
    from_potentials = numbers.all(grads[-1] if neuron.spiking and call.potentials else None)

    from_readout = _read_back(numbers, call, ctx.reads, grads[-1])

    def start(name: str | None) -> Array:
        grad: Array | None = numbers.all(None if name is None else above.get(name))
        return numbers.zeros(batch, features) if grad is None else grad.copy()

    grad_v, grad_second = start("v"), start(recursion.second)
    grad_z = start("z") if recursion.delayed else None
    adaptive, stored = numbers.adaptive, ctx.stored
    wanted = _stored(numbers, call, wants_coefficients)
    needs_potentials = wanted[0]
    through_w_rec = w_rec is not None and neuron.spiking and not getattr(neuron, "detach_recurrent", False)
    weights = {**ctx.weights, "drive": numbers.all(drive)}
    w_back = w_back_t = None
    if w_rec is not None and through_w_rec:
        w_back, w_back_t = numbers.all(w_rec), weights["w_rec_t"]
    room = memory.zeros if min(numbers.widths) < features else memory.empty  # what pads a member has no gradient
    whole = room((numbers.members, batch, steps, features), real) if wants_x or wants_drive else None
    sums = numbers.zeros(batch, len(numbers.coefficients[0]), features) if wants_coefficients else None
    at_start = numbers.zeros(batch, features) if recursion.delayed and w_rec is not None else None
    threads = torch.get_num_threads()
    grad_w_in = _gradient(numbers, w_in.shape[-1], _CACHED_BYTES, threads) if wants_w_in else None
    grad_w_rec = _gradient(numbers, features, _CACHED_BYTES // 2, threads) if wants_w_rec else None
    grad_bias = numbers.zeros(batch, features) if wants_bias else None
    packed: _Packed | None = ctx.packed
    slopes = _Slopes(call, numbers) if packed is None else packed.slopes
    deltas: dict[int, Array] = {}
    scratch = memory.Scratch()
    by_lot = slopes.known and threads <= len(numbers.lots)
    few = None if factors is None or factors.made is not None else (_array(factors.delta), _array(factors.w_in))
    retreat = call.code.loop(numbers.retreat_name, numbers.dtype)
    silence = call.code.loop("silence", numbers.dtype) if numbers.silent else None
    began = [numbers.all(state.get(name)) for name in ("v", recursion.second, "refractory")]
    # What is computed from here on is rounded by how it is laid out: each member without what pads it, as alone.
    coefficients = [numbers.own(k, rows)[0] for k, rows in enumerate(numbers.coefficients)]
    back = [_square(numbers, k, w_back, w_back_t) for k in range(numbers.members)]

    def again(j: int) -> _Kept:
        """The variables of a chunk, as they were stored or computed once more, without what pads them."""
        chunk = chunks[j]
        if stored is not None:
            return cast(_Kept, tuple(numbers.own(chunk[0], *stored[j])))
        kept = _room(numbers, chunk, wanted, scratch if slopes.known else None)
        v, second, left = (_part(variable, chunk, none2).copy() for variable in began)
        _advance(numbers, weights, chunk, ctx.arrived[j], ctx.sent[j], (v, second, left), none3, kept, 0, True, scratch)
        return cast(_Kept, tuple(numbers.own(chunk[0], *kept)))

    def sent_back(lo: int, hi: int) -> Array:
        """The rows of some samples, of a gradient that came by its factors."""
        if few is None:
            return _array(cast(SentBack, factors).whole()[lo:hi])
        delta, w = few
        out = scratch("sent back", (hi - lo, steps, features), real)
        call.code.loop("send_on", numbers.dtype)(
            delta[lo:hi].reshape(-1, delta.shape[-1]), w, out.reshape(-1, features)
        )
        return out

    def through_time(j: int, kept: _Kept, psi: Array) -> None:
        chunk = chunks[j]
        k, lo, hi = chunk
        n = numbers.widths[k]
        if silence is not None:
            left = numbers.own(k, _part(began[2], chunk, none2))[0]
            silence(psi, ctx.sent[j].pointer, ctx.sent[j].index, left, numbers.silent)
        above_it = sent_back(lo, hi) if factors is not None else _part(grad_output, chunk, none3)
        given, seen, z, summed, v, second = numbers.own(
            k, above_it, _part(from_potentials, chunk, none3), _part(grad_z, chunk, none2),
            _part(sums, chunk, none3), grad_v[k, lo:hi], grad_second[k, lo:hi],
        )  # fmt: skip
        if whole is not None and n == features:
            delta = whole[k, lo:hi]
        else:
            shape = (hi - lo, steps, n)
            delta = scratch("delta", shape, real) if by_lot else memory.empty(shape, real)
        deltas[j] = delta
        rows = scratch("rows", (3, hi - lo, n), real)
        rows.fill(0.0)
        retreat(
            psi, given, seen, *kept[:3], ctx.sent[j].pointer, ctx.sent[j].index, *back[k], coefficients[k], v, second, z, delta,
            summed, rows, scratch("chosen", (n + 3,), np.int32), steps, numbers.flags_of(k),
        )  # fmt: skip
        if n < features:
            grad_v[k, lo:hi, :n], grad_second[k, lo:hi, :n] = v, second
            if whole is not None:
                whole[k, lo:hi, :, :n] = delta
            if sums is not None:
                sums[k, lo:hi, :, :n] = summed
        if grad_bias is not None:
            grad_bias[k, lo:hi, :n] = delta.sum(axis=1)
        if at_start is not None:
            at_start[k, lo:hi, :n] = delta[:, 0]

    nothing: _Kept = (none3, none3, none3, none3)

    def task(j: int) -> None:
        k, lo, hi = chunks[j]
        if packed is not None:
            psi = scratch("psi", (hi - lo, steps, numbers.widths[k]), real)
            if packed.get(j, psi):
                through_time(j, nothing, psi)
                return
        kept = again(j) if needs_potentials else nothing
        psi = numbers.own(k, _part(from_readout, chunks[j], none3))[0]
        if neuron.spiking:
            own = kept[3] if adaptive else kept[0]
            psi = scratch("psi", own.shape, real)
            slopes.write(k, kept, psi)
        through_time(j, kept, psi)

    def add(i: int, j: int, grad: WeightGradient, block: int) -> None:
        """A chunk's part of the gradient of a lot."""
        if grad is grad_w_in:
            grad.add(i, block, deltas[j], ctx.arrived[j], 0)
        elif numbers.recurrent[chunks[j][0]]:
            grad.add(i, block, deltas[j], ctx.sent[j], int(recursion.delayed))

    blocks = [
        (grad, block) for grad in (grad_w_in, grad_w_rec) if grad is not None for block in range(len(grad.starts))
    ]

    def lot(i: int) -> None:
        for j in numbers.lots[i]:
            task(j)
            for grad, block in blocks:
                add(i, j, grad, block)
            del deltas[j]

    def share(group: Sequence[tuple[int, int]]) -> None:
        """Some chunks, each a thread's, and then the blocks of their lots' gradients."""
        if slopes.known:
            pool.run(lambda q: task(group[q][1]), len(group))
        else:
            # A surrogate that only torch knows: potentials of all samples of the group, then h on this thread.
            made: dict[int, Any] = {}
            pool.run(lambda q: made.__setitem__(q, again(group[q][1])), len(group))
            psis = []
            for q, (_, j) in enumerate(group):
                k = chunks[j][0]
                given, v_th = slopes.argument(k, made[q], None)
                psis.append(_array(call.spikes[k].derivative(torch.from_numpy(given) - float(v_th))))
            pool.run(lambda q: through_time(group[q][1], made[q], psis[q]), len(group))
        jobs = [(i, *block) for i in dict.fromkeys(i for i, _ in group) for block in blocks]

        def add_block(q: int) -> None:
            i, grad, block = jobs[q]
            for other, j in group:
                if other == i:
                    add(i, j, grad, block)

        pool.run(add_block, len(jobs))
        deltas.clear()

    if by_lot:
        pool.run(lot, len(numbers.lots))
    else:
        turns = itertools.zip_longest(*([(i, j) for j in own] for i, own in enumerate(numbers.lots)))
        order = [pair for turn in turns for pair in turn if pair is not None]
        together = 1 if threads == 1 else 2 * threads
        for begin in range(0, len(order), together):
            share(order[begin : begin + together])

    ctx.finite = ctx.finite & _finite((grad_v, grad_second))
    if not ctx.finite.any():
        return None
    firsts = {"v": numbers.given_back(grad_v)}
    if recursion.second is not None:
        firsts[recursion.second] = numbers.given_back(grad_second)
    if at_start is not None:
        delta_0 = numbers.given_back(at_start)
        if grad_w_rec is not None:
            for k, own in enumerate(
                numbers.all(_of_each(numbers, lambda z, d: z.mT @ d, state["z"].detach(), delta_0, False))
            ):
                grad_w_rec.add_all(k, own)
        if through_w_rec:
            firsts["z"] = _of_each(numbers, torch.matmul, delta_0, w_rec.detach(), True)
    if "refractory" in state and above["refractory"] is not None:
        # What is left counts down to zero, and passes a gradient on as long as it has not arrived there.
        firsts["refractory"] = above["refractory"] * (state["refractory"] >= steps)
    summed = None if sums is None else torch.from_numpy(numbers.over_samples(sums))
    grad_x = None
    if wants_x:
        back = numbers.given_back(whole)
        grad_x = _grad_x(call, back, w_in.detach())
        grad_x = grad_x.sum(0) if grad_x.ndim > len(call.shape) else grad_x
    return (
        None,
        grad_x,
        None if whole is None or not wants_drive else numbers.given_back(whole),
        None if grad_w_in is None else numbers.given_back(grad_w_in.whole()),
        None if grad_bias is None else numbers.given_back(numbers.over_samples(grad_bias)),
        None if grad_w_rec is None else numbers.given_back(grad_w_rec.whole()),
        *coefficient_gradients(call.recursions, bool(call.members), summed, rest, wants_rest),
        *(firsts.get(name) if wanted else None for name, wanted in _last(neuron.state_names, wants_rest)),
    )


def _square(numbers: _Numbers, k: int, *matrices: Array | None) -> list[Array]:
    """Member k's own part of [K, N, N], empty where there is none."""
    n = numbers.widths[k]
    return [
        numbers.none2 if w is None or not numbers.recurrent[k] else np.ascontiguousarray(w[k, :n, :n]) for w in matrices
    ]


def _gradient(numbers: _Numbers, inputs: int, room: int, threads: int) -> WeightGradient:
    loops = numbers.code.loop("weight_gradient", numbers.dtype), numbers.code.loop("turn", numbers.dtype)
    return WeightGradient(
        loops, [numbers.chunks[own[0]][0] for own in numbers.lots], (numbers.members, numbers.features, inputs), numbers.real,
        room=room, threads=-(-threads // len(numbers.lots)),
    )  # fmt: skip


def _grad_x(call: _Call, back: Tensor, w_in: Tensor) -> Tensor:
    """Each member's product as it would be alone: one product for all rounds otherwise."""
    code = call.code
    if back.ndim == 3:
        if call.before and back.shape[-1] <= _SHORT_ROW:
            # An optimizer changes weights in place, and somebody may look afterwards.
            return SentBack(back, w_in.clone(), functools.partial(_sent_on, code))
        return cast(Tensor, _sent_on(code, back.flatten(0, 1), w_in).unflatten(0, back.shape[:2]))
    own_sizes = call.sizes or [(w_in.shape[1], w_in.shape[2])] * len(w_in)
    made = []
    for delta, w, (n, n_in) in zip(back, w_in, own_sizes, strict=True):
        own = _sent_on(code, settled(delta[..., :n]).flatten(0, 1), settled(w[:n, :n_in]))
        made.append(F.pad(own, (0, w_in.shape[-1] - n_in)).unflatten(0, back.shape[1:3]))
    return torch.stack(made)


def _sent_on(code: Code, delta: Tensor, w_in: Tensor) -> Tensor:
    """delta @ w_in, for few neurons by the loops."""
    if delta.shape[-1] > _SHORT_ROW:
        return delta @ w_in
    send_on, rows, weights = code.loop("send_on", _name(delta)), _array(delta), _array(w_in)
    out = memory.empty((len(rows), weights.shape[1]), rows.dtype)
    size = max(8, _CHUNK_ELEMENTS // max(1, out.shape[1]) // 8 * 8)
    starts = range(0, len(rows), size)
    pool.run(
        lambda i: send_on(rows[starts[i] : starts[i] + size], weights, out[starts[i] : starts[i] + size]), len(starts)
    )
    return torch.from_numpy(out)


def _finite(arrays: Sequence[Array]) -> Array:
    """Whether each member's part of all of them, [K, ...], is."""
    if len(arrays[0]) == 1:
        return np.array([all(np.isfinite(array).all() for array in arrays)])
    parts = [np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in arrays]
    return np.asarray(np.all(parts, axis=0))


def _where(
    ctx: Any, found: tuple[Tensor | None, ...] | None, reference: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients found for members whose are finite, the reference's for the others."""
    if found is None or not ctx.call.members:
        return reference
    finite = torch.from_numpy(ctx.finite)
    mixed: list[Tensor | None] = []
    for own, plain in zip(found, reference, strict=True):
        apart = own is not None and plain is not None and own.shape == plain.shape and len(own) == len(finite)
        if own is None or plain is None or not apart or own.ndim == len(ctx.call.shape) == 3:
            mixed.append(plain)
        else:
            mixed.append(torch.where(finite.view(-1, *[1] * (own.ndim - 1)), own, plain))
    return tuple(mixed)


def _last(names: Sequence[str], wants: Sequence[bool]) -> list[tuple[str, bool]]:
    return list(zip(names, wants[len(wants) - len(names) :], strict=True))


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
            current = drive_of(x, w_in, bias)
        else:
            current = drive
        names = call.recursion.learnable
        learned = {name: t for name, t in zip(names, rest, strict=False) if t is not None}
        state = tuple(_named_state(call, rest).values())
        trace = call.plain(current, w_rec, state, learned)
        seen = [trace.potentials] if call.neuron.spiking and call.potentials else []
        read = [] if call.reduction is None else [cast(Tensor, trace.read)]
        outputs = (trace.output, *trace.state, *seen, *read)
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
        inputs: tuple[Any, ...] = (x, drive, w_in, bias, w_rec, *rest)
        leaves = [t for t, wanted in zip(inputs, wants, strict=True) if wanted]
        found = iter(torch.autograd.grad([o for o, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True))
    return (None, *(next(found) if wanted else None for wanted in wants))


def _dense(numbers: _Numbers, arrived: list[_Events], shape: torch.Size) -> Array:
    """x again, from its events."""
    x = np.zeros(tuple(shape), numbers.real)
    whole = x.reshape(-1, *shape[-3:])
    for (k, lo, hi), events in zip(numbers.chunks, arrived, strict=True):
        if k >= len(whole):
            break
        rows = whole[k, lo:hi].reshape(-1, shape[-1])
        row = np.repeat(np.arange(len(rows)), np.diff(events.pointer))
        own = slice(events.pointer[0], events.pointer[-1])
        rows[row, events.index[own]] = events.value[own] if events.value.size else 1.0
    return x
