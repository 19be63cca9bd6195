"""The gradient of weights: the deltas of a layer, summed by the events that they belong to.

Chunks of samples come in lots. Within a lot one chunk is added after the other, and the sums of the lots are added in the end: which
thread does what changes no bit. A lot is one thread's where there are as many lots as threads, so that it adds what it has in its cache;
otherwise threads share the neurons.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import memory
from .limits import Limits

__all__ = ["WeightGradient", "lots"]

Array = np.ndarray[Any, Any]

_LANES = 16


def lots(chunks: int, size: int, limits: Limits) -> list[range]:
    """The chunks of each lot, for gradients of so many bytes."""
    count = min(chunks, 4 if size <= limits.few_bytes and chunks >= 8 else 2 if size <= limits.many_bytes else 1)
    ends = [chunks * (i + 1) // count for i in range(count)]
    return [range(lo, hi) for lo, hi in zip([0, *ends], ends, strict=False)]


class WeightGradient:
    """Of weights [K, N, M], by presynaptic neuron and in blocks of neurons, each [M, n] in memory of its own.

    A block is small enough to stay in the second cache. Threads that wrote side by side to one row would take its lines from each other's
    caches, five times as slow.

    Args:
        loops: ``weight_gradient``, ``add`` and ``turn``.
        members: which of the K each lot belongs to; with one member weights may be cut into blocks.
        shape: (K, N, M).
        dtype: of the sums.
        room: bytes of weights from which blocks are half as large.
        threads: that will share a lot.
    """

    def __init__(
        self, loops: Sequence[Callable[..., Any]], members: Sequence[int], shape: tuple[int, int, int], dtype: Any,
        *, room: int, threads: int,
    ) -> None:  # fmt: skip
        self.loop, self.add_up, self.turn = loops
        self.members, self.shape, self.dtype = members, shape, np.dtype(dtype)
        count, features, inputs = shape
        width, row = -(-features // threads), inputs * self.dtype.itemsize
        if count == 1 and features * row > room:
            width = min(width, room // 2 // row)
        self.width = max(4 * _LANES, -(-width // _LANES) * _LANES)
        self.starts = range(0, features, self.width)
        self.parts: list[dict[int, Array]] = [{} for _ in members]

    def add(self, lot: int, block: int, delta: Array, events: Any, delayed: int) -> None:
        """Add a chunk [S, T, n], of which n may be less than N, to one block of a lot: delta of a step times the events of it, or of the one before."""
        lo, part = self.starts[block], self._part(lot, block)
        if lo < delta.shape[-1]:
            hi = min(lo + part.shape[1], delta.shape[-1])
            self.loop(delta, events.pointer, events.index, events.value, delayed, lo, hi, 0, part)

    def add_all(self, member: int, whole: Array) -> None:
        """Add [M, N] to a member's."""
        lot = self.members.index(member)
        for block, lo in enumerate(self.starts):
            part = self._part(lot, block)
            with np.errstate(over="ignore", invalid="ignore"):
                np.add(part, whole[:, lo : lo + part.shape[1]], out=part)

    def whole(self) -> Array:
        """[K, N, M]; what was added is gone then."""
        first = [self.members.index(member) for member in range(self.shape[0])]
        for lot, member in enumerate(self.members):
            for block in sorted(self.parts[lot]) if lot not in first else ():
                total = self._part(first[member], block)
                self.add_up(self.parts[lot].pop(block), total)
        found = memory.empty(self.shape, self.dtype)
        for member, lot in enumerate(first):
            for block, lo in enumerate(self.starts):
                self.turn(self._part(lot, block), found[member, lo : lo + self.width])
                del self.parts[lot][block]
        return found

    def _part(self, lot: int, block: int) -> Array:
        """[M, n]; zeros come from the thread that adds first."""
        part = self.parts[lot].get(block)
        if part is None:
            _, features, inputs = self.shape
            part = self.parts[lot][block] = memory.zeros(
                (inputs, min(self.width, features - self.starts[block])), self.dtype
            )
        return part
