"""SynOps: where the operations of each front point are spent, by layer and by kind of connection."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...units import format_count
from ..files import Counts
from ..markup import label
from ..words import show
from .style import CYCLE, layout, plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["synops_figure"]


def synops_figure(counts: Mapping[int, Counts], numbers: Sequence[int]) -> "Figure":
    """Stacked bars of synaptic operations per sample: above by layer, below by kind of connection.

    The total stands under the trial's number. The two buttons switch between operations and shares of the total, because
    next to an expensive point the bar of a cheap one is too short to read.

    Args:
        counts: the counts by trial number; a number without counts keeps its place and says so.
        numbers: the front points, in the order of the front.
    """
    figure = plotly("subplots").make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.14)
    names = [f"#{n}<br>{format_count(counts[n].total) if n in counts else 'no counts'}" for n in numbers]
    for row, part in enumerate(("by_layer", "by_kind"), start=1):
        tables = {number: getattr(counts[number], part) for number in numbers if number in counts}
        keys = list(dict.fromkeys(key for table in tables.values() for key in table))
        if part == "by_layer":
            keys.sort(key=lambda key: key.startswith("readout"))
        for index, key in enumerate(keys):
            values = [tables[number].get(key) if number in tables else None for number in numbers]
            figure.add_bar(
                row=row,
                col=1,
                x=names,
                y=values,
                name=label(key, 30),
                marker={"color": _colour(key, index if row == 1 else index + 4)},
                legend="legend" if row == 1 else "legend2",
                hovertext=[_hover(number, key, value, counts) for number, value in zip(numbers, values, strict=True)],
                hoverinfo="text",
            )
    beside = {"orientation": "h", "x": 0.0, "yanchor": "bottom", "traceorder": "normal"}
    axis = {"title": {"text": "operations per sample"}, "rangemode": "tozero", "exponentformat": "SI"}
    share = {**axis, "title": {"text": "share of operations (%)"}}
    layout(
        figure,
        barmode="stack",
        bargap=0.35,
        margin={"l": 70, "r": 20, "t": 90, "b": 70},
        legend={**beside, "y": 1.01, "title": {"text": "by layer: "}},
        legend2={**beside, "y": 0.44, "title": {"text": "by kind: "}},
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
                "x": 0.0,
                "y": 1.09,
                "xanchor": "left",
                "yanchor": "bottom",
                "showactive": True,
                "buttons": [
                    _button("operations", "", str(axis["title"]["text"])),  # type: ignore[index]
                    _button("share of the total", "percent", str(share["title"]["text"])),  # type: ignore[index]
                ],
            }
        ],
    )
    figure.update_yaxes(**axis)
    figure.update_xaxes(type="category", tickangle=0, tickfont={"size": 11})
    figure.update_xaxes(title={"text": "trial"}, row=2, col=1)
    return figure


def _colour(key: str, index: int) -> str:
    """The readout is grey in both panels; everything else takes its turn."""
    return CYCLE[-1] if key == "readout" else CYCLE[index % (len(CYCLE) - 1)]


def _button(text: str, norm: str, title: str) -> dict[str, object]:
    change = {"barnorm": norm, "yaxis.title.text": title, "yaxis2.title.text": title}
    return {"label": text, "method": "relayout", "args": [change]}


def _hover(number: int, key: str, value: float | None, counts: Mapping[int, Counts]) -> str:
    if value is None:
        return ""
    total = counts[number].total
    share = f" ({100.0 * value / total:.1f} %)" if total else ""
    return f"<b>trial {number}</b><br>{label(key)}: {show(value)}{share}"
