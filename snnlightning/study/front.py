"""The front of a study: which trials nobody beats, what they reach on the test set, and the files that say so."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..pareto import hypervolume, non_dominated
from .files import CHECKPOINT, read_json, trial_directory, write_csv, write_json
from .jobs import SweptPoint
from .objectives import AbstractObjective
from .rows import TrialRow

if TYPE_CHECKING:
    from .config import StudyConfig

__all__ = [
    "Front",
    "FrontPoint",
    "front_points",
    "hypervolume_of",
    "make_front",
    "points_of",
    "sweep_of",
    "write_front",
]

Front = dict[str, Any]
"""What ``front.json`` holds; see the design: study, directions, scales, reference_point, hypervolume, points."""


@dataclasses.dataclass(frozen=True)
class FrontPoint:
    """A network that no other one beats: a trial's own, or one that a sweep made of it.

    ``kind`` is ``trained`` (from scratch), ``inherited`` (from the weights of another trial) or ``swept`` (a trial's network,
    stopped or pruned and not trained again).
    """

    row: TrialRow
    values: dict[str, float]
    swept: SweptPoint | None = None

    @property
    def kind(self) -> str:
        return self.row.kind if self.swept is None else "swept"

    def folder(self, directory: Path) -> Path:
        """Where its checkpoint and what was measured of it are; of a swept one, from the end of the study on."""
        folder = trial_directory(directory, self.row.number)
        return folder if self.swept is None else folder / "swept" / self.swept.label


def points_of(row: TrialRow) -> list[FrontPoint]:
    """The feasible networks of a trial: its own, and those of its sweep."""
    own = [FrontPoint(row, row.values)] if row.state == "complete" else []
    return own + [FrontPoint(row, point.values, point) for point in row.swept]


def front_points(rows: Sequence[TrialRow], objectives: Mapping[str, AbstractObjective]) -> list[FrontPoint]:
    """The feasible networks that no feasible network dominates, best in the first objective first.

    Of networks with equal values the oldest stays, and a trial's own before those of its sweep.
    """
    candidates = [point for row in rows for point in points_of(row)]
    if not candidates:
        return []
    costs = [tuple(_costs(point.values, objectives)) for point in candidates]
    chosen: dict[tuple[float, ...], FrontPoint] = {}
    for cost, point, keep in zip(costs, candidates, non_dominated(costs), strict=True):
        if keep and (cost not in chosen or point.row.number < chosen[cost].row.number):
            chosen[cost] = point
    return [chosen[cost] for cost in sorted(chosen)]


def sweep_of(point: FrontPoint) -> dict[str, float] | None:
    """Where a swept network was stopped and how much of it pruned."""
    return None if point.swept is None else {"stop_step": point.swept.stop_step, "prune": point.swept.prune}


def make_front(config: "StudyConfig", directory: Path, rows: Sequence[TrialRow]) -> Front:
    """The front with what is known of its points on the test set (``test.json``, written at the study's end).

    ``sweep`` says where a swept network was stopped and pruned; ``lineage`` whose weights a network has inherited, first to
    last; ``replicates`` are the other trials of the same parameters, with other seeds; ``epochs`` how many it has had, with those of its ancestors.
    """
    points: list[dict[str, Any]] = []
    by_number = {row.number: row for row in rows}
    for point in front_points(rows, config.objectives):
        row, folder = point.row, point.folder(directory)
        test_file, checkpoint = folder / "test.json", folder / CHECKPOINT
        points.append(
            {
                "number": row.number,
                "values": point.values,
                "test": read_json(test_file) if test_file.exists() else None,
                "params": row.params,
                "checkpoint": str(checkpoint.relative_to(directory)) if checkpoint.exists() else None,
                "kind": point.kind,
                "sweep": sweep_of(point),
                "replicates": [
                    {"number": other.number, "values": other.values}
                    for other in rows
                    if other is not row and other.values and other.origin == row.origin
                ],
                "lineage": list(row.lineage),
                "epochs": sum(by_number[number].epochs for number in (*row.lineage, row.number)),
            }
        )
    return {
        "study": config.name,
        "directions": {name: objective.direction for name, objective in config.objectives.items()},
        "scales": {name: objective.scale for name, objective in config.objectives.items()},
        "reference_point": {name: objective.reference for name, objective in config.objectives.items()},
        "hypervolume": {
            "validation": hypervolume_of([point["values"] for point in points], config.objectives),
            "test": hypervolume_of([point["test"] for point in points], config.objectives) if points else None,
        },
        "points": points,
    }


_SWEEP = ("sweep_stop_step", "sweep_prune")


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
            **{f"sweep_{name}": value for name, value in (point["sweep"] or {}).items()},
            "epochs": point["epochs"],
            "checkpoint": point["checkpoint"],
            **point["params"],
        }
        for point in front["points"]
    ]
    columns = [
        "number",
        *names,
        *(f"test_{name}" for name in names),
        "kind",
        *_SWEEP,
        "epochs",
        "checkpoint",
        *parameters,
    ]
    write_csv(directory / "front.csv", columns, rows)


def _costs(values: Mapping[str, float], objectives: Mapping[str, AbstractObjective]) -> list[float]:
    return [objective.cost(values[name]) for name, objective in objectives.items()]


def hypervolume_of(
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
