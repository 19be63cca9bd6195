"""Front: every trial in the plane of two objectives, and the step line that the best of them draw."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import unknown_name
from ..files import Front, Objective, Point, Trial
from ..knee import knee_point
from ..markup import label
from ..reading import read_front
from ..words import axis_label, noun, show
from .style import BLUE, GREY, ORANGE, VERMILLION, layout, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["front_figure"]


def front_figure(
    front: Front | Mapping[str, Any], trials: Sequence[Trial] = (), *, x: str | None = None, y: str | None = None
) -> "Figure":
    """The front in the plane of objectives ``x`` and ``y``.

    Front points are filled on the validation split, where they were chosen, and open on the test split; a thin line joins
    the two. The step line bounds what the front attains, and is drawn for two objectives only: in a projection of three
    or more it would mean nothing. A value at or below zero has no place on a log axis and stands on a dotted line at its
    edge.

    Args:
        front: the front, or the decoded content of a ``front.json``.
        trials: every trial, for the cloud behind the front.
        x: objective along the x axis; the second by default (the first when there is only one).
        y: objective along the y axis; the first by default.

    Raises:
        StudyError: ``front`` is a mapping in another layout.
        UnknownNameError: ``x`` or ``y`` is no objective of the front.
    """
    if not isinstance(front, Front):
        front = read_front(front)
    names = [objective.name for objective in front.objectives]
    x, y = x or names[min(1, len(names) - 1)], y or names[0]
    for name in (x, y):
        if name not in names:
            raise unknown_name("objective", name, names)
    across, up = (front.objectives[names.index(name)] for name in (x, y))
    edges = {axis.name: _edge(axis, front, trials) for axis in (across, up)}
    figure = plotly("graph_objects").Figure()
    _cloud(figure, front, trials, edges, x, y)
    _steps(figure, front, across, up, edges)
    _points(figure, front, edges, x, y)
    for objective, axis in ((across, "x"), (up, "y")):
        for limit in (objective.at_least, objective.at_most):
            if limit is not None and not (objective.scale == "log" and limit <= 0):
                _line(figure, axis, limit, {"color": VERMILLION, "width": 1, "dash": "dash"})
    layout(
        figure,
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": label(axis_label(x))}, "type": across.scale, "exponentformat": "power"},
        yaxis={"title": {"text": label(axis_label(y))}, "type": up.scale, "exponentformat": "power"},
    )
    for axis, update, objective in (("x", figure.update_xaxes, across), ("y", figure.update_yaxes, up)):
        edge = edges[objective.name]
        if edge is not None:
            values = _all_values(objective, front, trials)
            update(**_log_ticks(values, edge))
            if min(values, default=1.0) <= 0.0:
                _line(figure, axis, edge, {"color": GREY, "width": 1, "dash": "dot"})
    return figure


def _line(figure: "Figure", axis: str, at: float, line: dict[str, object]) -> None:
    """A line across the whole plane at ``at``."""
    across = "y" if axis == "x" else "x"
    ends = {f"{axis}0": at, f"{axis}1": at, f"{across}0": 0, f"{across}1": 1}
    figure.add_shape(type="line", line=line, **{f"{axis}ref": axis, f"{across}ref": f"{across} domain"}, **ends)


def _cloud(
    figure: "Figure", front: Front, trials: Sequence[Trial], edges: Mapping[str, float | None], x: str, y: str
) -> None:
    chosen = {point.number for point in front.points}
    complete = [t for t in trials if t.state == "complete" and t.number not in chosen]
    infeasible = [t for t in trials if t.state == "infeasible"]
    marks = (
        (infeasible, "infeasible", {"symbol": "x-thin-open", "size": 7, "color": GREY, "line": {"width": 1}}),
        (complete, "dominated", {"symbol": "circle", "size": 6, "color": "rgba(86,180,233,0.55)"}),
    )
    for members, name, marker in marks:
        placed = [trial for trial in members if x in trial.values and y in trial.values]
        if placed:
            figure.add_scatter(
                x=[_place(t.values[x], edges[x]) for t in placed],
                y=[_place(t.values[y], edges[y]) for t in placed],
                mode="markers",
                name=f"{name} ({len(placed)})",
                marker=marker,
                hovertext=[_hover(t.number, t.state, t.values, None, t.params, t.reason) for t in placed],
                hoverinfo="text",
            )


def _steps(figure: "Figure", front: Front, across: Objective, up: Objective, edges: Mapping[str, float | None]) -> None:
    """The boundary of what is attained: up to the next point, the last one passed is the best there is."""
    if len(front.objectives) != 2 or len(front.points) < 2:
        return
    places = sorted(
        (_place(p.values[across.name], edges[across.name]), _place(p.values[up.name], edges[up.name]))
        for p in front.points
    )
    figure.add_scatter(
        x=[place[0] for place in places],
        y=[place[1] for place in places],
        mode="lines",
        line={"color": BLUE, "width": 2, "shape": "vh" if across.maximized else "hv"},
        hoverinfo="skip",
        showlegend=False,
    )


def _points(figure: "Figure", front: Front, edges: Mapping[str, float | None], x: str, y: str) -> None:
    if not front.points:
        return

    def place(values: Mapping[str, float]) -> tuple[float, float]:
        return _place(values[x], edges[x]), _place(values[y], edges[y])

    tested = [(p, p.test) for p in front.points if p.test is not None and x in p.test and y in p.test]
    hover = {p.number: _hover(p.number, p.kind, p.values, p.test, p.params) for p in front.points}
    joined = [end for point, test in tested for end in (place(point.values), place(test), (None, None))]
    figure.add_scatter(
        x=[end[0] for end in joined], y=[end[1] for end in joined],
        mode="lines", line={"color": ORANGE, "width": 1}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=[place(p.values)[0] for p in front.points],
        y=[place(p.values)[1] for p in front.points],
        mode="markers",
        name=f"front, validation ({len(front.points)})",
        marker={"size": 10, "color": BLUE},
        hovertext=[hover[p.number] for p in front.points],
        hoverinfo="text",
    )
    if tested:
        figure.add_scatter(
            x=[place(test)[0] for _, test in tested],
            y=[place(test)[1] for _, test in tested],
            mode="markers",
            name=f"front, test ({len(tested)})",
            marker={"size": 9, "symbol": "diamond-open", "color": ORANGE, "line": {"width": 2}},
            hovertext=[hover[point.number] for point, _ in tested],
            hoverinfo="text",
        )
    _ring(figure, front.points, knee_point(front), place)


def _ring(figure: "Figure", points: Iterable[Point], knee: int | None, place: Any) -> None:
    for point in points:
        if point.number == knee:
            figure.add_scatter(
                x=[place(point.values)[0]], y=[place(point.values)[1]],
                mode="markers", name=f"knee (trial {knee})", hoverinfo="skip",
                marker={"size": 19, "symbol": "circle-open", "color": VERMILLION, "line": {"width": 2}},
            )  # fmt: skip


def _hover(
    number: int,
    kind: str,
    values: Mapping[str, float],
    test: Mapping[str, float] | None,
    params: Mapping[str, object],
    reason: str = "",
) -> str:
    lines = [f"<b>trial {number}</b> ({label(kind)})"]
    for name, value in values.items():
        tested = f" (test {show(test[name])})" if test is not None and name in test else ""
        lines.append(f"{label(noun(name))}: {show(value)}{tested}")
    if reason:
        lines.append(label(reason, 80))
    lines += [f"{label(name)} = {label(show(value), 40)}" for name, value in params.items()]
    return "<br>".join(lines)


def _all_values(objective: Objective, front: Front, trials: Sequence[Trial]) -> list[float]:
    """Every coordinate on the axis that is drawn."""
    name = objective.name
    drawn: list[Mapping[str, float]] = [trial.values for trial in trials if trial.state != "failed"]
    drawn += [point.values for point in front.points] + [point.test for point in front.points if point.test is not None]
    return [values[name] for values in drawn if name in values]


def _edge(objective: Objective, front: Front, trials: Sequence[Trial]) -> float | None:
    """Where values at or below zero stand on a log axis: at a third of the smallest positive value."""
    if objective.scale != "log":
        return None
    return min((value for value in _all_values(objective, front, trials) if value > 0.0), default=3.0) / 3.0


def _log_ticks(values: Sequence[float], edge: float) -> dict[str, Any]:
    """Plotly's own ticks, one per decade or 1, 2, 5; with a value at the edge, written out with a 0 there."""
    positive = [value for value in values if value > 0.0] or [edge]
    wide = max(positive) / min(positive) > 30.0
    if min(values, default=1.0) > 0.0:
        return {"dtick": 1 if wide else "D2"}
    exponents = range(math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive))) + 1)
    steps = [(digit, exponent) for exponent in exponents for digit in ((1,) if wide else (1, 2, 5))]
    ticks = {digit * 10.0**e: f"10<sup>{e}</sup>" if wide else show(digit * 10.0**e) for digit, e in steps}
    kept = {edge: "0"} | {value: text for value, text in ticks.items() if value > 2.0 * edge}
    return {"tickvals": list(kept), "ticktext": list(kept.values())}


def _place(value: float, edge: float | None) -> float:
    return value if edge is None or value > 0.0 else edge
