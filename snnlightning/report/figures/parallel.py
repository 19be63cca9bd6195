"""Parallel coordinates: one line per complete trial through its parameters and its objectives."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..files import Objective, Trial
from ..markup import label
from ..words import brief, noun, short_names, show
from .style import SEQUENCE, layout, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["constant_params", "log_params", "parallel_figure"]

NOT_SAMPLED = "not sampled"


def parallel_figure(
    trials: Sequence[Trial], objectives: Sequence[Objective], space: Mapping[str, object] | None = None
) -> "Figure":
    """Every complete trial as a line; drag along an axis to select, drag an axis by its name to move it.

    Categories stand in the order of first appearance. A parameter that a trial did not sample (it depends on another one)
    stands on a tick of its own below the axis, ``not sampled``, instead of on a made-up value. Parameters with one value
    throughout are left out: see :func:`constant_params`.

    Args:
        trials: all trials; those that are not complete are not drawn.
        objectives: the objectives, drawn last; the first one colours the lines.
        space: the search space, which says what is sampled on a log scale (``log: true``).
    """
    complete = [t for t in trials if t.state == "complete" and all(o.name in t.values for o in objectives)]
    constant = constant_params(complete)
    names = [name for name in _names(complete) if name not in constant]
    short = short_names(names)
    logs = log_params(complete, space or {})
    dimensions = [
        _dimension(short[name], [trial.params.get(name) for trial in complete], name in logs) for name in names
    ]
    for objective in objectives:
        values: list[float | str | None] = [trial.values[objective.name] for trial in complete]
        dimensions.append(_dimension(brief(objective.name), values, objective.scale == "log"))
    figure = plotly("graph_objects").Figure()
    if complete:
        first = objectives[0].name
        figure.add_trace(
            plotly("graph_objects").Parcoords(
                dimensions=dimensions,
                line={
                    "color": [trial.values[first] for trial in complete],
                    "colorscale": [list(stop) for stop in SEQUENCE],
                    "showscale": True,
                    "colorbar": {"title": {"text": label(noun(first)), "side": "right"}, "thickness": 10},
                },
                labelangle=-20,
                labelside="top",
            )
        )
    longest = max((len(text) for text in dimensions[0]["ticktext"]), default=0) if complete else 0
    return layout(figure, margin={"l": 30 + 7 * longest, "r": 30, "t": 100, "b": 20})


def constant_params(trials: Sequence[Trial]) -> dict[str, float | str]:
    """The parameters that have one and the same value in every trial."""
    constant: dict[str, float | str] = {}
    for name in _names(trials):
        values = [trial.params.get(name) for trial in trials]
        first = values[0]
        if first is not None and all(value == first for value in values):
            constant[name] = first
    return constant


def log_params(trials: Sequence[Trial], space: Mapping[str, object]) -> set[str]:
    """The parameters that belong on a log axis.

    Those that the space samples so (``log: true``), and, where the space does not say, positive numbers that span two
    decades or more.
    """
    stated = dict(_stated(space))
    chosen = set()
    for name in _names(trials):
        values = [trial.params[name] for trial in trials if name in trial.params]
        numbers = [value for value in values if isinstance(value, float)]
        if len(numbers) == len(values) and min(numbers) > 0.0:
            wide = max(numbers) >= 100.0 * min(numbers)
            if stated.get(name, wide):
                chosen.add(name)
    return chosen


def _stated(space: Mapping[str, object], path: str = "") -> list[tuple[str, bool]]:
    """Every name of the space, dotted through the levels above it and on its own, with its ``log``."""
    found: list[tuple[str, bool]] = []
    for key, value in space.items():
        if isinstance(value, Mapping):
            name = f"{path}.{key}" if path else str(key)
            if isinstance(value.get("log"), bool):
                found += [(str(key), value["log"]), (name, value["log"])]
            found += _stated(value, name)
    return found


def _names(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def _dimension(title: str, values: Sequence[float | str | None], log: bool) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    numbers = [value for value in present if isinstance(value, float)]
    if len(numbers) == len(present):
        ticks = _log_ticks(numbers) if log else _linear_ticks(numbers)
        places = {value: _position(value, log, numbers) for value in numbers}
        positions = [None if value is None else places[float(value)] for value in values]
    else:
        order = {value: float(index) for index, value in enumerate(dict.fromkeys(present))}
        ticks = _categories(list(order))
        positions = [None if value is None else order[value] for value in values]
    placed = [p for p in positions if p is not None] + list(ticks.values())
    low, high = min(placed), max(placed)
    pad = 0.0 if high > low else 0.5
    below = low - 0.14 * ((high - low) or 1.0)
    if len(present) < len(values):
        ticks, low, pad = {NOT_SAMPLED: below, **ticks}, below, 0.0
    return {
        "label": label(title, 24),
        "values": [below if p is None else p for p in positions],
        "range": [low - pad, high + pad],
        "tickvals": list(ticks.values()),
        "ticktext": list(ticks),
    }


def _categories(values: Sequence[float | str], limit: int = 16) -> dict[str, float]:
    """A text for each category, short and unlike the others: plotly would draw two ticks with one text as one.

    Plotly puts these texts on the page as they are, unlike its labels; they must not be escaped.
    """
    ticks: dict[str, float] = {}
    for index, value in enumerate(values):
        text = show(value)
        text = text if len(text) <= limit else text[: limit - 1] + "…"
        ticks[text if text not in ticks else f"{text} ({index + 1})"] = float(index)
    return ticks


def _position(value: float, log: bool, numbers: Sequence[float]) -> float:
    if not log:
        return value
    positive = [number for number in numbers if number > 0.0]
    return math.log10(value) if value > 0.0 else math.log10(min(positive, default=1.0)) - 0.5


def _log_ticks(numbers: Sequence[float]) -> dict[str, float]:
    """1, 10, 100, ... with 2 and 5 between them over a short span; values at or below zero stand at a tick 0."""
    positive = [number for number in numbers if number > 0.0] or [1.0]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    digits = (1, 2, 5) if high - low < 3.0 else (1,)
    exponents = range(math.floor(low), math.ceil(high) + 1)
    inside = [(d * 10.0**e) for e in exponents for d in digits if low - 1e-9 <= math.log10(d * 10.0**e) <= high + 1e-9]
    values = inside if len(inside) > 1 else sorted({min(positive), max(positive)})
    ticks = {_tick(value): math.log10(value) for value in values}
    return ticks if len(positive) == len(numbers) else {"0": _position(0.0, True, numbers), **ticks}


def _linear_ticks(numbers: Sequence[float]) -> dict[str, float]:
    """Every value when they are few, else five or so round numbers."""
    distinct = sorted(set(numbers))
    if len(distinct) <= 6:
        return {show(value): value for value in distinct}
    span = distinct[-1] - distinct[0]
    step = 10.0 ** math.floor(math.log10(span / 5.0))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6.0)
    first = math.ceil(distinct[0] / step - 1e-9)
    count = math.floor(distinct[-1] / step + 1e-9) - first + 1
    return {show(float(f"{(first + k) * step:.10g}")): (first + k) * step for k in range(count)}


def _tick(value: float) -> str:
    return show(value) if 1e-3 <= value < 1e5 else f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-")
