"""``docs/surrogates.md`` and its picture from the code: ``python -m snnlightning.surrogates._page docs`` writes them anew.

The page's prose stays as it is; what stands between ``<!-- families -->`` and ``<!-- end -->`` is replaced.
"""

import inspect
import math
import re
import sys
from pathlib import Path
from typing import cast

import torch

from .. import surrogates
from ..naming import available
from .abstract import AbstractSurrogate

__all__ = ["families", "picture", "table", "updated"]

_WIDTH, _HEIGHT, _COLUMNS, _MARGIN = 176, 96, 4, 22
_REACH = 4.0
"""Half widths on either side of threshold that a panel shows."""


def families() -> dict[str, AbstractSurrogate]:
    """Every family with its published parameters, by the name of its file."""
    return {name: cls() for name, cls in _classes().items()}


def table() -> str:
    """One line per family, Markdown."""
    lines = [
        "| family | h(x) | published | height | half width | area | h(0.1) | used by |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, surrogate in families().items():
        text = " ".join((inspect.getdoc(surrogate) or "").split())
        formula = re.search(r"h\(x\) = (.*?)(?:, with x = v - v_th\.|\. With x = v - v_th\.)", text)
        users = re.search(r"Used by: (.*?)\.? Source:", text)
        assert formula, f"{name} does not say its formula"
        assert users, f"{name} does not say who uses it"
        cells = [
            f"`{name}`",
            formula[1].replace("|", "\\|"),
            f"`{surrogate}`",
            _number(surrogate.height),
            _number(surrogate.width) + {"both": "", "below": " (below)", "above": " (above)"}[surrogate.side],
            _number(surrogate.area),
            _number(surrogate.derivative(torch.tensor(0.1, dtype=torch.float64)).item()),
            users[1],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def updated(page: str) -> str:
    """The page with the table that the code says."""
    return re.sub(
        r"(<!-- families -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}\n{table()}\n\n{m[2]}", page, flags=re.DOTALL
    )


def picture() -> str:
    """An SVG with a panel per family, all of height 1 and half width 1: what is left is the shape."""
    shapes = {name: cls.from_height_width(1.0, 1.0) for name, cls in _classes().items()}
    rows = math.ceil(len(shapes) / _COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_COLUMNS * _WIDTH} {rows * (_HEIGHT + _MARGIN)}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, (name, surrogate) in enumerate(shapes.items()):
        row, column = divmod(number, _COLUMNS)
        parts.append(
            f'<g transform="translate({column * _WIDTH} {row * (_HEIGHT + _MARGIN)})">{_panel(name, surrogate)}</g>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _classes() -> dict[str, type[AbstractSurrogate]]:
    return {name: cast(type[AbstractSurrogate], cls) for name, cls in sorted(available(surrogates).items())}


def _panel(name: str, surrogate: AbstractSurrogate) -> str:
    x = torch.linspace(-_REACH, _REACH, 321, dtype=torch.float64)
    points = " ".join(
        f"{_across(at):.1f},{_up(h):.1f}" for at, h in zip(x.tolist(), surrogate.derivative(x).tolist(), strict=True)
    )
    line = '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#c3c8d0"/>'
    return (
        line.format(_across(-_REACH), _up(0.0), _across(_REACH), _up(0.0))
        + line.format(_across(0.0), _up(-0.25), _across(0.0), _up(1.1))
        + f'<polyline points="{points}" fill="none" stroke="#2a6fbb" stroke-width="1.6"/>'
        + f'<text x="{_WIDTH / 2:.0f}" y="14" text-anchor="middle" fill="#333333">{name}</text>'
    )


def _across(x: float) -> float:
    return 8.0 + (x + _REACH) / (2.0 * _REACH) * (_WIDTH - 16.0)


def _up(h: float) -> float:
    return 20.0 + (1.15 - max(h, -0.3)) / 1.45 * (_HEIGHT - 4.0)


def _number(value: float) -> str:
    """Three digits; 0 for what is nothing but rounding."""
    if math.isnan(value):
        return "none"
    return "∞" if math.isinf(value) else f"{value:.3g}" if abs(value) > 1e-12 else "0"


def main(folder: str) -> None:
    """Write the page and the picture in this folder anew."""
    page = Path(folder) / "surrogates.md"
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
    (Path(folder) / "surrogates.svg").write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
