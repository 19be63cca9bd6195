"""Backward: all gradients of a layer from what a forward pass left."""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...events import settled
from . import memory, pool
from .around import coefficient_gradients
from .event_list import array
from .forward import Made, advance, finite, of_each, room_for
from .plan import Plan, part
from .sent_back import SentBack
from .slopes import Kept, Slopes
from .weight_gradient import WeightGradient

__all__ = ["Backward", "Wants"]

Array = np.ndarray[Any, Any]


class Wants(NamedTuple):
    """Which inputs of the node want a gradient."""

    x: bool
    drive: bool
    w_in: bool
    bias: bool
    w_rec: bool
    rest: Sequence[bool]


class Backward:
    """One pass.

    A chunk of one lot after the other goes back through time and adds to the gradients of its lot's weights. Where there are as many
    lots as threads, a thread takes whole lots; otherwise all take chunks, and then blocks of the lots' gradients.

    Args:
        made: by the forward pass.
        drive, w_in, w_rec: as they came.
        rest: coefficients and states as they came.
        state: by name.
        grads: of what the node gave: output, states, potentials and reading, where there are such.
        wants: see there.
    """

    def __init__(
        self, made: Made, drive: Tensor | None, w_in: Tensor | None, w_rec: Tensor | None, rest: Sequence[Tensor | None],
        state: Mapping[str, Tensor], grads: Sequence[Tensor | None], wants: Wants,
    ) -> None:  # fmt: skip
        call = self.call = made.call
        plan = self.plan = call.plan
        self.made, self.w_in, self.w_rec, self.rest, self.state, self.wants = made, w_in, w_rec, rest, state, wants
        self.weights = made.weights if drive is None else made.weights._replace(drive=plan.all(drive))
        recursion = plan.recursion
        self.above: dict[str, Tensor | None] = dict(zip(plan.neuron.state_names, grads[1:], strict=False))
        self.factors = grads[0] if isinstance(grads[0], SentBack) and not plan.axis else None
        """Of the gradient of the output, where it came so."""
        self.few: tuple[Array, Array] | None = None
        if self.factors is not None and self.factors.made is None:
            self.few = array(self.factors.delta), array(self.factors.w_in)
        self.grad_output = plan.all(grads[0]) if self.factors is None else None
        self.from_potentials = plan.all(grads[-1]) if plan.spiking and call.potentials else None
        self.from_readout = self._read_back(grads[-1])
        self.ends = memory.zeros((2, plan.members, plan.batch, plan.features), plan.real)
        """Gradients of v and of the second variable, of the last step and then of the first."""
        for own, name in zip(self.ends, ("v", recursion.second), strict=True):
            if name is not None and (given := self.above.get(name)) is not None:
                own[...] = plan.all(given)
        self.grad_z = None
        if plan.delayed and (given := self.above.get("z")) is not None:
            self.grad_z = plan.all(given)
        elif plan.delayed:
            self.grad_z = plan.zeros(plan.batch, plan.features)
        wants_coefficients = any(wants.rest[: len(recursion.learnable)])
        self.wanted = plan.wanted(wants_coefficients)
        self.whole = plan.room(plan.batch, plan.steps, plan.features) if wants.x or wants.drive else None
        """dL/dcur of all steps, where somebody reads it."""
        self.sums = plan.zeros(plan.batch, len(call.rows[0]), plan.features) if wants_coefficients else None
        self.at_start = plan.room(plan.batch, plan.features) if plan.delayed and w_rec is not None else None
        self.grad_bias = plan.room(plan.batch, plan.features) if wants.bias else None
        self.threads = torch.get_num_threads()
        cached = plan.limits.cached_bytes
        self.grad_w_in = self._gradient(cast(Tensor, w_in).shape[-1], cached) if wants.w_in else None
        self.grad_w_rec = self._gradient(plan.features, cached // 2) if wants.w_rec else None
        self.blocks = [
            (grad, block)
            for grad in (self.grad_w_in, self.grad_w_rec)
            if grad is not None
            for block in range(len(grad.starts))
        ]
        self.slopes: Slopes = call.slopes
        self.retreat = plan.loop_of("retreat")
        self.began: list[Array | None] = [None, None, None]
        """The state that came, where a chunk is computed again or neurons were in their refractory period."""
        if (self.wanted[0] and made.stored is None) or plan.silent:
            self.began = [plan.all(state.get(name)) for name in ("v", recursion.second or "", "refractory")]
        # What is computed from here on is rounded by how it is laid out: each member without what pads it, as alone.
        self.coefficients = [plan.own(k, rows)[0] for k, rows in enumerate(call.rows)]
        back = plan.all(w_rec) if plan.through_w_rec else None
        self.back = [self._square(k, back) for k in range(plan.members)]
        self.finite = made.finite
        self.deltas: dict[int, Array] = {}
        """dL/dcur of the chunks whose part in the gradients of weights is still to be added."""
        self.scratch = memory.Scratch.of_before()
        self.by_lot = self.slopes.known and self.threads <= len(plan.lots)

    def gradients(self) -> tuple[Tensor | None, ...] | None:
        """Of every input of the node, or None when no member's were finite on the way; ``finite`` says whose were."""
        plan, wants = self.plan, self.wants
        if self.by_lot:
            pool.run(self._lot, len(plan.lots))
        else:
            turns = itertools.zip_longest(*([(i, j) for j in own] for i, own in enumerate(plan.lots)))
            order = [pair for turn in turns for pair in turn if pair is not None]
            together = 1 if self.threads == 1 else 2 * self.threads
            for begin in range(0, len(order), together):
                self._share(order[begin : begin + together])
        self.scratch.leave()
        for found in (self.ends, self.sums):
            if found is not None:
                now = finite(plan, found if found is self.ends else found[None])
                self.finite = [before and own for before, own in zip(self.finite, now, strict=True)]
        if not any(self.finite):
            return None
        names = plan.neuron.state_names
        wanted = dict(zip(names, wants.rest[-len(names) :], strict=True))
        firsts = self._firsts(wanted)
        whole = None if self.whole is None else plan.given_back(self.whole)
        summed = None if self.sums is None else torch.from_numpy(plan.over_samples(self.sums))
        return (
            self._grad_x(cast(Tensor, whole)) if wants.x else None,
            whole if wants.drive else None,
            None if self.grad_w_in is None else plan.given_back(self.grad_w_in.whole()),
            None if self.grad_bias is None else plan.given_back(plan.over_samples(self.grad_bias)),
            None if self.grad_w_rec is None else plan.given_back(self.grad_w_rec.whole()),
            *coefficient_gradients(self.call.recursions, bool(plan.axis), summed, self.rest, wants.rest),
            *(firsts.get(name) if own else None for name, own in wanted.items()),
        )

    def _read_back(self, grad: Tensor | None) -> Array | None:
        """[K, B, 2, N]: what the readout sends back, and the step it sends it to."""
        reads, plan = self.made.reads, self.plan
        if reads is None or grad is None:
            return None
        back = memory.empty(reads.shape, reads.dtype)
        back[:, :, 0] = plan.all(grad)
        back[:, :, 1] = reads[:, :, 1]
        if plan.reduction == "mean":
            back[:, :, 0] /= plan.steps
        return back

    def _gradient(self, inputs: int, room: int) -> WeightGradient:
        plan = self.plan
        return WeightGradient(
            [plan.loop(name) for name in ("weight_gradient", "add", "turn")], [plan.chunks[own[0]][0] for own in plan.lots],
            (plan.members, plan.features, inputs), plan.real, room=room, threads=-(-self.threads // len(plan.lots)),
        )  # fmt: skip

    def _square(self, k: int, w_back: Array | None) -> tuple[Array, Array]:
        """Member k's own part of the weights by which spikes come back, and of their transpose; empty where there are none."""
        plan = self.plan
        if w_back is None or not plan.recurrent[k]:
            return plan.none2, plan.none2
        n, w_rec_t = plan.widths[k], self.weights.w_rec_t[k]
        if n == plan.features:
            return w_back[k], w_rec_t
        return np.ascontiguousarray(w_back[k, :n, :n]), np.ascontiguousarray(w_rec_t[:n, :n])

    def _again(self, j: int) -> Kept:
        """The variables of a chunk, as they were stored or computed once more, without what pads them."""
        plan, made = self.plan, self.made
        chunk = plan.chunks[j]
        if made.stored is not None:
            return cast(Kept, plan.own(chunk[0], *made.stored[j]))
        kept = room_for(plan, chunk, self.wanted, self.scratch if self.slopes.known else None)
        state = [part(variable, chunk, plan.none2).copy() for variable in self.began]
        advance(
            self.call,
            self.weights,
            chunk,
            made.arrived[j],
            made.sent[j],
            state,
            plan.none3,
            kept,
            self.scratch,
            again=True,
        )
        return cast(Kept, plan.own(chunk[0], *kept))

    def _from_above(self, k: int, lo: int, hi: int) -> Array:
        """The gradient of the output of some samples."""
        plan = self.plan
        if self.factors is None:
            return plan.none3 if self.grad_output is None else self.grad_output[k, lo:hi]
        if self.few is None:
            return array(self.factors.whole()[lo:hi])
        delta, w_in = self.few
        out = self.scratch("sent back", (hi - lo, plan.steps, plan.features), plan.real)
        plan.loop("send_on")(delta[lo:hi].reshape(-1, delta.shape[-1]), w_in, out.reshape(-1, plan.features))
        return out

    def _through_time(self, j: int, kept: Kept, psi: Array) -> None:
        plan, chunk, sent, scratch = self.plan, self.plan.chunks[j], self.made.sent[j], self.scratch
        k, lo, hi = chunk
        n, none2, none3 = plan.widths[k], plan.none2, plan.none3
        if plan.silent:
            (left,) = plan.own(k, part(self.began[2], chunk, none2))
            plan.loop("silence")(psi, sent.pointer, sent.index, left, plan.silent)
        given, seen, z, summed, v, second = plan.own(
            k, self._from_above(k, lo, hi), part(self.from_potentials, chunk, none3), part(self.grad_z, chunk, none2),
            part(self.sums, chunk, none3), self.ends[0, k, lo:hi], self.ends[1, k, lo:hi],
        )  # fmt: skip
        shape = (hi - lo, plan.steps, n)
        if self.whole is not None and n == plan.features:
            delta = self.whole[k, lo:hi]
        elif self.by_lot:
            delta = scratch("delta", shape, plan.real)
        else:
            delta = memory.empty(shape, plan.real)
        self.deltas[j] = delta
        rows = scratch("rows", (3, hi - lo, n), plan.real)
        rows.fill(0.0)
        self.retreat(
            psi, given, seen, *kept[:3], sent.pointer, sent.index, *self.back[k], self.coefficients[k], v, second, z, delta,
            summed, rows, scratch("chosen", (n + 3,), np.int32), plan.steps, plan.flags[k],
        )  # fmt: skip
        if n < plan.features:
            self.ends[0, k, lo:hi, :n], self.ends[1, k, lo:hi, :n] = v, second
            if self.whole is not None:
                self.whole[k, lo:hi, :, :n] = delta
            if self.sums is not None:
                self.sums[k, lo:hi, :, :n] = summed
        if self.grad_bias is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                self.grad_bias[k, lo:hi, :n] = delta.sum(axis=1)
        if self.at_start is not None:
            self.at_start[k, lo:hi, :n] = delta[:, 0]

    def _chunk(self, j: int) -> None:
        """One chunk, with h from the loops."""
        plan, packed, none3 = self.plan, self.made.packed, self.plan.none3
        k, lo, hi = chunk = plan.chunks[j]
        nothing: Kept = (none3, none3, none3, none3)
        if packed is not None:
            psi = self.scratch("psi", (hi - lo, plan.steps, plan.widths[k]), plan.real)
            if packed.get(j, psi):
                self._through_time(j, nothing, psi)
                return
        kept = self._again(j) if self.wanted[0] else nothing
        if plan.spiking:
            psi = self.scratch("psi", (hi - lo, plan.steps, plan.widths[k]), plan.real)
            self.slopes.write(k, kept, psi)
        else:
            (psi,) = plan.own(k, part(self.from_readout, chunk, none3))
        self._through_time(j, kept, psi)

    def _add(self, i: int, j: int, grad: WeightGradient, block: int) -> None:
        """A chunk's part of the gradient of a lot."""
        if grad is self.grad_w_in:
            grad.add(i, block, self.deltas[j], self.made.arrived[j], 0)
        elif self.plan.recurrent[self.plan.chunks[j][0]]:
            grad.add(i, block, self.deltas[j], self.made.sent[j], int(self.plan.delayed))

    def _lot(self, i: int) -> None:
        for j in self.plan.lots[i]:
            self._chunk(j)
            for grad, block in self.blocks:
                self._add(i, j, grad, block)
            del self.deltas[j]

    def _share(self, group: Sequence[tuple[int, int]]) -> None:
        """Some chunks (of lot i, chunk j), each a thread's, and then the blocks of their lots' gradients."""
        if self.slopes.known:
            pool.run(lambda q: self._chunk(group[q][1]), len(group))
        else:
            self._by_torch([j for _, j in group])
        jobs = [(i, *block) for i in dict.fromkeys(i for i, _ in group) for block in self.blocks]

        def add_block(q: int) -> None:
            i, grad, block = jobs[q]
            for other, j in group:
                if other == i:
                    self._add(i, j, grad, block)

        pool.run(add_block, len(jobs))
        self.deltas.clear()

    def _by_torch(self, group: Sequence[int]) -> None:
        """A surrogate that only torch knows: potentials of all samples of the group, then h on this thread."""
        made: dict[int, Kept] = {}

        def again(q: int) -> None:
            made[q] = self._again(group[q])

        pool.run(again, len(group))
        psis = []
        for q, j in enumerate(group):
            k = self.plan.chunks[j][0]
            given, v_th = self.slopes.argument(k, made[q], None)
            spike = cast(Any, self.call.spikes[k])
            psis.append(array(spike.derivative(torch.from_numpy(given) - float(v_th))))
        pool.run(lambda q: self._through_time(group[q], made[q], psis[q]), len(group))

    def _firsts(self, wanted: Mapping[str, bool]) -> dict[str, Tensor]:
        """Gradients of those variables of the state that want one; what came with the first spikes goes to w_rec."""
        plan, state, w_rec = self.plan, self.state, self.w_rec
        firsts = {}
        for name, own in zip(("v", plan.recursion.second), self.ends, strict=True):
            if name is not None and wanted[name]:
                firsts[name] = plan.given_back(own)
        if self.at_start is not None and w_rec is not None:
            delta_0 = plan.given_back(self.at_start)
            if self.grad_w_rec is not None:
                outer = of_each(plan, lambda z, d: z.mT @ d, state["z"].detach(), delta_0, False)
                for k, own in enumerate(cast(Array, plan.all(outer))):
                    self.grad_w_rec.add_all(k, own)
            if plan.through_w_rec and wanted["z"]:
                firsts["z"] = of_each(plan, torch.matmul, delta_0, w_rec.detach(), True)
        if wanted.get("refractory") and (above := self.above["refractory"]) is not None:
            # What is left counts down to zero, and passes a gradient on as long as it has not arrived there.
            firsts["refractory"] = above * (state["refractory"] >= plan.steps)
        return firsts

    def _grad_x(self, back: Tensor) -> Tensor:
        """Each member's product as it would be alone: one product for all rounds otherwise."""
        plan, w_in = self.plan, cast(Tensor, self.w_in).detach()
        if not plan.axis:
            if self.call.before and back.shape[-1] <= plan.limits.short_row:
                # An optimizer changes weights in place, and somebody may look afterwards.
                return SentBack(back, torch.from_numpy(array(w_in).copy()), functools.partial(_sent_on, plan))
            product: Tensor = _sent_on(plan, back.flatten(0, 1), w_in).unflatten(0, back.shape[:2])
            return product
        own_sizes = plan.given.sizes or [(w_in.shape[1], w_in.shape[2])] * len(w_in)
        made = []
        for delta, w, (n, n_in) in zip(back, w_in, own_sizes, strict=True):
            own = _sent_on(plan, settled(delta[..., :n]).flatten(0, 1), settled(w[:n, :n_in]))
            made.append(F.pad(own, (0, w_in.shape[-1] - n_in)).unflatten(0, back.shape[1:3]))
        each = torch.stack(made)
        return each.sum(0) if plan.shared else each


def _sent_on(plan: Plan, delta: Tensor, w_in: Tensor) -> Tensor:
    """delta @ w_in, for few neurons by the loops."""
    if delta.shape[-1] > plan.limits.short_row:
        return delta @ w_in
    send_on: Callable[..., Any] = plan.loop("send_on")
    rows, weights = array(delta), array(w_in)
    out = memory.empty((len(rows), weights.shape[1]), rows.dtype)
    size = max(8, plan.limits.chunk_elements // max(1, out.shape[1]) // 8 * 8)
    starts = range(0, len(rows), size)
    pool.run(
        lambda i: send_on(rows[starts[i] : starts[i] + size], weights, out[starts[i] : starts[i] + size]), len(starts)
    )
    return torch.from_numpy(out)
