"""The front of a study: which trials nobody beats, what they reach on the test set, and the files that say so."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..pareto import hypervolume, non_dominated
from .config import StudyConfig
from .files import CHECKPOINT, read_json, trial_directory, write_csv, write_json
from .objectives import AbstractObjective
from .rows import TrialRow

__all__ = ["Front", "front_rows", "make_front", "write_front"]

Front = dict[str, Any]
"""What ``front.json`` holds; see the design: study, directions, scales, reference_point, hypervolume, points."""


def front_rows(rows: Sequence[TrialRow], objectives: Mapping[str, AbstractObjective]) -> list[TrialRow]:
    """The feasible trials that no feasible trial dominates, best in the first objective first."""
    feasible = [row for row in rows if row.state == "complete"]
    if not feasible:
        return []
    costs = [_costs(row.values, objectives) for row in feasible]
    on_front = non_dominated(costs)
    chosen = [(cost, row) for cost, row, keep in zip(costs, feasible, on_front, strict=True) if keep]
    return [row for _, row in sorted(chosen, key=lambda pair: (pair[0], pair[1].number))]


def make_front(config: StudyConfig, directory: Path, rows: Sequence[TrialRow]) -> Front:
    """The front with what is known of its points on the test set (``trials/<n>/test.json``, written at the study's end)."""
    points: list[dict[str, Any]] = []
    for row in front_rows(rows, config.objectives):
        test_file = trial_directory(directory, row.number) / "test.json"
        points.append(
            {
                "number": row.number,
                "values": row.values,
                "test": read_json(test_file) if test_file.exists() else None,
                "params": row.params,
                "checkpoint": f"trials/{row.number}/{CHECKPOINT}",
                "kind": "trained",
            }
        )
    return {
        "study": config.name,
        "directions": {name: objective.direction for name, objective in config.objectives.items()},
        "scales": {name: objective.scale for name, objective in config.objectives.items()},
        "reference_point": {name: objective.reference for name, objective in config.objectives.items()},
        "hypervolume": {
            "validation": _hypervolume([point["values"] for point in points], config.objectives),
            "test": _hypervolume([point["test"] for point in points], config.objectives) if points else None,
        },
        "points": points,
    }


def write_front(directory: Path, front: Front) -> None:
    """``front.json`` and its twin ``front.csv``."""
    write_json(directory / "front.json", front)
    names = list(front["directions"])
    parameters = list(dict.fromkeys(name for point in front["points"] for name in point["params"]))
    rows = [
        {
            "number": point["number"],
            **point["values"],
            **{f"test_{name}": value for name, value in (point["test"] or {}).items()},
            "kind": point["kind"],
            "checkpoint": point["checkpoint"],
            **point["params"],
        }
        for point in front["points"]
    ]
    columns = ["number", *names, *(f"test_{name}" for name in names), "kind", "checkpoint", *parameters]
    write_csv(directory / "front.csv", columns, rows)


def _costs(values: Mapping[str, float], objectives: Mapping[str, AbstractObjective]) -> list[float]:
    return [objective.cost(values[name]) for name, objective in objectives.items()]


def _hypervolume(
    points: Sequence[Mapping[str, float] | None], objectives: Mapping[str, AbstractObjective]
) -> float | None:
    """On the objectives' own axes (log10 where the scale says so); None without a full reference point, or with a gap."""
    corner = [
        None if objective.reference is None else objective.cost(objective.reference)
        for objective in objectives.values()
    ]
    if any(value is None for value in corner) or any(point is None for point in points):
        return None
    return hypervolume(
        [_costs(point, objectives) for point in points if point is not None],
        [value for value in corner if value is not None],
    )
