"""Plan: what the calls of a layer have in common that get tensors of the same shapes, worked out once."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ...typing import NeuronLike
from . import limits, memory
from .event_list import EventList, array
from .recursion import READ_MAX, READ_SUM, RECURRENT, RESET_ATTACHED, RESET_ZERO, SPIKING, Recursion
from .weight_gradient import lots

__all__ = ["Code", "Given", "Plan", "part", "plan_for"]

Array = np.ndarray[Any, Any]


class Code(Protocol):
    """What compiles the loops."""

    def loop(self, name: str, dtype: str) -> Callable[..., Any]:
        """A loop by name, for ``float32`` or ``float64``."""

    def derivative(self, spike: Any, dtype: str) -> tuple[Callable[..., Any], tuple[float, ...]] | None:
        """The surrogate's h as a loop ``(v, v_th, parameters, out)`` and its parameters, or None where it has none."""


class Given(NamedTuple):
    """All that a plan depends on.

    Args:
        code: of the backend.
        neurons, recursions: one per member; all have the same but for numbers.
        members: (K,), or () without a member axis.
        shape: of x, [B, T, K] or [K, B, T, K]; of the drive where that came.
        features: N.
        dtype: ``float32`` or ``float64``.
        reduction: of a readout over time that the loops make on their way.
        from_weights: whether there are input weights, so that x comes as events.
        feeds_back: whether there are recurrent weights.
        sizes, recurrent: of each member, or None.
        limits: in use.
    """

    code: Code
    neurons: tuple[NeuronLike, ...]
    recursions: tuple[Recursion, ...]
    members: tuple[int, ...]
    shape: tuple[int, ...]
    features: int
    dtype: str
    reduction: str | None
    from_weights: bool
    feeds_back: bool
    sizes: tuple[tuple[int, int], ...] | None
    recurrent: tuple[bool, ...] | None
    limits: limits.Limits


def plan_for(given: Given) -> "Plan":
    """The one there is, for records that can be looked up."""
    try:
        return _kept(given)
    except TypeError:
        return Plan(given)


