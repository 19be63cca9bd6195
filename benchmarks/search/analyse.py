"""From results.jsonl to docs/search.md and its picture: levels, ratios to the baseline with intervals, tests, surfaces.

    python -m benchmarks.search.analyse [--results FILE] [--output docs/search.md]

The target is the level that the baseline (the first arm) reaches on average with its whole budget. The ratio of an arm is
budget / epochs at which the arm's mean curve first reaches the target; its interval is that of 2,000 bootstrap samples of
the seeds, of both the arm and the baseline. p is that of a one-sided Mann-Whitney test on the final levels.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.tasks import ARMS, TASKS
from snnlightning.pareto import attainment

COLUMNS = ("validation", "test", "validation, tight corner", "test, tight corner")
Floats = NDArray[np.float64]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def curves(runs: Sequence[dict[str, Any]], column: int, budget: int) -> Floats:
    """[seeds, budget + 1]: the hypervolume that was known after so many epochs."""
    table = np.zeros((len(runs), budget + 1))
    for row, run in zip(table, runs, strict=True):
        for spent, *volumes in run["curve"]:
            row[min(budget, int(np.ceil(spent))) :] = volumes[column]
    return table


def reached(mean: Floats, target: float) -> float:
    """The epochs after which a curve is at the target; infinite when it never is."""
    at = np.flatnonzero(mean >= target)
    return float(max(1, at[0])) if at.size else float("inf")


def ratio(arm: Floats, baseline: Floats, draws: int = 2000) -> tuple[float, float, float]:
    """Budget / epochs to the baseline's final mean, with a 95 % bootstrap interval; 0 where it is not reached."""
    budget, random = arm.shape[1] - 1, np.random.default_rng(0)
    ratios = []
    for _ in range(draws):
        a = arm[random.integers(len(arm), size=len(arm))].mean(0)
        b = baseline[random.integers(len(baseline), size=len(baseline))].mean(0)
        ratios.append(budget / reached(a, b[-1]))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return budget / reached(arm.mean(0), baseline.mean(0)[-1]), float(low), float(high)


def mann_whitney(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """One-sided p that mine are no greater, exact: the share of all splits with so many wins (ties count half)."""

    def wins(a: Floats, b: Floats) -> float:
        return float((a[:, None] > b[None]).sum() + 0.5 * (a[:, None] == b[None]).sum())

    both, count = np.array([*mine, *theirs]), len(mine)
    observed = wins(both[:count], both[count:])
    splits = list(itertools.combinations(range(len(both)), count)) if len(both) <= 14 else None
    if splits is None:
        random = np.random.default_rng(0)
        splits = [tuple(random.permutation(len(both))[:count]) for _ in range(20000)]
    hits = 0
    for split in splits:
        chosen = np.zeros(len(both), dtype=bool)
        chosen[list(split)] = True
        hits += wins(both[chosen], both[~chosen]) >= observed
    return hits / len(splits)


def table(task: str, runs: dict[str, list[dict[str, Any]]], budget: int) -> list[str]:
    """The rows of a task's table, as Markdown."""
    baseline = next(iter(ARMS))
    lines = [
        "| search | seeds | networks | HV validation | HV test | ratio, validation | ratio, test | ratio, test, tight | p, test"
        " | CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm in [name for name in ARMS if name in runs]:
        own = [curves(runs[arm], k, budget) for k in range(4)]
        base = [curves(runs[baseline], k, budget) for k in range(4)]
        cells = [arm, str(len(runs[arm])), f"{np.mean([run['trials'] for run in runs[arm]]):.0f}"]
        for k in (0, 1):
            spread = f" ± {own[k][:, -1].std(ddof=1):.3f}" if len(own[k]) > 1 else ""
            cells.append(f"{own[k][:, -1].mean():.3f}{spread}")
        for k in (0, 1, 3):
            if arm == baseline:
                cells.append("1")
                continue
            value, low, high = ratio(own[k], base[k])
            cells.append("not reached" if value == 0.0 else f"{value:.1f} [{low:.1f}, {high:.1f}]")
        p = "" if arm == baseline else f"{mann_whitney(own[1][:, -1].tolist(), base[1][:, -1].tolist()):.3f}"
        cells += [p, f"{np.mean([run['cpu_seconds'] for run in runs[arm]]):.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def picture(tasks: dict[str, dict[str, list[dict[str, Any]]]], path: Path) -> None:
    """Anytime curves on the test set, and what a quarter, half and three quarters of the searches attain."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    colours = dict(zip(ARMS, ("#555555", "#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e"), strict=True))
    figure = make_subplots(
        rows=len(tasks),
        cols=2,
        subplot_titles=[
            title for task in tasks for title in (f"{task}: hypervolume on test", f"{task}: fronts on test, 25/50/75 %")
        ],
    )
    for row, (task, runs) in enumerate(tasks.items(), 1):
        for arm in [name for name in ARMS if name in runs]:
            budget = runs[arm][0]["budget"]
            mean = curves(runs[arm], 1, budget).mean(0)
            line = {"color": colours[arm], "width": 2}
            figure.add_scatter(y=mean, name=arm, line=line, legendgroup=arm, showlegend=row == 1, row=row, col=1)
            fronts = [
                [(100 * (1 - point["test"]["accuracy"]), point["test"]["synops"]) for point in run["front"]]
                for run in runs[arm]
            ]
            for share, dash in ((0.25, "dot"), (0.5, "solid"), (0.75, "dot")):
                corners = attainment(fronts, share)
                figure.add_trace(
                    go.Scatter(
                        x=[x for x, _ in corners],
                        y=[y for _, y in corners],
                        line={**line, "dash": dash, "shape": "hv", "width": 2 if dash == "solid" else 1},
                        legendgroup=arm,
                        showlegend=False,
                        mode="lines",
                    ),
                    row=row,
                    col=2,
                )
        figure.update_xaxes(title="epochs spent", row=row, col=1)
        loose = 100 * (1 - TASKS[task]["references"]["accuracy"][0])
        figure.update_xaxes(title="error, %", range=[0, loose], row=row, col=2)
        figure.update_yaxes(title="synaptic operations", type="log", row=row, col=2)
    figure.update_layout(width=1100, height=420 * len(tasks), template="plotly_white", margin={"t": 50})
    figure.write_html(path, include_plotlyjs="cdn") if path.suffix == ".html" else figure.write_image(path, scale=1.5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results.jsonl")
    parser.add_argument("--picture", type=Path, help="a PNG, SVG or HTML file")
    options = parser.parse_args()
    tasks: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for run in read(options.results):
        tasks.setdefault(run["task"], {}).setdefault(run["arm"], []).append(run)
    for task, runs in tasks.items():
        first = next(iter(runs.values()))[0]
        whole = first["budget"] / first["epochs"]
        print(f"\n{task}: budget {first['budget']} epochs, {whole:.0f} trainings of {first['epochs']}\n")
        print("\n".join(table(task, runs, first["budget"])))
    if options.picture is not None:
        picture(tasks, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
