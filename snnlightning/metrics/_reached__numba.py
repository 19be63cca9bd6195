"""``_reached`` as machine code: an event at a time, row by row, until every neuron of the row has input."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..events import Events
from ..neurons._numba.compiling import helper, kernel
from ._reached import Together

__all__ = ["passed_by_ones", "reached_by_events"]

Array = Any


def reached_by_events(
    lists: Sequence[Events], together: Together, everywhere: Tensor | None, always: Sequence[Tensor | None]
) -> list[int]:
    """See :func:`._reached.reached_by_events`."""
    rows = lists[0].shape[:2].numel()
    done = np.zeros(rows, np.uint8) if everywhere is None else everywhere.flatten().numpy().view(np.uint8)
    waiting = together.waiting_blocks(always)
    missing = np.zeros(waiting.shape, np.int64)
    # The longest list first: it leaves least to look for. Two at a time; what they leave open the next ones find.
    order = sorted(range(len(lists)), key=lambda k: -len(lists[k].index))
    still = together.complete_blocks[None] if len(lists) <= 2 else np.empty((rows, *waiting.shape), np.int64)
    look = _look.of("float32")
    for k in range(0, len(order), 2):
        one, other = order[k], order[min(k + 1, len(order) - 1)]
        a, b = lists[one], lists[other]
        look(
            a.pointer.numpy(), a.index.numpy(), *together.blocks[one],
            b.pointer.numpy(), b.index.numpy(), *together.blocks[other], one != other,
            waiting, done, still, missing, k == 0, k + 2 >= len(order),
        )  # fmt: skip
    return together.reached(missing.reshape(-1).tolist(), rows)


def passed_by_ones(index: Tensor, fan_outs: Sequence[Tensor]) -> list[int]:
    """See :func:`._reached.passed_by_ones`."""
    events, tables = index.numpy(), [fan_out.numpy() for fan_out in fan_outs]
    passed: list[int] = []
    for k in range(0, len(tables) - 1, 2):
        passed += _sums_at.of("float32")(events, tables[k], tables[k + 1])
    if len(tables) % 2:
        passed.append(_sum_at.of("float32")(events, tables[-1]))
    return passed


@helper
def _at(index: Array, k: int) -> Any:
    """An index without sign: nobody has to ask whether it counts from the end."""
    return np.uint64(index[k])


@helper
def _or_none(index: Array, k: int, stop: int, none: int) -> Any:
    """The same, or ``none`` from ``stop`` on; the place is read either way, so that nothing has to branch."""
    found = np.uint64(index[min(k, len(index) - 1)])
    return found if k < stop else none


@kernel("int64(int32[::1], int64[::1])")
def _sum_at(index: Array, numbers: Array) -> int:
    """Four sums at a time, so that one need not wait for the other."""
    a = b = c = d = 0
    fours = len(index) // 4 * 4
    for k in range(0, fours, 4):
        a += numbers[_at(index, k)]
        b += numbers[_at(index, k + 1)]
        c += numbers[_at(index, k + 2)]
        d += numbers[_at(index, k + 3)]
    for k in range(fours, len(index)):
        a += numbers[index[k]]
    return a + b + c + d


@kernel("UniTuple(int64, 2)(int32[::1], int64[::1], int64[::1])")
def _sums_at(index: Array, numbers: Array, others: Array) -> tuple[int, int]:
    """Of two tables in one pass."""
    a = b = c = d = 0
    pairs = len(index) // 2 * 2
    for k in range(0, pairs, 2):
        i, j = _at(index, k), _at(index, k + 1)
        a += numbers[i]
        b += numbers[j]
        c += others[i]
        d += others[j]
    for k in range(pairs, len(index)):
        a += numbers[index[k]]
        c += others[index[k]]
    return a + b, c + d


@kernel(
    "void(int64[::1], int32[::1], int64[:,:,::1], int64[:,::1], int64[::1], int32[::1], int64[:,:,::1], int64[:,::1], boolean,"
    " int64[:,::1], uint8[::1], int64[:,:,::1], int64[:,::1], boolean, boolean)"
)
def _look(
    pointer: Array,
    index: Array,
    absent: Array,
    near: Array,
    pointer_b: Array,
    index_b: Array,
    absent_b: Array,
    near_b: Array,
    two: bool,
    waiting: Array,
    done: Array,
    still: Array,
    missing: Array,
    is_first: bool,
    is_last: bool,
) -> None:
    """``waiting`` [W / 3, 3] or ``still`` [R, W / 3, 3] &= the weights that are zero of each event of one source or of two.

    The last ones count what is left. Four events are taken before anybody asks whether that completes the row, as far as the
    source comes: the answer is then nearly always the same, and a branch that goes here and there costs more than the events
    that it saves. The loop over events is said twice: a call in every row takes as long as what it does.
    """
    none, none_b = np.uint64(absent.shape[1] - 1), np.uint64(absent_b.shape[1] - 1)
    for n in range(len(waiting)):
        all_a, all_b, all_c = near[n, 0], near[n, 1], near[n, 2]
        more_a, more_b, more_c = near_b[n, 0], near_b[n, 1], near_b[n, 2]
        for r in range(len(done)):
            if done[r]:
                continue
            if is_first:
                a, b, c = waiting[n, 0], waiting[n, 1], waiting[n, 2]
            else:
                a, b, c = still[r, n, 0], still[r, n, 1], still[r, n, 2]
            e, stop = pointer[r], pointer[r + 1]
            while e < stop and ((a & all_a) | (b & all_b) | (c & all_c)) != 0:
                i, j = _at(index, e), _or_none(index, e + 1, stop, none)
                k, m = _or_none(index, e + 2, stop, none), _or_none(index, e + 3, stop, none)
                a &= (absent[n, i, 0] & absent[n, j, 0]) & (absent[n, k, 0] & absent[n, m, 0])
                b &= (absent[n, i, 1] & absent[n, j, 1]) & (absent[n, k, 1] & absent[n, m, 1])
                c &= (absent[n, i, 2] & absent[n, j, 2]) & (absent[n, k, 2] & absent[n, m, 2])
                e += 4
            if two and ((a & more_a) | (b & more_b) | (c & more_c)) != 0:
                e, stop = pointer_b[r], pointer_b[r + 1]
                while e < stop and ((a & more_a) | (b & more_b) | (c & more_c)) != 0:
                    i, j = _at(index_b, e), _or_none(index_b, e + 1, stop, none_b)
                    k, m = _or_none(index_b, e + 2, stop, none_b), _or_none(index_b, e + 3, stop, none_b)
                    a &= (absent_b[n, i, 0] & absent_b[n, j, 0]) & (absent_b[n, k, 0] & absent_b[n, m, 0])
                    b &= (absent_b[n, i, 1] & absent_b[n, j, 1]) & (absent_b[n, k, 1] & absent_b[n, m, 1])
                    c &= (absent_b[n, i, 2] & absent_b[n, j, 2]) & (absent_b[n, k, 2] & absent_b[n, m, 2])
                    e += 4
            if not is_last:
                still[r, n, 0], still[r, n, 1], still[r, n, 2] = a, b, c
            elif (a | b | c) != 0:
                missing[n, 0] += _bits_set(a)
                missing[n, 1] += _bits_set(b)
                missing[n, 2] += _bits_set(c)


@helper
def _bits_set(word: int) -> int:
    """How many bits of a word are set; sums of two, four, eight bits, side by side."""
    twos = word - ((word >> 1) & 0x5555555555555555)
    fours = (twos & 0x3333333333333333) + ((twos >> 2) & 0x3333333333333333)
    eights = (fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((eights * 0x0101010101010101) >> 56) & 0xFF