class Plan:
    """Sizes, flags, loops, and how samples are split."""

    def __init__(self, given: Given) -> None:
        neuron, recursion = given.neurons[0], given.recursions[0]
        self.given, self.code, self.neuron, self.recursion = given, given.code, neuron, recursion
        self.limits, self.reduction = given.limits, given.reduction
        self.members, self.axis, self.features = len(given.neurons), given.members, given.features
        self.batch, self.steps = given.shape[-3:-1]
        self.shared = len(given.shape) == 3
        self.dtype, self.real = given.dtype, np.dtype(given.dtype)
        self.spiking: bool = neuron.spiking
        self.attached = self.spiking and not getattr(neuron, "detach_reset", True)
        self.to_zero = self.spiking and getattr(neuron, "reset", "") == "zero"
        self.silent = int(getattr(neuron, "refractory_steps", 0))
        self.adaptive, self.delayed = recursion.loops != "linear", recursion.delayed
        self.through_w_rec = self.spiking and not getattr(neuron, "detach_recurrent", False)
        flags = (
            recursion.flags
            | SPIKING * self.spiking
            | RESET_ZERO * self.to_zero
            | RESET_ATTACHED * self.attached
            | READ_SUM * (given.reduction in ("sum", "mean"))
            | READ_MAX * (given.reduction == "max")
        )
        self.recurrent = [
            given.feeds_back and (given.recurrent is None or given.recurrent[k]) for k in range(self.members)
        ]
        self.flags = [flags | RECURRENT * own for own in self.recurrent]
        self.widths = [self.features] * self.members if given.sizes is None else [n for n, _ in given.sizes]
        self.padded = min(self.widths) < self.features
        self.chunks: list[tuple[int, int, int]] = []
        """Member, first sample and the one after the last."""
        self.lots: list[range] = []
        """The chunks of each lot."""
        for k, width in enumerate(self.widths):
            own, at = _chunks(self.batch, self.steps * width, given.limits.chunk_elements), len(self.chunks)
            inputs = given.shape[-1] if given.sizes is None else given.sizes[k][1]
            size = (inputs + width * self.recurrent[k]) * width * self.real.itemsize
            self.lots += [range(at + part.start, at + part.stop) for part in lots(len(own), size, given.limits)]
            self.chunks += [(k, lo, hi) for lo, hi in own]
        self.none1, self.none2, self.none3 = (np.empty((0,) * axes, self.real) for axes in (1, 2, 3))
        self.no_events = EventList(np.empty(0, np.int64), np.empty(0, np.int32), self.none1)
        self.blocks = self._blocks() if given.from_weights else []
        """Neurons lo ... hi - 1 of each block of input weights, none where they are small."""
        self._loops: dict[str, Callable[..., Any]] = {}

    def _blocks(self) -> list[tuple[int, int]]:
        row, room = self.given.shape[-1] * self.real.itemsize, self.limits.cached_bytes
        if self.axis or self.features * row <= room:
            return []
        width = max(64, room // 2 // row // 64 * 64)
        return [(lo, min(lo + width, self.features)) for lo in range(0, self.features, width)]

    def loop(self, name: str) -> Callable[..., Any]:
        """A loop by name."""
        found = self._loops.get(name)
        if found is None:
            found = self._loops[name] = self.code.loop(name, self.dtype)
        return found

    def loop_of(self, name: str) -> Callable[..., Any]:
        """``advance`` or ``retreat`` of this recursion."""
        return self.loop(f"{name}_{self.recursion.loops}" if self.adaptive else name)

    def wanted(self, coefficients: bool) -> tuple[bool, bool, bool, bool]:
        """Which variables of all steps (v, the second one, the current, the surrogate's argument) the backward pass reads.

        Args:
            coefficients: whether they want gradients.
        """
        currents = self.adaptive or coefficients or (self.attached and self.to_zero)
        return self.spiking or coefficients, self.adaptive, currents, self.adaptive

    def own(self, k: int, *arrays: Array) -> Sequence[Array]:
        """Arrays [..., N] without the neurons that pad member k, as it has them alone; what is empty stays so."""
        n = self.widths[k]
        if n == self.features:
            return arrays
        return [array if array.shape[-1] in (0, n) else np.ascontiguousarray(array[..., :n]) for array in arrays]

    def over_samples(self, sums: Array) -> Array:
        """The sum of [K, B, ..., N] over B: numpy adds a column by itself, a member of one neuron's, in another order."""
        with np.errstate(over="ignore", invalid="ignore"):
            if not self.padded:
                return np.asarray(sums.sum(axis=1))
            out = np.zeros((len(sums), *sums.shape[2:]), sums.dtype)
            for k, n in enumerate(self.widths):
                out[k, ..., :n] = self.own(k, sums[k : k + 1])[0].sum(axis=1)[0]
            return out

    def all(self, tensor: Tensor | None) -> Array | None:
        """The memory of a tensor as [K, ...], whether it has a member axis or not."""
        if tensor is None:
            return None
        found = array(tensor)
        return found.reshape(self.members, *found.shape[len(self.axis) :])

    def turned(self, weights: Array) -> Array:
        """[K, N, M] from [K, M, N]."""
        out = memory.empty((len(weights), weights.shape[2], weights.shape[1]), self.real)
        turn = self.loop("turn")
        for own, to in zip(weights, out, strict=True):
            turn(own, to)
        return out

    def zeros(self, *shape: int) -> Array:
        """[K, ...]."""
        return memory.zeros((self.members, *shape), self.real)

    def room(self, *shape: int) -> Array:
        """[K, ..., N] to be filled by every member, with zeros where neurons pad it."""
        return self.zeros(*shape) if self.padded else memory.empty((self.members, *shape), self.real)

    def given_back(self, found: Array) -> Tensor:
        """A tensor, with a member axis only if the call has one."""
        return torch.from_numpy(found.reshape(*self.axis, *found.shape[1:]))


@functools.lru_cache(256)
def _kept(given: Given) -> Plan:
    return Plan(given)


def _chunks(batch: int, row: int, elements: int) -> list[tuple[int, int]]:
    """Samples in chunks, of ``row`` elements each: as for a member alone, however many they are; how its parts add up depends on it."""
    row = max(1, row)
    size = max(1, min(elements // row, batch))
    count = -(-batch // size)
    if count > 1:
        count += count % 2  # two lots are as long then, where samples allow it
    size = max(1, -(-batch // count))  # as many in each
    return [(lo, min(lo + size, batch)) for lo in range(0, batch, size)]


def part(values: Array | None, chunk: tuple[int, int, int], none: Array) -> Array:
    """A chunk of [K, B, ...], or nothing."""
    k, lo, hi = chunk
    return none if values is None else values[k, lo:hi]
