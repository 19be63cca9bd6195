"""Forward: events or drive in; output, last state and the events that were sent out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...events import settled
from . import memory, pool
from .call import Call
from .event_list import EventList, array
from .plan import Plan, part
from .slopes import Kept, Packed

__all__ = ["Forward", "Made", "Weights", "advance", "finite", "of_each", "room_for"]

Array = np.ndarray[Any, Any]
Chunk = tuple[int, int, int]


class Weights(NamedTuple):
    """As the loops read them, by presynaptic neuron; empty arrays of each member where there are none."""

    drive: Array | None
    bias: Sequence[Array]
    w_in_t: Sequence[Array]
    blocks: Sequence[Array]
    w_rec_t: Sequence[Array]
    first: Array | None
    """[K, B, N]: what arrives through w_rec at the first step when spikes travel one step longer."""

    @classmethod
    def of(
        cls, plan: Plan, drive: Tensor | None, w_in: Tensor | None, bias: Tensor | None, w_rec: Tensor | None, state: Mapping[str, Tensor]
    ) -> "Weights":  # fmt: skip
        """From tensors."""
        first = None
        if w_rec is not None and "z" in state:
            first = plan.all(of_each(plan, lambda z, w: z @ w.mT, state["z"].detach(), w_rec.detach(), True))
        none1, none2 = [plan.none1] * plan.members, [plan.none2] * plan.members
        blocks: list[Array] = []
        if w_in is not None and plan.blocks:
            rows = array(w_in)
            blocks = [plan.turned(rows[None, lo:hi])[0] for lo, hi in plan.blocks]
        return cls(
            plan.all(drive),
            none1 if bias is None else list(cast(Array, plan.all(bias))),
            none2 if w_in is None or blocks else list(plan.turned(cast(Array, plan.all(w_in)))),
            blocks,
            none2 if w_rec is None else list(plan.turned(cast(Array, plan.all(w_rec)))),
            first,
        )


def of_each(plan: Plan, product: Any, z: Tensor, other: Tensor, square: bool) -> Tensor:
    """A product with z [K, B, N], of a matrix [K, N, N] when ``square``, or of [K, B, N]; each member's rounds as it does alone."""
    if not plan.axis:
        alone: Tensor = product(z, other)
        return alone
    made = []
    for k, n in enumerate(plan.widths):
        own = product(settled(z[k, :, :n]), settled(other[k, :n, :n] if square else other[k, :, :n]))
        rest = plan.features - n
        made.append(F.pad(own, (0, rest, 0, 0 if square else rest)))
    return torch.stack(made)


def finite(plan: Plan, arrays: Array) -> list[bool]:
    """Whether each member's part of [V, K, ...] is."""
    if plan.members == 1:
        return [not plan.loop("not_finite")(arrays.reshape(-1))]
    return [bool(np.isfinite(arrays[:, k]).all()) for k in range(plan.members)]


def room_for(plan: Plan, chunk: Chunk, wanted: Sequence[bool], scratch: memory.Scratch | None = None) -> Kept:
    """For the variables of a chunk: memory of its own, or to work in."""
    shape = (chunk[2] - chunk[1], plan.steps, plan.features)
    one, two, three, four = (
        plan.none3
        if not needed
        else memory.empty(shape, plan.real)
        if scratch is None
        else scratch(f"kept {k}", shape, plan.real)
        for k, needed in enumerate(wanted)
    )
    return one, two, three, four


def advance(
    call: Call, weights: Weights, chunk: Chunk, arrived: EventList, sent: EventList, state: Sequence[Array], output: Array, kept: Kept,
    scratch: memory.Scratch, *, again: bool,
) -> None:  # fmt: skip
    """Run a chunk over time; ``again`` with the spikes that it is known to send."""
    plan, k = call.plan, chunk[0]
    given = part(weights.drive, chunk, plan.none3)
    if plan.blocks:
        given = scratch("drive", (chunk[2] - chunk[1], plan.steps, plan.features), plan.real)
        project, flat = plan.loop("project"), given.reshape(-1, plan.features)
        for (lo, _), block in zip(plan.blocks, weights.blocks, strict=True):
            project(arrived.pointer, arrived.index, arrived.value, weights.bias[k], block, lo, flat)
    plan.loop_of("advance")(
        arrived.pointer, arrived.index, arrived.value, given, weights.bias[k], weights.w_in_t[k],
        weights.w_rec_t[k] if plan.recurrent[k] else plan.none2, part(weights.first, chunk, plan.none2), call.rows[k], *state,
        sent.pointer, sent.index, int(again), output, *kept, scratch("rows", (4, plan.features), plan.real),
        0 if again else plan.silent, plan.steps, plan.flags[k],
    )  # fmt: skip


