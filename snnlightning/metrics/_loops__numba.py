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


@helper
def _left(e: int, stop: int, index: Array, absent: Array, near: Array, n: int, a: int, b: int, c: int) -> Any:
    """What the events from e to stop leave of the three words n.

    The words of four events are looked up before anybody asks whether that completes the row, as far as the source comes: the
    answer is then nearly always the same, and a branch that goes here and there costs more than the events that it saves.
    """
    near_a, near_b, near_c = near[n, 0], near[n, 1], near[n, 2]
    if e + 4 <= stop:
        i, j, k, m = _at(index, e), _at(index, e + 1), _at(index, e + 2), _at(index, e + 3)
        a &= (absent[n, i, 0] & absent[n, j, 0]) & (absent[n, k, 0] & absent[n, m, 0])
        b &= (absent[n, i, 1] & absent[n, j, 1]) & (absent[n, k, 1] & absent[n, m, 1])
        c &= (absent[n, i, 2] & absent[n, j, 2]) & (absent[n, k, 2] & absent[n, m, 2])
        e += 4
    while e < stop and ((a & near_a) | (b & near_b) | (c & near_c)) != 0:
        i = _at(index, e)
        a &= absent[n, i, 0]
        b &= absent[n, i, 1]
        c &= absent[n, i, 2]
        e += 1
    return a, b, c


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
    """See ``by_loop``: three words of neurons at a time, over the events of one source or two, row by row."""
    for n in range(len(waiting)):
        for r in range(len(done)):
            if done[r]:
                continue
            if is_first:
                a, b, c = waiting[n, 0], waiting[n, 1], waiting[n, 2]
            else:
                a, b, c = still[r, n, 0], still[r, n, 1], still[r, n, 2]
            a, b, c = _left(pointer[r], pointer[r + 1], index, absent, near, n, a, b, c)
            if two:
                a, b, c = _left(pointer_b[r], pointer_b[r + 1], index_b, absent_b, near_b, n, a, b, c)
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
