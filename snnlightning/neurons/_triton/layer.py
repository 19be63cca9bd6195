"""A whole layer over time on a GPU, as one autograd node around the kernels.

The drive W x + b is one product of torch's before the loop, and the gradient of w_rec is one behind it. In between, by what there is:

* feed-forward: one launch; a program owns some neurons of some samples for all steps.
* recurrent, up to ``FITS`` neurons: one launch, with w_rec inside; a program owns all neurons of 16 samples, or, where w_rec is too
  large for one, several programs share them.
* recurrent, more neurons or double precision: per step one product of torch's and one launch; nothing of it waits for the device,
  so that a caller can capture it in a CUDA graph.

Kept for the backward pass: v[n] in float32 (the state's type), and the second variable and the current where the adjoint reads
them: 4 to 12 bytes per neuron and step. Computing them again would cost the serial loop a second time, which is what bounds small
layers. Spikes are made of v again.

Products of w_rec are in the type that autocast says, or else in that of the weights; the state is float32, or float64 when the
weights are. What is not finite needs no care here: nothing is skipped, so zeros meet infinity as in the reference.

Members are one axis of the grid.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from ...events import dense
from ...typing import Coefficients, LayerCall, NeuronLike, SpikeFunction, Trace
from .._fused.around import coefficient_gradients, drive_of, refuse_second_derivative
from .._fused.recursion import CURRENT, RECURRENT, RESET_ATTACHED, RESET_ZERO, SPIKING, Recursion
from . import kernels
from .launching import FITS, operand, precision, processors, tile

__all__ = ["run"]

_LOOPS = {"linear": (0, 3), "alif": (1, 5), "adlif": (2, 6)}
"""What the kernels call a recursion, and how many of its rows come before the threshold."""


@dataclasses.dataclass(frozen=True)
class _Call:
    """What does not change during a call; one neuron, recursion, surrogate and set of coefficients per member."""

    neurons: Sequence[NeuronLike]
    recursions: Sequence[Recursion]
    spikes: Sequence[SpikeFunction | None]
    coefficients: Sequence[Coefficients]
    potentials: bool
    keep: bool
    members: tuple[int, ...]
    dtype: torch.dtype
    product: torch.dtype

    @property
    def neuron(self) -> NeuronLike:
        """The first; what is asked of it is the same for all."""
        return self.neurons[0]

    @property
    def recursion(self) -> Recursion:
        """The first; see ``neuron``."""
        return self.recursions[0]

    @property
    def real(self) -> torch.dtype:
        """Of the state."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @property
    def silent(self) -> int:
        """Steps without spikes behind each."""
        return int(getattr(self.neuron, "refractory_steps", 0))

    def rounded(self, w_rec: Tensor) -> Tensor:
        """As the product takes it."""
        return w_rec.detach().to(self.product).to(operand(self.product))

    def flags(self, recurrent: bool) -> int:
        """As the kernels read them."""
        neuron = self.neuron
        return (
            self.recursion.flags
            | SPIKING * neuron.spiking
            | RESET_ZERO * (neuron.spiking and getattr(neuron, "reset", "") == "zero")
            | RESET_ATTACHED * (neuron.spiking and not getattr(neuron, "detach_reset", True))
            | RECURRENT * recurrent
        )

    def constants(self, recurrent: bool) -> dict[str, Any]:
        """What is known when a kernel is compiled."""
        loops, base = _LOOPS[self.recursion.loops]
        real = tl.float64 if self.real == torch.float64 else tl.float32
        return {"REAL": real, "LOOPS": loops, "FLAGS": self.flags(recurrent), "BASE": base}


