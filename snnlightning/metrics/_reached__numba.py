"""``_reached`` as machine code: an event at a time, row by row, until every neuron of the row has input."""

from typing import Any

import numpy as np
from torch import Tensor

from ..neurons._numba.compiling import kernel
from ._reached import Sources, start

__all__ = ["passed_by_ones", "reached_by_events"]

Array = Any


def reached_by_events(sources: Sources, everywhere: Tensor | None, always: Tensor | None) -> int:
    """See :func:`._reached.reached_by_events`."""
    rows, first, all_neurons, neurons = start(sources, everywhere, always)
    # Signed words: Numba makes floats of an unsigned and a signed number.
    constant, complete = first.view(np.int64), all_neurons.view(np.int64)
    done = rows.astype(np.uint8)
    reached = np.repeat(constant[None], len(done), axis=0)
    add = _add.of("float32")
    for events, words in sources:
        add(events.pointer.numpy(), events.index.numpy(), words.by_event, complete, reached, done)
    left: int = _bits_set.of("float32")(reached, done)
    return left + int(np.count_nonzero(done)) * neurons


def passed_by_ones(index: Tensor, fan_out: Tensor) -> int:
    """See :func:`._reached.passed_by_ones`."""
    passed: int = _sum_at.of("float32")(index.numpy(), fan_out.contiguous().numpy())
    return passed


@kernel("int64(int32[::1], int64[::1])")
def _sum_at(index: Array, numbers: Array) -> int:
    total = 0
    for k in index:
        total += numbers[k]
    return total


@kernel("void(int64[::1], int32[::1], int64[:,::1], int64[::1], int64[:,::1], uint8[::1])")
def _add(pointer: Array, index: Array, bits: Array, complete: Array, reached: Array, done: Array) -> None:
    """reached [R, W] |= the bits [N_pre, W] of each event; rows that are complete are ``done``.

    Two words stay in registers. Four events are taken before anybody asks whether that completes the row: the answer is then
    nearly always the same, and a branch that goes here and there costs more than the events that it saves.
    """
    words = len(complete)
    for r in range(len(done)):
        if done[r]:
            continue
        missing = 0
        for w in range(0, words, 2):
            v = min(w + 1, words - 1)
            first, second = reached[r, w], reached[r, v]
            all_first, all_second = complete[w], complete[v]
            e, last = pointer[r], pointer[r + 1]
            while last - e >= 4 and (first != all_first or second != all_second):
                i, j, k, m = index[e], index[e + 1], index[e + 2], index[e + 3]
                first |= (bits[i, w] | bits[j, w]) | (bits[k, w] | bits[m, w])
                second |= (bits[i, v] | bits[j, v]) | (bits[k, v] | bits[m, v])
                e += 4
            while e < last and (first != all_first or second != all_second):
                first |= bits[index[e], w]
                second |= bits[index[e], v]
                e += 1
            reached[r, w], reached[r, v] = first, second
            missing |= (first ^ all_first) | (second ^ all_second)
        if missing == 0:
            done[r] = 1


@kernel("int64(int64[:,::1], uint8[::1])")
def _bits_set(reached: Array, done: Array) -> int:
    """How many bits of the rows that are not ``done`` are set; sums of two, four, eight bits, side by side."""
    total = 0
    for r in range(len(done)):
        if done[r]:
            continue
        for word in reached[r]:
            twos = word - ((word >> 1) & 0x5555555555555555)
            fours = (twos & 0x3333333333333333) + ((twos >> 2) & 0x3333333333333333)
            eights = (fours + (fours >> 4)) & 0x0F0F0F0F0F0F0F0F
            total += (eights * 0x0101010101010101) >> 56
    return total
