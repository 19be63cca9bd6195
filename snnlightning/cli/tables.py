"""What the terminal shows of a study: the front, the failures, a line of progress."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from ..study import StudyConfig
from ..study.objectives import AbstractObjective
from ..study.rows import TrialRow
from ..units import format_count

__all__ = ["failures_table", "format_value", "front_table", "progress_line"]


def front_table(config: StudyConfig, front: Mapping[str, Any]) -> Table:
    """The points of the front: values on the validation and on the test set, and the parameters that tell them apart."""
    points = front["points"]
    table = Table(title=f"Pareto front of {escape(config.name)}", title_justify="left", header_style="bold")
    table.add_column("trial", justify="right", no_wrap=True)
    for name in config.objectives:
        quantity, _, chip = name.partition("@")
        table.add_column(f"{quantity}{chip and chr(10)}{chip}\nval", justify="right", overflow="fold")
        table.add_column(f"{chip and chr(10)}\ntest", justify="right", no_wrap=True)
    table.add_column("network", overflow="fold")
    telling = _telling(points)
    for point in points:
        cells = [str(point["number"])]
        for name, objective in config.objectives.items():
            cells.append(format_value(objective, point["values"][name]))
            cells.append(format_value(objective, point["test"][name]) if point["test"] else "-")
        drawn = _merged(point["params"])
        says = [f"{_short(name)} {drawn[name]}" for name in telling if name in drawn]
        cells.append(escape(", ".join([*_origin(point), *says])))
        table.add_row(*cells)
    if not points:
        table.caption = "no trial is feasible"
    return table


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
    """How many trials of each kind there are, and the front's hypervolume."""
    count = {state: sum(row.state == state for row in rows) for state in ("complete", "infeasible", "failed")}
    of = f" of {config.trials}" if config.policy.counts_trials(config) else ""
    line = (
        f"trials     {len(rows)}{of}: {count['complete']} complete, "
        f"{count['infeasible']} infeasible, {count['failed']} failed"
    )
    if not of:
        line += f"\nepochs     {sum(row.charged for row in rows):.0f} of {config.budget:.0f}"
    volumes = [f"{kind} {value:.4f}" for kind, value in front["hypervolume"].items() if value is not None]
    return line + (f"\nhypervolume {', '.join(volumes)}" if volumes else "")


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
