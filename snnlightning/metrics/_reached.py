"""How many updates of a layer's neurons have input: from lists of events and the weights that are not zero.

    reached[r, n] = always[n] or everywhere[r] or (some event (r, j) of some source has a weight [n, j] that is not zero)

64 neurons are the bits of a word, and each event sets those it reaches. Where few weights are zero, few events make a row
complete, and the rest of them is not looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..events import Events
from ._loops import compiled, loop

__all__ = ["BLOCK", "List", "Together", "by_loop", "passed_by_loop", "passed_by_ones", "plain", "reached_by_events"]

Array = np.ndarray[Any, Any]
List = tuple[Array, Array]
"""Pointer and index of events."""
Lists = Sequence[Events | Callable[[Array], tuple[Array, Array, Array]]]
"""The events of each source; or what lists them for rows [R]: where those of each begin and end, and their neurons."""

BLOCK = 3
"""Words that compiled code looks at together: 192 neurons, such as 128 and a readout."""


class Together:
    """Layers that are looked at together: the words of their neurons side by side, and what reaches them from each source.

    ``absent`` [W, N_pre] uint64 of each source: the weights that are zero; ``near`` [W]: the neurons that it can reach;
    ``complete`` [W]: all neurons.

    Args:
        layers: of each layer, which weights [N, N_pre] are not zero, by the number of their source from 0 on; bool.
    """

    def __init__(self, layers: Sequence[Mapping[int, Tensor]]) -> None:
        sent = {k: there.shape[1] for layer in layers for k, there in layer.items()}
        self.neurons = [next(iter(layer.values())).shape[0] for layer in layers]
        self.complete = self._side_by_side([torch.ones(n, 1, dtype=torch.bool) for n in self.neurons])[:, 0]
        self.absent: list[Array] = []
        self.near: list[Array] = []
        for k in range(len(sent)):
            none = (
                (layer, torch.zeros(n, sent[k], dtype=torch.bool))
                for layer, n in zip(layers, self.neurons, strict=True)
            )
            there = self._side_by_side([layer.get(k, nothing) for layer, nothing in none])
            self.absent.append(~there & self.complete[:, None])
            self.near.append(np.bitwise_or.reduce(there, axis=1))

    @cached_property
    def blocks(self) -> list[tuple[Array, Array]]:
        """``absent`` [W / 3, N_pre, 3] and ``near`` [W / 3, 3], int64, for those who look at the words of one event."""
        return [(_in_blocks(absent), _in_blocks(near)) for absent, near in zip(self.absent, self.near, strict=True)]

    @cached_property
    def complete_blocks(self) -> Array:
        """``complete`` [W / 3, 3] int64; words beyond W are 0."""
        return _in_blocks(self.complete)

    def waiting(self, always: Sequence[Tensor | None]) -> Array:
        """The neurons that need an event, as words [W]: all but those that have input at every step, bool [N] of each layer."""
        if all(one is None for one in always):
            return self.complete
        pairs = zip(always, self.neurons, strict=True)
        there = [torch.zeros(n, 1, dtype=torch.bool) if one is None else one.unsqueeze(1) for one, n in pairs]
        constant: Array = self.complete & ~self._side_by_side(there)[:, 0]
        return constant

    def waiting_blocks(self, always: Sequence[Tensor | None]) -> Array:
        """The same as int64 [W / 3, 3]."""
        return self.complete_blocks if all(one is None for one in always) else _in_blocks(self.waiting(always))

    def reached(self, missing: Sequence[int], rows: int) -> list[int]:
        """Updates with input of each layer; from those without, of each word [W], and the number of rows."""
        found, at = [], 0
        for n in self.neurons:
            words = -(-n // 64)
            found.append(rows * n - sum(missing[at : at + words]))
            at += words
        return found

    @staticmethod
    def _side_by_side(layers: Sequence[Tensor]) -> Array:
        return np.concatenate([_as_bits(there) for there in layers])


def reached_by_events(
    lists: Lists, together: Together, everywhere: Tensor | None, always: Sequence[Tensor | None]
) -> list[int]:
    """The sum of ``reached`` for each layer; by compiled code where a process has compiled loops already, so that nobody waits.

    Args:
        lists: events [B, T, N_pre] on the CPU, of each source of ``together``.
        together: the layers, and the weights of each source.
        everywhere: steps in which every neuron of every layer has input, bool [B, T]; None: there are none.
        always: neurons that have input at every step, bool [N] of each layer; None: there are none.
    """
    given = [events for events in lists if isinstance(events, Events)]
    if compiled() and len(given) == len(lists):
        steps = None if everywhere is None else everywhere.flatten().numpy()
        return by_loop([(events.pointer.numpy(), events.index.numpy()) for events in given], together, steps, always)
    return plain(lists, together, everywhere, always)


def passed_by_ones(index: Tensor, fan_outs: Sequence[Tensor]) -> list[int]:
    """The sums of the synapses that events pass which are ones, of one list of events and several sets of synapses.

    Args:
        index: the neuron of each, int32.
        fan_outs: of each neuron, int64.
    """
    if compiled() and index.device.type == "cpu":
        return passed_by_loop(index.numpy(), [fan_out.numpy() for fan_out in fan_outs])
    counts = torch.bincount(index, minlength=len(fan_outs[0]))
    return [int(torch.dot(counts, fan_out)) for fan_out in fan_outs]


def passed_by_loop(index: Array, fan_outs: Sequence[Array]) -> list[int]:
    """The same with machine code, two sets in one pass."""
    passed: list[int] = []
    for k in range(0, len(fan_outs) - 1, 2):
        both = np.empty(2, np.int64)
        loop("passed_by_two")(index, fan_outs[k], fan_outs[k + 1], both)
        passed += both.tolist()
    return [*passed, loop("passed_by_one")(index, fan_outs[-1])] if len(fan_outs) % 2 else passed


def plain(lists: Lists, together: Together, everywhere: Tensor | None, always: Sequence[Tensor | None]) -> list[int]:
    """The same with NumPy."""
    all_rows = next(events.shape[:2].numel() for events in lists if isinstance(events, Events))
    rows = np.arange(all_rows) if everywhere is None else np.flatnonzero(~everywhere.flatten().numpy())
    waiting = np.repeat(together.waiting(always)[:, None], len(rows), axis=1)
    # Those that are listed come first: they may leave few rows to look for in the others.
    for k in sorted(range(len(lists)), key=lambda k: not isinstance(lists[k], Events)):
        given = lists[k]
        if isinstance(given, Events):
            pointer = given.pointer.numpy()
            _look(waiting, pointer[rows], pointer[rows + 1], given.index.numpy(), together.absent[k], together.near[k])
            continue
        some = np.flatnonzero(_any(waiting, together.near[k]))  # the others are not listed
        if len(some):
            left = waiting.take(some, axis=1)
            _look(left, *given(rows.take(some)), together.absent[k], together.near[k])
            waiting[:, some] = left
    return together.reached(_bits_set(waiting).tolist(), all_rows)


def by_loop(
    lists: Sequence[List], together: Together, everywhere: Array | None, always: Sequence[Tensor | None]
) -> list[int]:
    """The same with machine code, an event at a time, row by row, until every neuron of the row has input."""
    rows = len(lists[0][0]) - 1
    done = np.zeros(rows, np.uint8) if everywhere is None else everywhere.view(np.uint8)
    waiting = together.waiting_blocks(always)
    missing = np.zeros(waiting.shape, np.int64)
    # The longest list first: it leaves least to look for. Two at a time; what they leave open the next ones find.
    lengths = [len(index) for _, index in lists]
    order = sorted(range(len(lists)), key=lengths.__getitem__, reverse=True)
    still = together.complete_blocks[None] if len(lists) <= 2 else np.empty((rows, *waiting.shape), np.int64)
    look, blocks = loop("reach"), together.blocks
    for k in range(0, len(order), 2):
        one, other = order[k], order[min(k + 1, len(order) - 1)]
        look(
            *lists[one], *blocks[one], *lists[other], *blocks[other], one != other,
            waiting, done, still, missing, k == 0, k + 2 >= len(order),
        )  # fmt: skip
    return together.reached(missing.reshape(-1).tolist(), rows)


def _in_blocks(words: Array) -> Array:
    """Words [W, ...] uint64 as int64 [W / 3, ..., 3]."""
    padded = np.zeros((-(-len(words) // BLOCK) * BLOCK, *words.shape[1:]), np.uint64)
    padded[: len(words)] = words
    blocks = padded.reshape(-1, BLOCK, *words.shape[1:])
    return np.ascontiguousarray(np.moveaxis(blocks, 1, -1)).view(np.int64)


_ROUNDS = 6
"""Events of a row that are looked at one after the other before the rest of them is taken together."""


def _as_bits(there: Tensor) -> Array:
    """bool [N, M] as bits: uint64 [ceil(N / 64), M]."""
    packed = np.packbits(there.T.numpy(), axis=1)
    padded = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return np.ascontiguousarray(padded.view(np.uint64).T)


def _look(waiting: Array, at: Array, end: Array, index: Array, absent: Array, near: Array) -> None:
    """waiting [W, R] &= the weights that are zero [W, N_pre] of each event, row by row."""
    place = np.flatnonzero((at < end) & _any(waiting, near))
    at, end, left = at.take(place), end.take(place), waiting.take(place, axis=1)
    for _ in range(_ROUNDS):
        if not len(place):
            return
        left &= absent.take(index.take(at), axis=1)
        at += 1
        waiting[:, place] = left
        going = np.flatnonzero((at < end) & _any(left, near))
        place, at, end, left = place.take(going), at.take(going), end.take(going), left.take(going, axis=1)
    if len(place):
        lengths = end - at
        starts = np.cumsum(lengths) - lengths
        rest = index.take(np.repeat(at - starts, lengths) + np.arange(int(lengths.sum())))
        for word, (of_word, of_absent) in enumerate(zip(left, absent, strict=True)):
            waiting[word, place] = of_word & np.bitwise_and.reduceat(of_absent.take(rest), starts)


def _any(words: Array, near: Array) -> Array:
    """Which columns of words [W, R] have a bit of ``near`` [W]."""
    found: Array = np.bitwise_or.reduce(words & near[:, None], axis=0) != 0
    return found


def _bits_set(words: Array) -> Array:
    """How many bits of words [W, R] are set, int64 [W]."""
    found: Array = _BITS[np.ascontiguousarray(words).view(np.uint8)].sum(axis=1, dtype=np.int64)
    return found


_BITS = np.array([byte.bit_count() for byte in range(256)], np.uint8)
"""How many bits of a byte are set; NumPy counts them itself from version 2 on."""
