"""The loops of counting as machine code of Numba's; ``neurons/_cpp/loops.cpp`` has the same in C++."""

from typing import Any

import numpy as np

from ..neurons._numba.compiling import helper, kernel

__all__ = ["differ", "passed_by_one", "passed_by_two", "reach", "steps_with_events"]

Array = Any


@kernel("int64(int64[::1], int64[::1])")
def steps_with_events(one: Array, other: Array) -> int:
    """How many rows hold an event of one list or of the other, whose pointers [R + 1] are given."""
    steps = 0
    for r in range(len(one) - 1):
        steps += (one[r + 1] != one[r]) | (other[r + 1] != other[r])
    return steps


@kernel("int64(real[::1], uint8[::1])")
def differ(weight: Array, there: Array) -> Any:
    """Whether ``there`` is not 1 where ``weight`` is not zero and 0 elsewhere; one pass that makes nothing."""
    found = np.uint8(0)
    for k in range(len(weight)):
        found |= there[k] ^ np.uint8(weight[k] != 0)
    return found


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
def passed_by_one(index: Array, numbers: Array) -> int:
    """The sum of numbers[index]; four sums at a time, so that one need not wait for the other."""
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


@kernel("void(int32[::1], int64[::1], int64[::1], int64[::1])")
def passed_by_two(index: Array, numbers: Array, others: Array, out: Array) -> None:
    """The same of two tables in one pass."""
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
    out[0], out[1] = a + b, c + d


@kernel(
    "void(int64[::1], int32[::1], int64[:,:,::1], int64[:,::1], int64[::1], int32[::1], int64[:,:,::1], int64[:,::1], boolean,"
    " int64[:,::1], uint8[::1], int64[:,:,::1], int64[:,::1], boolean, boolean)"
)
def reach(
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