def run(recursions: Sequence[Recursion], work: LayerCall) -> Trace:
    """The layer's output, last state and potentials, as :func:`.._fused.layer.run` makes them.

    A readout over time is the caller's: one reduction of torch's.
    """
    x, w_in, w_rec, bias, state, learned = work.x, work.w_in, work.w_rec, work.bias, work.state, work.learned
    neuron, recursion = work.neurons[0], recursions[0]
    dtype = x.dtype if w_in is None else w_in.dtype
    drive = drive_of(dense(x).to(dtype), w_in, bias)
    if not drive.numel():
        return work.plain(drive.to(dtype), w_rec, state, learned)
    inputs = [learned.get(name) for name in recursion.learnable]
    given = (drive, w_rec, *inputs, *state)
    keep = torch.is_grad_enabled() and any(u is not None and u.requires_grad for u in given)
    device = drive.device.type
    product = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else dtype
    call = _Call(
        work.neurons, recursions, work.spikes, work.coefficients, work.potentials, keep, work.members, dtype, product
    )
    with torch.cuda.device_of(drive):
        output, *rest = _Layer.apply(call, drive, w_rec, *inputs, *state)
    seen = (rest[-1] if neuron.spiking else output) if work.potentials else None
    return Trace(output, tuple(rest[: len(state)]), seen)


class _Numbers:
    """What the kernels of a call read, with the member axis, and which variables of all steps the backward pass reads."""

    def __init__(self, call: _Call, drive: Tensor, w_rec: Tensor | None, wants_coefficients: bool) -> None:
        members = drive.shape[0] if call.members else 1
        self.shape = (members, *drive.shape[-3:])
        batch, features = drive.shape[-3], drive.shape[-1]
        self.sums = wants_coefficients
        self.recurrent = w_rec is not None
        self.whole = not self.recurrent or (features <= FITS and call.real == torch.float32)
        inside = self.recurrent and self.whole
        self.precision = precision(call.product, drive.device)
        exact = self.precision == "ieee"
        self.tile = tile(members, batch, features, inside, call.product.itemsize, exact, processors(drive.device))
        self.grid = self.tile.grid(members, batch, features)
        self.coefficients = _rows(call, features, drive.device)
        self.compiled = call.constants(self.recurrent) | {"COUNT": self.coefficients.shape[1]}
        flags = self.compiled["FLAGS"]
        adaptive, has_current = call.recursion.loops != "linear", bool(flags & CURRENT)
        arriving = wants_coefficients or bool(flags & RESET_ATTACHED and flags & RESET_ZERO)
        self.needs_v = call.neuron.spiking or wants_coefficients
        self.needs_second = adaptive or (has_current and arriving)
        self.needs_current = adaptive or (not has_current and arriving)

    def arrivals(self, device: torch.device) -> Tensor | None:
        """Zeros where programs that share samples count themselves."""
        groups = self.grid[0] * self.grid[2]
        return torch.zeros(groups, dtype=torch.int32, device=device) if self.tile.shared else None

    def launch(self, kernel: Any, *arguments: Any, whole: bool, **compiled: Any) -> None:
        """Run a kernel on this grid; ``whole``: it is one of those that run all steps."""
        tiles: dict[str, Any] = {"BB": self.tile.samples, "BN": self.tile.neurons}
        if whole:
            tiles |= {"BK": self.tile.block, "WAY": self.tile.way, "STAGES": self.tile.stages}
            tiles |= {"PRECISION": self.precision}
        kernel[self.grid](*arguments, **self.compiled, **tiles, **compiled, **self.tile.options)


