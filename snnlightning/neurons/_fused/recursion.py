"""Recursion: what the loops over time need to know about a neuron, without knowing the neuron."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["ADAPTS_LATE", "ARGUMENT_RELATIVE", "CURRENT", "DELAYED", "DRIVEN_BY_POTENTIAL", "READ_MAX", "READ_SUM", "RECURRENT",
           "RESET_ATTACHED", "RESET_ZERO", "SPIKING", "THRESHOLD_CROSSED", "Recursion"]  # fmt: skip

SPIKING, CURRENT, RESET_ZERO, RESET_ATTACHED, RECURRENT, DELAYED = 1, 2, 4, 8, 16, 32
THRESHOLD_CROSSED, ADAPTS_LATE, ARGUMENT_RELATIVE, DRIVEN_BY_POTENTIAL = 64, 128, 256, 512
READ_SUM, READ_MAX = 1024, 2048

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Recursion:
    """Which loops, and the numbers in them.

    Args:
        loops: which pair of them: ``linear``, ``alif`` or ``adlif``.
        flags: what the loops do beside the plain case: sums of the constants of this file (the caller adds ``SPIKING``,
            the resets' and ``RECURRENT``).
        second: the variable of the state beside ``v``, or None.
        learnable: the coefficients that gradients flow to.
        rows: from coefficients to what the loops multiply with, one row (number, [] or [N]) each.
        shares: from the gradients of these rows, summed over samples and time, to those of ``learnable``.
    """

    loops: str
    flags: int
    second: str | None
    learnable: tuple[str, ...]
    rows: Callable[[Mapping[str, Any]], Sequence[Any]]
    shares: Callable[[Sequence[Any]], Mapping[str, Any]]

    @property
    def delayed(self) -> bool:
        """Whether spikes travel one step longer."""
        return bool(self.flags & DELAYED)

    @classmethod
    def linear(
        cls, v_th: Any = None, *, current: bool = False, delayed: bool = False, scaled: bool = False, leaky: bool = True
    ) -> "Recursion":  # fmt: skip
        """x = i or the drive; v[n+1] = reset(b v[n] + g x), i[n+1] = a i[n] + drive.

        Args:
            v_th: threshold, where the coefficients have none; None for a neuron without.
            current: whether it has a synaptic current.
            delayed: whether its spikes travel one step longer.
            scaled: whether g = 1 - b, instead of 1.
            leaky: whether it has a ``decay_mem``; b = 1 without.
        """

        def rows(given: Mapping[str, Any]) -> tuple[Any, ...]:
            decay_mem = given["decay_mem"] if leaky else 1.0
            return (
                given["decay_syn"] if current else 0.0,
                decay_mem,
                1.0 - decay_mem if scaled else 1.0,
                1.0 if v_th is None else given.get("v_th", v_th),
            )

        def shares(sums: Sequence[Any]) -> dict[str, Any]:
            return {"decay_syn": sums[0], "decay_mem": sums[1] - sums[2] if scaled else sums[1], "v_th": sums[3]}

        flags = CURRENT * current + DELAYED * delayed
        learnable = ("decay_syn",) * current + ("decay_mem",) * leaky + ("v_th",) * (v_th is not None)
        return cls("linear", flags, "i" if current else None, learnable, rows, shares)