@dataclasses.dataclass
class Made:
    """What a forward pass leaves to the backward pass, beside the tensors that autograd saves.

    Args:
        call: what ran.
        weights: without the drive; only those that are needed.
        arrived, sent: the events of each chunk.
        stored, packed: variables or h of chunks; those that are in neither are computed again.
        reads: see :class:`Forward`.
        finite: of each member, whether all was up to now.
    """

    call: Call
    weights: Weights
    arrived: Sequence[EventList]
    sent: Sequence[EventList]
    stored: dict[int, Kept] | None
    packed: Packed | None
    reads: Array | None
    finite: list[bool]


class Forward:
    """One pass over a batch.

    Args:
        call: what to run.
        x: where events are looked for, or None.
        drive: the product that is ready, or None.
        w_in, bias, w_rec: weights.
        state: by name, without what the neuron has not.
        coefficients: whether they want gradients.
    """

    def __init__(
        self, call: Call, x: Tensor | None, drive: Tensor | None, w_in: Tensor | None, bias: Tensor | None, w_rec: Tensor | None,
        state: Mapping[str, Tensor], coefficients: bool,
    ) -> None:  # fmt: skip
        self.call, plan = call, call.plan
        self.plan, self.limits = plan, plan.limits
        self.weights = Weights.of(plan, drive, w_in, bias, w_rec, state)
        names = [name for name in state if name != "z"]
        self.ends = memory.empty((len(names), plan.members, plan.batch, plan.features), plan.real)
        """[V, K, B, N]: the state, of the first step and then of the last."""
        self.last: dict[str, Array] = dict(zip(names, self.ends, strict=True))
        for name, own in self.last.items():
            own[...] = plan.all(state[name])
        shape = (plan.members, plan.batch, plan.steps, plan.features)
        self.output = memory.empty(shape, plan.real)
        self.potentials = memory.empty(shape, plan.real) if call.potentials and plan.spiking else None
        self.wanted = plan.wanted(coefficients)
        keeps = call.keep and plan.spiking
        size = sum(self.wanted) * self.output.nbytes
        stores = keeps and self.potentials is None and size <= self.limits.stored_bytes
        self.stored: dict[int, Kept] | None = {} if stores else None
        packs = keeps and not stores and not any(self.wanted[1:]) and plan.features >= self.limits.packed_neurons
        self.packed = Packed(call.slopes, self.limits.packed_bytes) if packs else None
        self.reads = self._room_for_reading()
        self.scratch = memory.Scratch.of_before()
        self.sent = [plan.no_events] * len(plan.chunks)
        self.arrived = [plan.no_events] * len(plan.chunks)
        self._looks = self._settle_input(x)
        pool.run(self._run, len(plan.chunks))
        if self._looks is not None:
            self.arrived = self._in_one(self.arrived, call.found)
            self._looks = None
        if plan.spiking:
            self.sent = self._in_one(self.sent, call.sent)
        self.scratch.leave()
        self.finite = finite(plan, self.ends)

    def made(self) -> "Made":
        """What the backward pass needs."""
        w = self.weights._replace(drive=None)
        if self.stored is not None or (self.packed is not None and len(self.packed.chunks) == len(self.plan.chunks)):
            w = w._replace(w_in_t=[], blocks=[], first=None)  # nothing will be computed again
        return Made(self.call, w, self.arrived, self.sent, self.stored, self.packed, self.reads, self.finite)

    def read(self) -> tuple[Tensor, ...]:
        """The result of the readout, when it is the loops'."""
        reads, reduction = self.reads, self.plan.reduction
        if reads is None:
            return ()
        if reduction == "last":
            return (self.plan.given_back(self.output[:, :, -1].copy()),)
        found = reads[:, :, 0] / self.plan.steps if reduction == "mean" else reads[:, :, 0].copy()
        return (self.plan.given_back(found),)

    def _room_for_reading(self) -> Array | None:
        """[K, B, 2, N] for the loops to write to: the sum or the maximum, and the step that counts; below zero all of them do."""
        plan, reduction = self.plan, self.plan.reduction
        if reduction is None:
            return None
        reads = plan.zeros(plan.batch, 2, plan.features)
        if reduction == "max":
            reads[:, :, 0] = -np.inf
        else:
            reads[:, :, 1] = plan.steps - 1 if reduction == "last" else -1
        return reads

    def _settle_input(self, x: Tensor | None) -> Array | None:
        """Fill in the input events of every chunk, parts of a list that came; or return x, where each chunk looks for its own."""
        plan, call, chunks = self.plan, self.call, self.plan.chunks
        if call.arrived is not None:
            for j, (k, lo, hi) in enumerate(chunks):
                at = 0 if plan.shared else k * plan.batch
                self.arrived[j] = call.arrived.part(at + lo, at + hi, plan.steps)
        if x is None or call.arrived is not None:
            return None
        given = array(x)
        if not plan.shared or len(chunks) == sum(chunk[0] == 0 for chunk in chunks):
            return given.reshape(-1, *given.shape[-3:])
        # Once for all members.
        looked = [chunk for chunk in chunks if chunk[0] == 0]
        found = [plan.no_events] * len(looked)

        def look(j: int) -> None:
            found[j] = self._find(given[looked[j][1] : looked[j][2]])

        pool.run(look, len(looked))
        call.found.extend(found)
        if len(found) * plan.members == len(chunks):
            self.arrived[:] = found * plan.members
        else:  # members of other sizes have other chunks
            whole = EventList.joined(found)
            self.arrived[:] = [whole.part(lo, hi, plan.steps) for _, lo, hi in chunks]
        return None

    def _find(self, x: Array) -> EventList:
        """The events of some samples."""
        rows = x.reshape(-1, x.shape[-1])
        pointer, room = np.empty(len(rows) + 1, np.int64), (rows.size + 1,)
        index, value = self.scratch("index", room, np.int32), self.scratch("value", room, rows.dtype)
        counts = self.plan.loop("events")(rows, index, value, pointer) > 0
        count = int(pointer[-1])
        return EventList(pointer, index[:count].copy(), value[:count].copy() if counts else self.plan.none1)

    def _run(self, j: int) -> None:
        """One chunk."""
        plan, chunk, scratch, stored, packed = self.plan, self.plan.chunks[j], self.scratch, self.stored, self.packed
        k, lo, hi = chunk
        rows, last, none2 = (hi - lo) * plan.steps, self.last, plan.none2
        if self._looks is not None:
            self.arrived[j] = self._find(self._looks[k, lo:hi])
        own = plan.no_events
        if plan.spiking:
            room = scratch("sent", (rows * plan.features + 1,), np.int32)
            own = EventList(np.zeros(rows + 1, np.int64), room, plan.none1)
        state = [part(last.get(name), chunk, none2) for name in ("v", plan.recursion.second or "", "refractory")]
        seen = part(self.potentials, chunk, plan.none3)
        kept: Kept = (seen, plan.none3, plan.none3, part(self.reads, chunk, plan.none3))
        packs = packed is not None and packed.room > 0
        if stored is not None:
            kept = stored[j] = room_for(plan, chunk, self.wanted)
        elif packs and self.potentials is None:
            kept = room_for(plan, chunk, self.wanted, scratch)
        resting = state[2].copy() if packs and plan.silent else none2
        advance(
            self.call,
            self.weights,
            chunk,
            self.arrived[j],
            own,
            state,
            self.output[k, lo:hi],
            kept,
            scratch,
            again=False,
        )
        if packed is not None and packs:
            kept = cast(Kept, tuple(plan.own(k, *kept)))  # h is made as in the backward pass
            # In its place, a loop that is vectorised would be slower than into another.
            psi = scratch("psi", kept[0].shape, plan.real)
            packed.slopes.write(k, kept, psi)
            if plan.silent:
                (resting,) = plan.own(k, resting)
                plan.loop("silence")(psi, own.pointer, own.index, resting, plan.silent)
            packed.put(j, psi, scratch)
        if plan.spiking:
            self.sent[j] = EventList(own.pointer, own.index[: own.pointer[-1]].copy(), plan.none1)

    def _in_one(self, parts: list[EventList], joined: list[EventList]) -> list[EventList]:
        """The events of each chunk in the memory of one list, which is added to ``joined``."""
        joined.append(whole := EventList.joined(parts))
        steps, batch = self.plan.steps, self.plan.batch
        return [whole.part(k * batch + lo, k * batch + hi, steps) for k, lo, hi in self.plan.chunks]
