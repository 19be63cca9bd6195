"""What the terminal shows of a study: the front, the failures, a line of progress."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..study import StudyConfig
from ..study.objectives import AbstractObjective
from ..study.rows import TrialRow
from ..units import format_count

__all__ = ["failures_table", "finalists_table", "format_value", "front_table", "progress_line"]


def front_table(config: StudyConfig, front: Mapping[str, Any], console: Console) -> Table:
    """The points of the front: values on the validation and on the test set, and the parameters that tell them apart.

    One line per point where the console is wide enough, else one per objective.
    """
    table = _points_in_rows(config, front)
    needed = table.__rich_measure__(console, console.options.update(max_width=10_000)).minimum
    return table if needed <= console.width else _objectives_in_rows(config, front)


def _points_in_rows(config: StudyConfig, front: Mapping[str, Any]) -> Table:
    points = front["points"]
    table = Table(title=f"Pareto front of {escape(config.name)}", title_justify="left", header_style="bold")
    table.add_column("trial", justify="right", no_wrap=True)
    for name in config.objectives:
        quantity, _, chip = name.partition("@")
        table.add_column(f"{quantity}{chip and chr(10)}{chip}\nval", justify="right", overflow="fold")
        table.add_column(f"{chip and chr(10)}\ntest", justify="right", no_wrap=True)
    table.add_column("network", overflow="fold")
    networks = _networks(points)
    for point, network in zip(points, networks, strict=True):
        cells = [str(point["number"])]
        for name, objective in config.objectives.items():
            cells.append(format_value(objective, point["values"][name]))
            cells.append(format_value(objective, point["test"][name]) if point["test"] else "-")
        table.add_row(*cells, network)
    if not points:
        table.caption = "no trial is feasible"
    return table


def _objectives_in_rows(config: StudyConfig, front: Mapping[str, Any]) -> Table:
    points = front["points"]
    table = Table(title=f"Pareto front of {escape(config.name)}", title_justify="left", header_style="bold")
    for column in ("trial", "objective", "val", "test"):
        table.add_column(
            column, justify="left" if column == "objective" else "right", no_wrap=column != "objective", overflow="fold"
        )
    table.add_column("network", overflow="fold")
    for point, network in zip(points, _networks(points), strict=True):
        first = (str(point["number"]), network)
        for name, objective in config.objectives.items():
            value = format_value(objective, point["values"][name])
            test = format_value(objective, point["test"][name]) if point["test"] else "-"
            table.add_row(first[0], escape(name), value, test, first[1])
            first = ("", "")
        table.add_section()
    if not points:
        table.caption = "no trial is feasible"
    return table


def _networks(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells each network from the others, and where it comes from."""
    telling = _telling(points)
    said = []
    for point in points:
        drawn = _merged(point["params"])
        says = [f"{_short(name)} {drawn[name]}" for name in telling if name in drawn]
        said.append(escape(", ".join([*_origin(point), *says])))
    return said


def finalists_table(config: StudyConfig, front: Mapping[str, Any]) -> Table:
    """What fresh seeds say of the front: means on the test set, 95 % intervals, and who beats whom."""
    table = Table(title="Trained anew with fresh seeds (test, 95 %)", title_justify="left", header_style="bold")
    table.add_column("trial", justify="right", no_wrap=True)
    for name in config.objectives:
        table.add_column("\n".join(name.split("@")), justify="right", overflow="fold")
    table.add_column("remarks", overflow="fold")
    for one in front["finalists"]:
        says = [] if one["on_front"] else ["beside the front"]
        says += _origin(one)
        says += (
            [f"beaten by {', '.join(str(other['number']) for other in one['beaten_by'])}"] if one["beaten_by"] else []
        )
        cells = [_interval(objective, one["test"][name]) for name, objective in config.objectives.items()]
        table.add_row(str(one["number"]), *cells, escape(", ".join(says)))
    return table


def _interval(objective: AbstractObjective, known: Mapping[str, float | None]) -> str:
    mean, low, high = (known[key] for key in ("mean", "low", "high"))
    assert mean is not None
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return format_value(objective, mean)
    return f"{format_value(objective, mean)}\n{format_value(objective, low)} - {format_value(objective, high)}"


def failures_table(rows: Sequence[TrialRow]) -> Table:
    """Trials that failed, and why."""
    table = Table(title="Failed trials", title_justify="left", header_style="bold")
    table.add_column("trial", justify="right")
    table.add_column("reason", overflow="fold")
    for row in rows:
        if row.state == "failed":
            table.add_row(str(row.number), escape(row.reason))
    return table


def progress_line(config: StudyConfig, rows: Sequence[TrialRow], front: Mapping[str, Any]) -> str:
    """How many trials of each kind there are, and the front's hypervolume: never the claimed one without a word on the test set."""
    count = {state: sum(row.state == state for row in rows) for state in ("complete", "infeasible", "failed")}
    of = f" of {config.trials}" if config.policy.counts_trials(config) else ""
    line = (
        f"trials     {len(rows)}{of}: {count['complete']} complete, "
        f"{count['infeasible']} infeasible, {count['failed']} failed"
    )
    if not of:
        line += f"\nepochs     {sum(row.charged for row in rows):.0f} of {config.budget:.0f}"
    found = front["hypervolume"]
    volumes = [f"{kind} " + ("not measured" if value is None else f"{value:.4f}") for kind, value in found.items()]
    measured = any(value is not None for value in found.values())
    return line + (f"\nhypervolume {', '.join(volumes)}" if measured else "")


def format_value(objective: AbstractObjective, value: float) -> str:
    """Accuracy in percent, counts with k and M, everything else with four digits."""
    if objective.metric == "accuracy":
        return f"{100.0 * value:.1f} %"
    return format_count(value) if objective.unit else f"{value:.4g}"


def _origin(point: Mapping[str, Any]) -> list[str]:
    """Where a network comes from that was not trained from scratch: its first ancestor, and what a sweep did to it."""
    says = [f"from {point['lineage'][0]}"] if point.get("lineage") else []
    sweep = point.get("sweep")
    if sweep:
        says.append(f"stopped at {sweep['stop_step']}")
        says += [f"pruned {100 * sweep['prune']:g} %"] if sweep["prune"] else []
    return says


def _telling(points: Sequence[Mapping[str, Any]], at_most: int = 6) -> list[str]:
    """Parameters that differ between the points; choices and sizes before real numbers, and no more than fit a terminal."""
    drawn = [_merged(point["params"]) for point in points]
    names = dict.fromkeys(name for params in drawn for name in params)
    differ = [name for name in names if len(points) == 1 or len({params.get(name) for params in drawn}) > 1]
    real = {name for name in differ if any(isinstance(point["params"].get(name), float) for point in points)}
    chosen = sorted(differ, key=lambda name: name in real)[:at_most]
    return [name for name in differ if name in chosen]


def _merged(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as text: elements of a list in one (``hidden_sizes`` 99-36), without those that only steer others."""
    merged: dict[str, str] = {}
    for name, value in params.items():
        parent, _, last = name.rpartition(".")
        if parent and last.isdigit():
            merged[parent] = "-".join(filter(None, (merged.get(parent), _text(value))))
        elif parent:
            merged[name] = _text(value)
    return merged or {name: _text(value) for name, value in params.items()}


def _short(name: str) -> str:
    """``model.hidden_sizes.0`` -> ``hidden_sizes.0``; ``model.regularizers.upper_bound.bound`` -> ``upper_bound.bound``."""
    parts = name.split(".")
    return ".".join(parts[-2:]) if len(parts) > 2 else parts[-1]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
