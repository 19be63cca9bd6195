"""Call: what does not change during a call."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ...typing import Coefficients, Plain, SpikeFunction
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
    """One recursion, surrogate and set of coefficients per member.

    Args:
        plan: sizes, flags and loops.
        recursions, spikes, coefficients: of each member.
        plain: the reference.
        potentials: whether they are returned.
        keep: whether there will be a backward pass.
        arrived: the events that came; None where they are looked for in x, or came as drive.
        before: whether x is what another such node made; it reads a gradient by its factors.
    """

    plan: Plan
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
        given = tuple(tuple(own.rows(values)) for own, values in zip(self.recursions, self.coefficients, strict=True))
        # By what surrogates say now: the numbers of one that a user wrote may change, and it may hold anything.
        formulas = tuple(formula(self.plan.code, spike, self.plan.dtype) for spike in self.spikes if spike is not None)
        make = Constants if any(isinstance(value, Tensor) for own in given for value in own) else _kept
        self.constants = make(self.plan, formulas, given)
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
    """

    def __init__(self, plan: Plan, formulas: Sequence[Formula | None], given: Sequence[Sequence[Any]]) -> None:
        self.plan, self.formulas = plan, formulas
        self.numbers = [[not isinstance(value, Tensor) for value in own] for own in given]
        """Which of them are one number."""
        self.rows: list[Array] = [_rows(own, plan.features, plan.real) for own in given]
        """[C, N] of each member."""

    @functools.cached_property
    def slopes(self) -> Slopes:
        """The surrogate's h, of each member."""
        return Slopes(self.plan, self.formulas, self.rows, self.numbers)


@functools.lru_cache(256)
def _kept(plan: Plan, formulas: tuple[Formula | None, ...], given: tuple[tuple[float, ...], ...]) -> Constants:
    return Constants(plan, formulas, given)


def _rows(values: Sequence[Any], features: int, dtype: np.dtype[Any]) -> Array:
    """One row of N for each."""
    found = memory.empty((len(values), features), dtype)
    for row, value in zip(found, values, strict=True):
        row[:] = value.detach().numpy() if isinstance(value, Tensor) else value
    return found
