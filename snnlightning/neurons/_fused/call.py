"""Call: what does not change during a call."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ...typing import Coefficients, NeuronLike, Plain, SpikeFunction
from . import memory
from .event_list import EventList
from .formula import Formula, formula
from .plan import Plan
from .recursion import Recursion
from .slopes import Slopes

__all__ = ["Call"]

Array = np.ndarray[Any, Any]


@dataclasses.dataclass
class Call:
    """One neuron, recursion, surrogate and set of coefficients per member.

    Args:
        plan: sizes, flags and loops.
        neurons, recursions, spikes, coefficients: of each member.
        plain: the reference.
        potentials: whether they are returned.
        keep: whether there will be a backward pass.
        arrived: the events that came; None where they are looked for in x, or came as drive.
        before: whether x is what another such node made; it reads a gradient by its factors.
    """

    plan: Plan
    neurons: Sequence[NeuronLike]
    recursions: Sequence[Recursion]
    spikes: Sequence[SpikeFunction | None]
    coefficients: Sequence[Coefficients]
    plain: Plain
    potentials: bool
    keep: bool
    arrived: EventList | None
    before: bool

    def __post_init__(self) -> None:
        self.found: list[EventList] = []
        """The events that were looked for, of each chunk or of all."""
        self.sent: list[EventList] = []
        """The layer's own."""
        given = tuple(own.rows(values) for own, values in zip(self.recursions, self.coefficients, strict=True))
        numbers = tuple(tuple(not isinstance(value, Tensor) for value in own) for own in given)
        # By what surrogates say now: the numbers of one that a user wrote may change, and it may hold anything.
        formulas = tuple(formula(self.plan.code, spike, self.plan.dtype) for spike in self.spikes if spike is not None)
        make = _kept if all(map(all, numbers)) else Constants
        self.constants = make(self.plan, formulas, tuple(map(tuple, given)), numbers)
        self.rows = self.constants.rows

    @property
    def slopes(self) -> Slopes:
        """The surrogate's h, of each member."""
        return self.constants.slopes


class Constants:
    """What follows from surrogates and coefficients; the same in every step where these are numbers.

    Args:
        plan: of the call.
        formulas: of the surrogates, as their parameters are in this call.
        given: what the recursions multiply with, one row (number, [] or [N]) each, of each member.
        numbers: which of them are one number.
    """

    def __init__(
        self, plan: Plan, formulas: Sequence[Formula | None], given: Sequence[Sequence[Any]], numbers: Sequence[Sequence[bool]]
    ) -> None:  # fmt: skip
        self.plan, self.formulas, self.numbers = plan, formulas, numbers
        self.rows: list[Array] = [
            _rows(own, which, plan.features, plan.real) for own, which in zip(given, numbers, strict=True)
        ]
        """[C, N] of each member."""

    @functools.cached_property
    def slopes(self) -> Slopes:
        """The surrogate's h, of each member."""
        return Slopes(self.plan, self.formulas, self.rows, self.numbers)


@functools.lru_cache(256)
def _kept(
    plan: Plan, formulas: tuple[Formula | None, ...], given: tuple[tuple[float, ...], ...], numbers: tuple[tuple[bool, ...], ...]
) -> Constants:  # fmt: skip
    return Constants(plan, formulas, given, numbers)


def _rows(values: Sequence[Any], numbers: Sequence[bool], features: int, dtype: np.dtype[Any]) -> Array:
    """One row of N for each."""
    if all(numbers):
        return _number_rows(tuple(values), features, dtype)
    found = memory.empty((len(values), features), dtype)
    for row, value, number in zip(found, values, numbers, strict=True):
        row[:] = value if number else value.detach().numpy()
    return found


@functools.lru_cache(256)
def _number_rows(values: tuple[float, ...], features: int, dtype: np.dtype[Any]) -> Array:
    """Of numbers alone, which are the same in every step."""
    found = memory.empty((len(values), features), dtype)
    found[:] = np.array(values, dtype)[:, None]
    return found