class _Layer(torch.autograd.Function):
    """scan's loop over time, from the drive."""

    @staticmethod
    def forward(
        ctx: Any, call: _Call, drive: Tensor, w_rec: Tensor | None, *rest: Tensor | None
    ) -> tuple[Tensor, ...]:  # fmt: skip
        neuron = call.neuron
        numbers = _Numbers(call, drive, w_rec, any(ctx.needs_input_grad[3 : 3 + len(call.recursion.learnable)]))
        drive = drive.contiguous()
        output = drive.new_empty(drive.shape, dtype=call.dtype)

        def room(wanted: bool) -> Tensor | None:
            return drive.new_empty(drive.shape, dtype=call.real) if wanted else None

        is_output = not neuron.spiking and call.real == call.dtype
        potentials = room((call.keep and numbers.needs_v and not is_output) or (call.potentials and neuron.spiking))
        seconds = room(call.keep and numbers.needs_second)
        currents = room(call.keep and numbers.needs_current and numbers.recurrent)
        lefts = room(call.keep and call.silent > 0)
        state = _named_state(call, rest)
        with torch.autocast(drive.device.type, enabled=False):
            last = _forward(call, numbers, drive, w_rec, state, output, (potentials, seconds, currents, lefts))
        if call.recursion.delayed:
            last["z"] = output[..., -1, :].clone()
        seen = (potentials.to(call.dtype),) if call.potentials and neuron.spiking and potentials is not None else ()
        if call.keep:
            ctx.call, ctx.numbers, ctx.drive_dtype = call, numbers, drive.dtype
            kept_v = output if is_output else seen[0] if seen and call.real == call.dtype else potentials
            kept_current = drive if numbers.needs_current and not numbers.recurrent else currents
            spikes = output if ctx.needs_input_grad[2] else None
            ctx.save_for_backward(
                w_rec, spikes, kept_v if numbers.needs_v else None, seconds, kept_current, lefts, *rest
            )
        ctx.set_materialize_grads(False)
        return (output, *(last[name] for name in neuron.state_names), *seen)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        with torch.no_grad(), torch.cuda.device_of(ctx.numbers.coefficients):
            found = _backward(ctx, grads)
        return refuse_second_derivative(found)


