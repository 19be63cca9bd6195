"""Charts: a plotly figure as an element of the page: a container with a stable id, and its data beside it."""

import json
from typing import TYPE_CHECKING, cast

from .markup import Html, element, join, script_json

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["chart"]


def chart(identifier: str, figure: "Figure", *, height: int, caption: str = "", min_width: int = 0) -> Html:
    """The container, the figure's JSON for the page's script to draw, and a caption.

    Args:
        identifier: id of the container, ``chart-...``.
        figure: what to draw in it.
        height: height in px.
        caption: what the reader should know to read it.
        min_width: below this width in px the container scrolls sideways instead of shrinking.
    """
    data = cast(dict[str, object], json.loads(figure.to_json()))
    style = f"height:{height}px" + (f";min-width:{min_width}px" if min_width else "")
    return element(
        "figure",
        element("div", element("div", id=identifier, class_="plot", style=style), class_="scroll"),
        element("script", script_json(data), type="application/json", data_chart=identifier),
        element("figcaption", caption) if caption else join(),
    )
