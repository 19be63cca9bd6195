"""The picture of docs/search.md: anytime curves on the test set, and what a quarter, half and three quarters of the searches attain."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.search.comparing import FEWEST, curves
from benchmarks.search.tasks import ARMS, TASKS
from snnlightning.pareto import attainment

__all__ = ["picture"]

Runs = dict[str, list[dict[str, Any]]]
COLOURS = dict(zip(ARMS, ("#555555", "#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b"), strict=True))
WIDTH, HEIGHT, LEFT, TOP, GAP = 400, 280, 60, 40, 90
"""Of a panel, and the room around panels; in pixels."""


def picture(tasks: dict[str, Runs]) -> str:
    """SVG: a row of two panels for each task, with the searches of enough seeds."""
    tasks = {task: {arm: own for arm, own in runs.items() if len(own) >= FEWEST} for task, runs in tasks.items()}
    size = f'width="{LEFT + 2 * WIDTH + GAP + 20}" height="{(TOP + HEIGHT + 50) * len(tasks) + 30}"'
    body: list[str] = []
    for row, (task, runs) in enumerate(tasks.items()):
        top = TOP + row * (TOP + HEIGHT + 50)
        body += _over_epochs(task, runs, LEFT, top)
        body += _fronts(task, runs, LEFT + WIDTH + GAP, top)
    arms = [arm for arm in ARMS if any(arm in runs for runs in tasks.values())]
    bottom = (TOP + HEIGHT + 50) * len(tasks) + 10
    for k, arm in enumerate(arms):
        x = LEFT + k * 130
        body.append(
            f'<line x1="{x}" x2="{x + 22}" y1="{bottom}" y2="{bottom}" stroke="{COLOURS[arm]}" stroke-width="3"/>'
            f'<text x="{x + 28}" y="{bottom + 4}">{escape(arm)}</text>'
        )
    style = 'font-family="sans-serif" font-size="12"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>',
            f'<rect {size} fill="white"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _over_epochs(task: str, runs: Runs, left: float, top: float) -> Iterator[str]:
    """The mean hypervolume on the test set over the epochs that were spent."""
    means = {arm: curves(own, 1, own[0]["budget"]).mean(0) for arm, own in runs.items()}
    last = max(len(mean) for mean in means.values()) - 1
    most = max(float(mean[-1]) for mean in means.values())
    high = math.ceil(most * 10.0) / 10.0

    def at(epoch: float, volume: float) -> tuple[float, float]:
        return left + WIDTH * epoch / last, top + HEIGHT * (1.0 - volume / high)

    yield from _frame(f"{task}: hypervolume on test, mean of the seeds", "epochs spent", left, top)
    for k in range(5):
        yield from _tick(f"{last * k / 4:.0f}", at(last * k / 4, 0.0), below=True)
    for k in range(math.floor(high * 5.0 + 1e-9) + 1):
        yield from _tick(f"{k / 5:.1f}", at(0, k / 5), below=False)
    for arm, mean in means.items():
        corners = [0, *(k for k in range(1, len(mean)) if mean[k] != mean[k - 1]), len(mean) - 1]
        yield _steps([(float(k), float(mean[k])) for k in corners], at, COLOURS[arm], dotted=False)


def _fronts(task: str, runs: Runs, left: float, top: float) -> Iterator[str]:
    """Attainment surfaces on the test set: what so many of the searches reach or surpass."""
    worst = 100.0 * (1.0 - TASKS[task]["references"]["accuracy"][0])
    high = math.log10(TASKS[task]["references"]["synops"][0])
    low = min(
        math.log10(max(1.0, point["test"]["synops"])) for own in runs.values() for run in own for point in run["front"]
    )

    def at(error: float, synops: float) -> tuple[float, float]:
        share = (min(high, max(low, math.log10(max(1.0, synops)))) - low) / (high - low)
        return left + WIDTH * min(1.0, error / worst), top + HEIGHT * (1.0 - share)

    yield from _frame(f"{task}: fronts on test, 25 / 50 / 75 % of the seeds", "error, %", left, top)
    for error in range(0, math.floor(worst + 1e-9) + 1, 10):
        yield from _tick(str(error), at(error, 1.0), below=True)
    for power in range(math.ceil(low), math.floor(high) + 1):
        yield from _tick(f"{10**power:,} ops", at(0.0, 10.0**power), below=False)
    for arm, own in runs.items():
        fronts = [[(100.0 * (1.0 - p["test"]["accuracy"]), p["test"]["synops"]) for p in run["front"]] for run in own]
        for share in (0.25, 0.5, 0.75):
            corners = sorted((float(x), float(y)) for x, y in attainment(fronts, share) if x <= worst)
            if corners:
                yield _steps([*corners, (worst, corners[-1][1])], at, COLOURS[arm], dotted=share != 0.5)


def _frame(title: str, axis: str, left: float, top: float) -> Iterator[str]:
    yield f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbbbbb"/>'
    yield f'<text x="{left}" y="{top - 10}" font-weight="bold">{escape(title)}</text>'
    yield f'<text x="{left + WIDTH / 2}" y="{top + HEIGHT + 32}" text-anchor="middle">{escape(axis)}</text>'


def _tick(text: str, at: tuple[float, float], *, below: bool) -> Iterator[str]:
    x, y = at
    place = (
        f'x="{x:.1f}" y="{y + 15:.1f}" text-anchor="middle"'
        if below
        else f'x="{x - 5:.1f}" y="{y + 4:.1f}" text-anchor="end"'
    )
    yield f'<text {place} font-size="10" fill="#555555">{escape(text)}</text>'


def _steps(
    corners: Sequence[tuple[float, float]],
    at: Callable[[float, float], tuple[float, float]],
    colour: str,
    *,
    dotted: bool,
) -> str:
    """A staircase: what holds at a corner holds until the next one."""
    path, before = "", None
    for corner in corners:
        x, y = at(*corner)
        path += f"M{x:.1f} {y:.1f}" if before is None else f"H{x:.1f}V{y:.1f}"
        before = corner
    look = 'stroke-width="1" stroke-dasharray="2 3"' if dotted else 'stroke-width="2"'
    return f'<path d="{path}" fill="none" stroke="{colour}" {look}/>'
