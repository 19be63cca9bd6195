"""Constants of a neuron's record: what a field accepts, and how a learned one is kept between two bounds."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real

import torch
from torch import Tensor

from ..distributions import AbstractDistribution
from ..errors import ConfigurationError
from ..units import positive

__all__ = [
    "Bounds",
    "Constant",
    "Gain",
    "TimeConstant",
    "between",
    "checked_bounds",
    "decay_name",
    "gain",
    "place_between",
    "time_constant",
]

# The abstract class comes first, so that a configuration file may name a distribution with its arguments.
TimeConstant = AbstractDistribution | float | Sequence[float]
Gain = AbstractDistribution | float | Sequence[float]
Bounds = Mapping[str, Sequence[float]] | Sequence[Sequence[object]]

Constant = float | tuple[float, ...] | AbstractDistribution
"""What a record keeps of them."""

_MARGIN = 1e-3
"""Of the range between two bounds: how far inside them a learned number starts at least."""


def time_constant(name: str, value: object, what: str = "a time constant in ms") -> Constant:
    """A positive number, a tuple of them, or a distribution that draws nothing else."""
    if isinstance(value, AbstractDistribution):
        if not value.support[0] > 0.0:
            raise ConfigurationError(f"{name} is {value}, which can draw 0 or less; give it a low > 0.")
        return value
    found = _numbers(name, value, f"{what}, or a list with one per neuron, or a distribution")
    for tau in found if isinstance(found, tuple) else (found,):
        positive(name, tau)
    return found


def gain(name: str, value: object) -> Constant:
    """A finite number, a tuple of them, or a distribution."""
    if isinstance(value, AbstractDistribution):
        return value
    found = _numbers(name, value, "a number, or a list with one per neuron, or a distribution")
    for number in found if isinstance(found, tuple) else (found,):
        if not math.isfinite(number):
            raise ConfigurationError(f"{name} is {number}; a finite number is expected.")
    return found


def decay_name(name: str) -> str:
    """``decay_mem`` for ``tau_mem_ms``."""
    return "decay_" + name.removeprefix("tau_").removesuffix("_ms")


def between(low: float, high: float, parameter: Tensor, *, geometric: bool) -> Tensor:
    """low + (high - low) σ(p), or low (high / low)^σ(p): within [low, high] for every p, with a gradient that is no NaN."""
    part = torch.sigmoid(parameter)
    value = torch.exp(math.log(low) + math.log(high / low) * part) if geometric else low + (high - low) * part
    return value.clamp(low, high)  # against the last digit of the sums


def place_between(low: float, high: float, value: Tensor, *, geometric: bool) -> Tensor:
    """The p of a value, of one near a bound that of a point a little inside, where the gradient is not 0."""
    part = (value / low).log() / math.log(high / low) if geometric else (value - low) / (high - low)
    return part.clamp(_MARGIN, 1.0 - _MARGIN).logit()


def checked_bounds(
    record: object, given: Bounds, fields: tuple[str, ...], positive_fields: tuple[str, ...]
) -> tuple[tuple[str, float, float], ...]:
    """Bounds as triples (which hash), with every value of the record within its own.

    Args:
        record: whose fields they are.
        given: pairs by field name, or triples.
        fields: what may be bounded.
        positive_fields: what has to stay above 0.

    Raises:
        ConfigurationError: a field that cannot be bounded, bounds that are none, a value outside them.
    """
    owner, kept = type(record).__name__, []
    for name, pair in _pairs(owner, given):
        if name not in fields:
            raise ConfigurationError(f"{owner}.bounds names {name!r}; it can bound {', '.join(fields) or 'nothing'}.")
        numbers = _numbers(f"{owner}.bounds[{name!r}]", pair, "a pair of numbers")
        low, high = numbers if isinstance(numbers, tuple) and len(numbers) == 2 else (math.nan, math.nan)
        floor = 0.0 if name in positive_fields else -math.inf
        if not floor < low < high < math.inf:
            order = "0 < low < high" if floor == 0.0 else "low < high"
            raise ConfigurationError(f"{owner}.bounds[{name!r}] is {pair!r}; finite {order} is expected.")
        value = getattr(record, name)
        fixed = () if isinstance(value, AbstractDistribution) else value if isinstance(value, tuple) else (value,)
        slack = 1e-6 * max(abs(low), abs(high))  # what a value of single precision may be off
        for number in fixed:
            if not low - slack <= number <= high + slack:
                raise ConfigurationError(
                    f"{owner}.{name} is {number:g} and its bounds are {low:g} and {high:g}; start within them."
                )
        kept.append((name, low, high))
    return tuple(sorted(kept))


def _pairs(owner: str, given: Bounds) -> list[tuple[str, object]]:
    if isinstance(given, Mapping):
        return list(given.items())
    if not all(isinstance(row, list | tuple) and len(row) == 3 for row in given):
        raise ConfigurationError(
            f"{owner}.bounds is {given!r}; {{'tau_mem_ms': (5.0, 25.0)}}, for example, is expected."
        )
    return [(str(row[0]), list(row[1:])) for row in given]


def _numbers(name: str, value: object, what: str) -> float | tuple[float, ...]:
    """A number, or a tuple of them from any sequence, array or tensor of one dimension."""
    listed = value.tolist() if hasattr(value, "tolist") else value
    values = tuple(listed) if isinstance(listed, list | tuple) else (listed,)
    for number in values:
        if isinstance(number, bool) or not isinstance(number, Real):
            raise ConfigurationError(f"{name} is {value!r}; {what} is expected.")
    if not values:
        raise ConfigurationError(f"{name} is empty; give one number, or one per neuron.")
    return tuple(float(number) for number in values) if isinstance(listed, list | tuple) else float(values[0])