def _forward(
    call: _Call, numbers: _Numbers, drive: Tensor, w_rec: Tensor | None, state: dict[str, Tensor], output: Tensor,
    kept: tuple[Tensor | None, ...],
) -> dict[str, Tensor]:  # fmt: skip
    """Fill ``output`` and what is kept; the last state, without the spikes that are under way."""
    _, batch, steps, features = numbers.shape
    names = ("v", call.recursion.second or "", "refractory")
    last = {
        name: torch.empty_like(state[name], memory_format=torch.contiguous_format) for name in names if name in state
    }
    begun = [_contiguous(state.get(name)) for name in names]
    ends = [last.get(name) for name in names]
    w_rec_t = None if w_rec is None else call.rounded(w_rec).mT.contiguous()
    first = None
    if w_rec_t is not None and "z" in state:
        first = (state["z"].to(operand(call.product)) @ w_rec_t).contiguous()
    if numbers.whole:
        numbers.launch(
            kernels.advance, drive, w_rec_t, first, numbers.coefficients, *begun, *ends, output, *kept,
            numbers.arrivals(drive.device), batch, steps, features, call.silent, whole=True,
        )  # fmt: skip
        return last
    now = [None if t is None else t.to(call.real, copy=True) for t in begun]
    arrived = first
    for t in range(steps + 1):
        numbers.launch(
            kernels.advance_step, drive, arrived, numbers.coefficients, *now, output, *kept,
            t, batch, steps, features, call.silent, whole=False, UPDATE=t > 0, READ=t < steps,
        )  # fmt: skip
        if t < steps and w_rec_t is not None and not (call.recursion.delayed and t == 0):
            sender = t - 1 if call.recursion.delayed else t
            arrived = (output[..., sender, :].to(operand(call.product)) @ w_rec_t).contiguous()
    return {name: value.to(call.dtype) for name, value in zip(names, now, strict=True) if value is not None}


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """All gradients."""
    call, numbers = ctx.call, ctx.numbers
    neuron, recursion = call.neuron, call.recursion
    w_rec, spikes, potentials, seconds, currents, lefts, *rest = ctx.saved_tensors
    _, wants_drive, wants_w_rec, *wants_rest = ctx.needs_input_grad
    state = _named_state(call, rest)
    members, batch, steps, features = numbers.shape
    axis = call.members
    above = {name: _contiguous(g) for name, g in zip(neuron.state_names, grads[1:], strict=False)}
    grad_output = _contiguous(grads[0])
    seen = grads[1 + len(neuron.state_names)] if neuron.spiking and call.potentials else None
    device = numbers.coefficients.device

    def room(*shape: int, dtype: torch.dtype = call.real) -> Tensor:
        return torch.empty((*axis, *shape), dtype=dtype, device=device)

    delta = room(batch, steps, features, dtype=ctx.drive_dtype)
    sums = torch.zeros(members, batch, numbers.compiled["COUNT"], features, dtype=call.real, device=device) if numbers.sums else None  # fmt: skip
    through = w_rec is not None and not getattr(neuron, "detach_recurrent", False)
    w_back = call.rounded(w_rec).contiguous() if through else None
    inline = _inlined(call.spikes) if neuron.spiking else None
    psi, parameters, h, cut = None, None, None, False
    if inline is not None:
        h, cut, rows = inline
        parameters = _numbers_on(device, call.real, rows)
    elif neuron.spiking:
        psi = _psi(call, potentials, seconds)
    from_v, from_second = above.get("v"), above.get(recursion.second or "")
    kept = potentials, seconds, currents, lefts
    grad_z = above.get("z")
    if numbers.whole:
        grad_v = room(batch, features)
        grad_second = room(batch, features) if recursion.second is not None else None
        numbers.launch(
            kernels.retreat, w_back, numbers.coefficients, parameters, *kept, psi,
            grad_output, _contiguous(seen), grad_z, from_v, from_second, grad_v, grad_second, delta, sums,
            numbers.arrivals(device), batch, steps, features, whole=True, H=h, CUT=cut,
        )  # fmt: skip
    else:
        grad_v, grad_second = (
            room(batch, features).zero_() if g is None else g.to(call.real, copy=True) for g in (from_v, from_second)
        )
        arrived = None
        for t in range(steps - 1, -2, -1):
            if recursion.delayed:
                arrived = grad_z if t == steps - 2 else delta[..., t + 2, :].to(operand(call.product)) @ w_back if w_back is not None and t < steps - 2 else None  # fmt: skip
            elif w_back is not None and t < steps - 1:
                arrived = delta[..., t + 1, :].to(operand(call.product)) @ w_back
            numbers.launch(
                kernels.retreat_step, _contiguous(arrived), numbers.coefficients, parameters, *kept, psi,
                grad_output, _contiguous(seen), grad_v, grad_second, delta, sums,
                t, batch, steps, features, whole=False, FINISH=t < steps - 1, START=t >= 0, H=h, CUT=cut,
            )  # fmt: skip
    firsts = {"v": grad_v}
    if recursion.second is not None and grad_second is not None:
        firsts[recursion.second] = grad_second
    if recursion.delayed and w_back is not None:
        firsts["z"] = delta[..., 0, :].to(operand(call.product)) @ w_back
    if above.get("refractory") is not None:
        # What is left counts down to zero, and passes a gradient on as long as it has not arrived there.
        firsts["refractory"] = above["refractory"] * (state["refractory"] >= steps)
    summed = None if sums is None else sums.sum(dim=1)
    last = zip(
        neuron.state_names, rest[len(recursion.learnable) :], wants_rest[len(recursion.learnable) :], strict=True
    )
    return (
        None,
        delta if wants_drive else None,
        _matrix_gradient(call, delta, spikes, state).to(w_rec.dtype) if wants_w_rec else None,
        *coefficient_gradients(call.recursions, bool(call.members), summed, rest, wants_rest),
        *(firsts[name].to(tensor.dtype) if wanted and name in firsts else None for name, tensor, wanted in last),
    )


