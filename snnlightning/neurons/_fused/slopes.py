"""The surrogate's h over a chunk: made from potentials, or packed in the forward pass for the backward pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import memory
from .formula import Formula
from .plan import Plan

__all__ = ["Kept", "Packed", "Slopes"]

Array = np.ndarray[Any, Any]
Kept = tuple[Array, Array, Array, Array]
"""v[n], the second variable, the current and the surrogate's argument of a chunk; empty where not needed."""

_BLOCK = 256
"""Elements of h whose places are one byte each."""


class Slopes:
    """h of each member, from the loops that know it.

    Args:
        plan: of the call.
        formulas: of each member's surrogate; none of neurons without a threshold.
        rows, numbers: see :class:`.call.Constants`.
    """

    def __init__(
        self, plan: Plan, formulas: Sequence[Formula | None], rows: Sequence[Array], numbers: Sequence[Sequence[bool]]
    ) -> None:  # fmt: skip
        self.plan, self.rows, self.formulas = plan, rows, formulas
        self.known = all(f is not None for f in self.formulas)
        """Whether there is a loop for all of them; torch makes the others."""
        self.parameters = [np.array(f[1], plan.real) if f is not None else plan.none1 for f in self.formulas]
        self.thresholds: list[Any] = []
        for k, own in enumerate(rows if not plan.adaptive else ()):
            (v_th,) = plan.own(k, own[3])
            self.thresholds.append(v_th[0] if numbers[k][3] or (v_th == v_th[0]).all() else None)

    def argument(self, k: int, kept: Kept, out: Array | None) -> tuple[Array, Any]:
        """v and the threshold that it is counted from, one number; where each neuron has its own, v - v_th and 0."""
        zero = self.plan.real.type(0.0)
        if self.plan.adaptive:
            return kept[3], zero
        shared = self.thresholds[k]
        if shared is not None:
            return kept[0], shared
        (v_th,) = self.plan.own(k, self.rows[k][3])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.subtract(kept[0], v_th, out=out), zero

    def write(self, k: int, kept: Kept, psi: Array) -> None:
        """psi = h, which may be where its argument is."""
        given, v_th = self.argument(k, kept, psi)
        known = self.formulas[k]
        assert known is not None
        known[0](given.reshape(-1), v_th, self.parameters[k], psi.reshape(-1))


class Packed:
    """h of the chunks for which it is zero for the most part, from the forward to the backward pass.

    Elements that are not zero, and their places in blocks of 256: five bytes each, where the potentials take four for every element.

    Args:
        slopes: what makes h.
        room: bytes that may be taken; chunks for which there is none left are computed again. Both ways give the same bits.
    """

    def __init__(self, slopes: Slopes, room: int) -> None:
        self.plan, self.slopes = slopes.plan, slopes
        self.room = room if slopes.known else 0
        self.chunks: dict[int, tuple[Array, Array, Array]] = {}

    def put(self, j: int, psi: Array, scratch: memory.Scratch) -> None:
        """Keep psi, a chunk's, if it is worth it; of a surrogate that is rarely zero no more chunks are asked for."""
        flat = psi.reshape(-1)
        most = flat.size // 2
        pointer = np.empty(-(-flat.size // _BLOCK) + 1, np.int64)
        place, value = scratch("place", (most,), np.uint8), scratch("value", (most,), psi.dtype)
        found = int(self.plan.loop("pack")(flat, pointer, place, value, scratch("chosen", (_BLOCK,), np.int32)))
        if found < 0:
            self.room = 0
            return
        self.chunks[j] = pointer, place[:found].copy(), value[:found].copy()
        self.room -= sum(part.nbytes for part in self.chunks[j])

    def get(self, j: int, psi: Array) -> bool:
        """Fill in psi, or say that it is not here."""
        if j not in self.chunks:
            return False
        self.plan.loop("unpack")(*self.chunks[j], psi.reshape(-1))
        return True
