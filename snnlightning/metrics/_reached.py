"""How many updates of a layer's neurons have input: from lists of events and the weights that are not zero.

    reached[r, n] = always[n] or everywhere[r] or (some event (r, j) of some source has a weight [n, j] that is not zero)

64 neurons are the bits of a word, and each event sets those it reaches. Where few weights are zero, few events make a row
complete, and the rest of them is not looked at. ``_reached__numba`` does the same, an event at a time.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..events import Events
from ..neurons._numba import compiling

__all__ = ["Sources", "Words", "passed_by_ones", "plain", "reached_by_events", "start"]

Array = np.ndarray[Any, Any]


class Words:
    """Which weights are not zero, bool [N, N_pre], as bits.

    ``bits`` [ceil(N / 64), N_pre] uint64 for those who look at one word of many events, ``by_event`` [N_pre, ceil(N / 64)]
    int64, the same bits, for those who look at all words of one event.
    """

    def __init__(self, there: Tensor) -> None:
        self.neurons = there.shape[0]
        self.bits = _as_bits(there)
        self.by_event = np.ascontiguousarray(self.bits.T).view(np.int64)


Sources = list[tuple[Events, Words]]

_ROUNDS = 6
"""Events of a row that are looked at one after the other before the rest of them is taken together."""
_TOGETHER = 8
"""Words that are found in one go: 512 neurons."""


def reached_by_events(sources: Sources, everywhere: Tensor | None, always: Tensor | None) -> int:
    """The sum of ``reached``; by compiled code where a process has compiled loops already, so that nobody waits for them.

    Args:
        sources: events [B, T, N_pre] on the CPU, and the weights of each.
        everywhere: steps in which every neuron has input, bool [B, T]; None: there are none.
        always: neurons that have input at every step, bool [N]; None: there are none.
    """
    if compiling.in_use():
        from . import _reached__numba as compiled  # which starts from here

        return compiled.reached_by_events(sources, everywhere, always)
    return plain(sources, everywhere, always)


def passed_by_ones(index: Tensor, fan_out: Tensor) -> int:
    """The sum of the synapses that events pass which are ones.

    Args:
        index: the neuron of each, int32.
        fan_out: of each neuron, int64.
    """
    if compiling.in_use() and index.device.type == "cpu":
        from . import _reached__numba as compiled

        return compiled.passed_by_ones(index, fan_out)
    return int(torch.dot(torch.bincount(index, minlength=len(fan_out)), fan_out))


def plain(sources: Sources, everywhere: Tensor | None, always: Tensor | None) -> int:
    """The same with NumPy."""
    done, constant, complete, neurons = start(sources, everywhere, always)
    rows = np.flatnonzero(~done)
    total = (len(done) - len(rows)) * neurons
    for first in range(0, len(complete), _TOGETHER):
        some = slice(first, first + _TOGETHER)
        reached = np.repeat(constant[some, None], len(rows), axis=1)
        for events, words in sources:
            _add(reached, rows, events, words.bits[some], complete[some, None])
        total += _bits_set(reached)
    return total


def start(sources: Sources, everywhere: Tensor | None, always: Tensor | None) -> tuple[Array, Array, Array, int]:
    """What is reached without any event: rows [B T] that are done, ``always`` and all neurons as words [W], and N."""
    events, words = sources[0]
    done = np.zeros(events.shape[:2].numel(), np.bool_) if everywhere is None else everywhere.flatten().numpy()
    complete = _all(words.neurons)
    constant = np.zeros_like(complete) if always is None else _as_bits(always.unsqueeze(1))[:, 0]
    return done, constant, complete, words.neurons


@functools.cache
def _all(neurons: int) -> Array:
    """All neurons as words; read, and never written to."""
    return _as_bits(torch.ones(neurons, 1, dtype=torch.bool))[:, 0]


def _as_bits(there: Tensor) -> Array:
    """bool [N, M] as bits: uint64 [ceil(N / 64), M]."""
    packed = np.packbits(there.T.numpy(), axis=1)
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return np.ascontiguousarray(padded.view(np.uint64).T)


def _add(reached: Array, rows: Array, events: Events, bits: Array, complete: Array) -> None:
    """reached [W, R] |= the bits [W, N_pre] of each event, row by row."""
    pointer, index = events.pointer.numpy(), events.index.numpy()
    at, end = pointer[rows], pointer[rows + 1]
    place = np.flatnonzero((at < end) & (reached != complete).any(axis=0))
    at, end, got = at[place], end[place], reached[:, place]
    for _ in range(_ROUNDS):
        if not len(place):
            return
        got |= bits.take(index.take(at), axis=1)
        at += 1
        reached[:, place] = got
        going = np.flatnonzero(
            (at < end) & (got != complete).any(axis=0)
        )  # places are had sooner by number than by mask
        place, at, end, got = place.take(going), at.take(going), end.take(going), got.take(going, axis=1)
    if len(place):
        lengths = end - at
        starts = np.cumsum(lengths) - lengths
        rest = index.take(np.repeat(at - starts, lengths) + np.arange(int(lengths.sum())))
        for word, (of_word, of_bits) in enumerate(zip(got, bits, strict=True)):
            reached[word, place] = of_word | np.bitwise_or.reduceat(of_bits.take(rest), starts)


def _bits_set(words: Array) -> int:
    return int(_BITS[np.ascontiguousarray(words).view(np.uint8)].sum(dtype=np.int64))


_BITS = np.array([byte.bit_count() for byte in range(256)], np.uint8)
"""How many bits of a byte are set; NumPy counts them itself from version 2 on."""