def _matrix_gradient(call: _Call, delta: Tensor, spikes: Tensor, state: dict[str, Tensor]) -> Tensor:
    """dL/dw_rec [.., N, N]: one product over all samples and steps; spikes are exact in any type."""
    sent = spikes.to(delta.dtype)
    if not call.recursion.delayed:
        return delta.flatten(-3, -2).mT @ sent.flatten(-3, -2)
    found = delta[..., 1:, :].flatten(-3, -2).mT @ sent[..., :-1, :].flatten(-3, -2)
    return found + delta[..., 0, :].mT @ state["z"].to(delta.dtype)


def _psi(call: _Call, potentials: Tensor, seconds: Tensor | None) -> Tensor:
    """h of the surrogate's argument, as torch has it: for families that no kernel knows, and for members of several families."""
    found = []
    for k, (neuron, spike) in enumerate(zip(call.neurons, call.spikes, strict=True)):
        one: Any = neuron
        own = {"v": potentials[k] if call.members else potentials}
        if seconds is not None and call.recursion.second is not None:
            own[call.recursion.second] = seconds[k] if call.members else seconds
        # A variable that was not kept has no part in the argument.
        state = tuple(own.get(name, own["v"]) for name in one.variables)
        derivative: Callable[[Tensor], Tensor] = spike.derivative  # type: ignore[union-attr]
        found.append(derivative(one.above_threshold(state, call.coefficients[k])).to(call.real))
    return torch.stack(found) if call.members else found[0].contiguous()


_Inline = tuple[Any, bool, tuple[tuple[float, ...], ...]]
"""The function, whether it is cut, and (p0, p1, bound) of each member."""


def _inlined(spikes: Sequence[SpikeFunction | None]) -> _Inline | None:
    """The surrogates' h as one function of the kernels, when a file ``<surrogate>__triton.py`` has it and all members share it."""
    functions, rows = set(), []
    for spike in spikes:
        one: Any = spike
        bound = float("inf")
        if (type(one).__module__, type(one).__name__) == ("snnlightning.surrogates.sparse", "Sparse"):
            one, bound = one.surrogate, one.bound
        found = _beside(type(one).__module__)
        if found is None:
            return None
        functions.add(found.derivative)
        rows.append((*found.parameters(one)[:2], bound))
    if len(functions) > 1:
        return None
    return functions.pop(), any(row[2] != float("inf") for row in rows), tuple(rows)


@functools.cache
def _beside(module: str) -> Any:
    try:
        return importlib.import_module(f"{module}__triton")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.endswith("__triton"):
            raise
        return None


def _named_state(call: _Call, rest: Sequence[Tensor | None]) -> dict[str, Tensor]:
    names = call.neuron.state_names
    return {name: t for name, t in zip(names, rest[len(rest) - len(names) :], strict=True) if t is not None}


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _rows(call: _Call, features: int, device: torch.device) -> Tensor:
    """Coefficients [K, C, N] of the type of the state."""
    values = [
        row
        for recursion, given in zip(call.recursions, call.coefficients, strict=True)
        for row in recursion.rows(given)
    ]
    members = len(call.recursions)
    if not any(isinstance(value, Tensor) for value in values):
        numbers = _numbers_on(device, call.real, (tuple(float(value) for value in values),))
        return numbers.view(members, -1, 1).expand(-1, -1, features).contiguous()
    rows = [
        value.detach().to(device, call.real).expand(features)
        if isinstance(value, Tensor)
        else torch.full((features,), float(value), dtype=call.real, device=device)
        for value in values
    ]
    return torch.stack(rows).view(members, -1, features)


@functools.lru_cache(maxsize=256)
def _numbers_on(device: torch.device, dtype: torch.dtype, rows: tuple[tuple[float, ...], ...]) -> Tensor:
    """Small constants on the device; made once, because copying them there waits for it (and cannot be captured in a graph)."""
    return torch.tensor(rows, dtype=dtype, device=device)
