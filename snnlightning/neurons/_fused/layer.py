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
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...events import Events, dense, known, remember
from ...typing import LayerCall, Reader, Trace
from . import limits
from .around import drive_of, refuse_second_derivative
from .backward import Backward, Wants
from .call import Call
from .event_list import EventList, array
from .forward import Forward, Made
from .plan import Code, Given, Plan, plan_for
from .recursion import Recursion

__all__ = ["run", "ways"]

_COUNTED_STEPS = 2**24
"""Whole numbers below are exact in float32, in which the step of a maximum is kept."""


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
    arrived = EventList.of(events, dtype) if events is not None and sparse else None
    # What is needed of x itself: its elements where no list is there, its place in the graph.
    needed = not sparse or arrived is None or (isinstance(x, Tensor) and x.requires_grad)
    read: Tensor | None = None
    if needed:
        read = dense(x) if x.dtype == dtype else dense(x).to(dtype)
    inputs = [learned.get(name) for name in recursion.learnable]
    given = (w_in, w_rec, bias, *state, *inputs)
    keep = torch.is_grad_enabled() and any(u is not None and u.requires_grad for u in (read, *given))
    reduction = None if neuron.spiking or x.shape[-2] >= _COUNTED_STEPS else _reduction(work.readout)
    plan = plan_for(Given(
        code, tuple(work.neurons), tuple(recursions), work.members, tuple(x.shape), x.shape[-1] if w_in is None else w_in.shape[-2],
        _name(dtype), reduction, w_in is not None and sparse, w_rec is not None,
        None if work.sizes is None else tuple(work.sizes), None if work.recurrent is None else tuple(work.recurrent), limits.in_use,
    ))  # fmt: skip
    call = Call(
        plan, recursions, work.spikes, work.coefficients, work.plain, potentials, keep, arrived, _made_by_a_layer(read),
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
        own = _listed(call.sent, output)
        remember(output, own)
        trace = trace._replace(sent=own)
    if reduction is not None:
        trace = trace._replace(read=rest[-1])
    if isinstance(x, Tensor) and x.dtype == dtype and (events is not None or call.found):
        trace = trace._replace(arrived=_listed(call.found, x) if events is None else events.beside(x))
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


def _listed(parts: Sequence[EventList], x: Tensor) -> Events:
    """The events of all chunks as those of x [B, T, N], or of [K, B, T, N] as K B samples."""
    joined = EventList.joined(parts) if len(parts) > 1 else parts[0]
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
    has_members, like = bool(work.members), x if w_in is None else w_in
    arrays = [array(w) for w in weights if w is not None]
    not_finite = code.loop("not_finite", _name(like.dtype))
    finite = [not any(not_finite((w[k] if has_members else w).reshape(-1)) for w in arrays) for k in range(count)]
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
    rows = array(x).reshape(-1, x.shape[-1])
    stride = max(1, rows.shape[0] // 64)
    counted = len(range(0, rows.shape[0], stride))
    return float(code.loop("count_some", _name(x.dtype))(rows, stride)) / (counted * features)


def _break_even(features: int, looking_ns: float) -> float:
    """The density below which events are cheaper than a matrix product, forward and backward, for N neurons.

    Measured per element of x: a product costs 0.4 + N / 24 ns (half of it where autocast makes it half), looking for events 0.3 ns,
    an event 3 + N / 8 ns.
    """
    product_ns = (0.4 + features / 24.0) * (0.5 if torch.is_autocast_enabled("cpu") else 1.0)
    return (product_ns - looking_ns) / (3.0 + features / 8.0)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class _Layer(torch.autograd.Function):
    """scan's loop over time. Its input is events (listed in the call, or looked for in x), or drive, the product that is ready."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, x: Tensor | None, drive: Tensor | None, w_in: Tensor | None, bias: Tensor | None,
        w_rec: Tensor | None, *rest: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        plan = call.plan
        coefficients = ctx.needs_input_grad[6 : 6 + len(plan.recursion.learnable)]
        done = Forward(call, x, drive, w_in, bias, w_rec, _named_state(call, rest), any(coefficients))
        output = plan.given_back(done.output)
        last = {name: plan.given_back(own) for name, own in done.last.items()}
        if plan.delayed:
            last["z"] = output[..., -1, :].clone()
        if call.keep:
            ctx.made = done.made()
            ctx.save_for_backward(drive, w_in, bias, w_rec, *rest)
        ctx.set_materialize_grads(False)
        seen = () if done.potentials is None else (plan.given_back(done.potentials),)
        return (output, *(last[name] for name in plan.neuron.state_names), *seen, *done.read())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        found, finite = None, ctx.made.finite
        if any(finite) and (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")):
            with torch.no_grad(), _in_full():
                found, finite = _backward(ctx, grads)
        elif any(finite):
            found, finite = _backward(ctx, grads)
        if not all(finite):
            with _in_full():
                found = _where(ctx.made.call.plan, finite, found, _reference_backward(ctx, grads))
        assert found is not None
        return refuse_second_derivative((None, *found))


def _named_state(call: Call, rest: Sequence[Tensor | None]) -> dict[str, Tensor]:
    names = call.plan.neuron.state_names
    return {name: t for name, t in zip(names, rest[len(rest) - len(names) :], strict=True) if t is not None}


def _backward(
    ctx: Any, grads: Sequence[Tensor | None]
) -> tuple[tuple[Tensor | None, ...] | None, list[bool]]:  # fmt: skip
    """Gradients from the loops, None when no member's were finite on the way; and whose were."""
    drive, w_in, _, w_rec, *rest = ctx.saved_tensors
    _, x, from_drive, from_w_in, bias, from_w_rec, *others = ctx.needs_input_grad
    wants = Wants(x, from_drive, from_w_in, bias, from_w_rec, others)
    one = Backward(ctx.made, drive, w_in, w_rec, rest, _named_state(ctx.made.call, rest), grads, wants)
    return one.gradients(), one.finite


def _where(
    plan: Plan, finite: Sequence[bool], found: tuple[Tensor | None, ...] | None, reference: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """The gradients found for members whose are finite, the reference's for the others."""
    if found is None or not plan.axis:
        return reference
    chosen = torch.tensor(finite)
    mixed: list[Tensor | None] = []
    for own, plain in zip(found, reference, strict=True):
        apart = own is not None and plain is not None and own.shape == plain.shape and len(own) == len(chosen)
        if own is None or plain is None or not apart or (own.ndim == 3 and plan.shared):
            mixed.append(plain)
        else:
            mixed.append(torch.where(chosen.view(-1, *[1] * (own.ndim - 1)), own, plain))
    return tuple(mixed)


def _reference_backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The same gradients from the plain loop, where something is not finite."""
    made: Made = ctx.made
    call, plan = made.call, made.call.plan
    wants = ctx.needs_input_grad[1:]
    with torch.enable_grad():
        saved: list[Any] = [None if t is None else t.detach().requires_grad_() for t in ctx.saved_tensors]
        drive, w_in, bias, w_rec, *rest = saved
        x = None
        if drive is None:
            x = torch.from_numpy(_dense(made)).requires_grad_()
            current = drive_of(x, w_in, bias)
        else:
            current = drive
        names = plan.recursion.learnable
        learned = {name: t for name, t in zip(names, rest, strict=False) if t is not None}
        state = tuple(_named_state(call, rest).values())
        trace = call.plain(current, w_rec, state, learned)
        seen = [trace.potentials] if plan.spiking and call.potentials else []
        read = [] if plan.reduction is None else [cast(Tensor, trace.read)]
        outputs = (trace.output, *trace.state, *seen, *read)
        pairs = [(o, g) for o, g in zip(cast(Any, outputs), grads, strict=True) if g is not None and o.requires_grad]
        inputs: tuple[Any, ...] = (x, drive, w_in, bias, w_rec, *rest)
        leaves = [t for t, wanted in zip(inputs, wants, strict=True) if wanted]
        found = iter(torch.autograd.grad([o for o, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True))
    return tuple(next(found) if wanted else None for wanted in wants)


def _dense(made: Made) -> np.ndarray[Any, Any]:
    """x again, from its events."""
    plan = made.call.plan
    shape = plan.given.shape
    x = np.zeros(shape, plan.real)
    whole = x.reshape(-1, *shape[-3:])
    for (k, lo, hi), events in zip(plan.chunks, made.arrived, strict=True):
        if k >= len(whole):
            break
        rows = whole[k, lo:hi].reshape(-1, shape[-1])
        row = np.repeat(np.arange(len(rows)), np.diff(events.pointer))
        own = slice(events.pointer[0], events.pointer[-1])
        rows[row, events.index[own]] = events.value[own] if events.value.size else 1.0
    return x
