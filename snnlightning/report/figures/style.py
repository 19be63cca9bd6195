"""Style: what every figure shares. The colours follow those of Okabe and Ito, which colour-blind readers can tell apart."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...errors import require

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["BLUE", "CYCLE", "FAINT", "GREY", "ORANGE", "SEQUENCE", "VERMILLION", "along", "layout", "plotly"]

BLUE, VERMILLION, GREEN, ORANGE = "#1b7fc0", "#D55E00", "#009E73", "#E69F00"
CYCLE = (BLUE, ORANGE, GREEN, VERMILLION, "#56B4E9", "#CC79A7", "#8C6D31", "#7F7F7F")
GREY, FAINT = "#8a8f98", "rgba(138,143,152,0.35)"
# Dark to light in both brightness and hue, without the ends that vanish on a dark or on a white page.
SEQUENCE = ((0.0, "#3f4c9a"), (0.25, "#2f7fb8"), (0.5, "#21a08a"), (0.75, "#86b53c"), (1.0, "#e8b50f"))


def plotly(module: str) -> Any:
    """A module of plotly, or the error that says how to install it."""
    return require(f"plotly.{module}", "report", "The report")


def layout(figure: "Figure", **changes: object) -> "Figure":
    """Apply the shared layout, then ``changes``; the page recolours text and grid for light and dark."""
    figure.update_layout(
        template="none",
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
        hoverlabel={"align": "left"},
    )
    axis = {"gridcolor": FAINT, "linecolor": GREY, "zeroline": False, "ticks": "outside", "tickcolor": GREY}
    figure.update_xaxes(**axis, automargin=True, title_standoff=10)
    figure.update_yaxes(**axis, automargin=True, title_standoff=10)
    figure.update_layout(**changes)
    return figure


def along(count: int) -> list[str]:
    """``count`` colours evenly spaced along SEQUENCE."""
    return [_mix(index / max(count - 1, 1)) for index in range(count)]


def _mix(position: float) -> str:
    for (start, left), (stop, right) in pairwise(SEQUENCE):
        if position <= stop:
            share = (position - start) / (stop - start)
            parts = (round(a + share * (b - a)) for a, b in zip(_channels(left), _channels(right), strict=True))
            return f"rgb({','.join(map(str, parts))})"
    return SEQUENCE[-1][1]


def _channels(colour: str) -> Sequence[int]:
    return [int(colour[index : index + 2], 16) for index in (1, 3, 5)]
