"""Curves: how accuracy and loss went over the epochs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..files import Curve
from ..markup import label
from ..words import noun
from .style import FAINT, GREY, along, layout, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["curves_figure"]


def curves_figure(
    curves: Mapping[int, Curve],
    numbers: Sequence[int],
    *,
    metrics: Sequence[str] = ("val_accuracy", "train_loss"),
    others_limit: int = 150,
) -> "Figure":
    """One panel per metric: front points in colour, from the first to the last point of the front, the others thin grey.

    Args:
        curves: the columns of ``metrics.csv`` by trial number.
        numbers: the front points, in the order of the front.
        metrics: the columns to draw; those that no trial has are left out.
        others_limit: the other trials are drawn up to this many, and not at all beyond it.
    """
    shown = [name for name in metrics if any(name in curve for curve in curves.values())] or list(metrics[:1])
    others = [number for number in curves if number not in numbers]
    others = others if len(others) <= others_limit else []
    figure = plotly("subplots").make_subplots(rows=len(shown), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    colours = dict(zip(numbers, along(len(numbers)), strict=True))
    longest = max((len(curve["epoch"]) for curve in curves.values()), default=0)
    for row, name in enumerate(shown, start=1):
        grey = [_track(curves[number], name) for number in others]
        if any(xs for xs, _ in grey):
            figure.add_scatter(
                row=row,
                col=1,
                x=[value for xs, _ in grey for value in (*xs, None)],
                y=[value for _, ys in grey for value in (*ys, None)],
                mode="lines",
                line={"color": FAINT if numbers else GREY, "width": 1},
                name=f"other trials ({len(others)})",
                legendgroup="others",
                showlegend=row == 1,
                hoverinfo="skip",
            )
        for number in reversed(numbers):
            xs, ys = _track(curves.get(number, {}), name)
            if xs:
                figure.add_scatter(
                    row=row,
                    col=1,
                    x=xs,
                    y=ys,
                    mode="lines+markers" if longest <= 15 else "lines",
                    line={"color": colours[number], "width": 2},
                    marker={"size": 5},
                    name=f"trial {number}",
                    legendgroup=str(number),
                    legendrank=1000 + list(numbers).index(number),
                    showlegend=row == 1,
                    hovertemplate=f"trial {number}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
                )
        figure.update_yaxes(title={"text": label(noun(name))}, row=row, col=1)
    layout(figure, legend={"traceorder": "normal"})
    figure.update_xaxes(title={"text": "epoch"}, row=len(shown), col=1)
    return figure


def _track(curve: Curve, name: str) -> tuple[list[float], list[float]]:
    """The rows that have both an epoch and this metric."""
    pairs = zip(curve.get("epoch", ()), curve.get(name, ()), strict=False)
    rows = [(epoch, value) for epoch, value in pairs if epoch is not None and value is not None]
    return [row[0] for row in rows], [row[1] for row in rows]
