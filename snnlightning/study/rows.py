"""TrialRow: a finished trial as it stands in trials.csv, and its way out of the archive."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from .archive import Archive, Entry
from .jobs import SweptPoint
from .objectives import AbstractObjective
from .space import Space

__all__ = ["TrialRow", "explain", "judge", "row_of", "rows_of"]

RowState = Literal["complete", "infeasible", "failed"]


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """One finished trial.

    ``values`` are the objectives on the validation set, empty when it failed; ``reason`` says why it failed or which bound it
    misses; ``params`` are the values of the space's parameters, without those that do not exist in this trial (what edits
    made of them, when ``kind`` is ``inherited``); ``charged`` is what it cost of the budget, in epochs; ``swept`` are the
    networks that are this one stopped or pruned; ``lineage`` are the trials whose weights it got, first to last; ``replicate_of`` is the first trial
    with the same parameters: this one is another seed of it.
    """

    number: int
    state: RowState
    reason: str
    seconds: float
    epochs: int
    seed: int
    kind: str
    parent: int | None
    charged: float
    values: dict[str, float]
    params: dict[str, Any]
    swept: tuple[SweptPoint, ...] = ()
    lineage: tuple[int, ...] = ()
    replicate_of: int | None = None

    @property
    def origin(self) -> int:
        """The first trial of these parameters: itself, unless it is a replicate."""
        return self.number if self.replicate_of is None else self.replicate_of

    def as_dict(self) -> dict[str, Any]:
        """Flat, as a row of a table."""
        return {
            "number": self.number,
            "state": self.state,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "epochs": self.epochs,
            "seed": self.seed,
            "kind": self.kind,
            "parent": self.parent,
            "charged": round(self.charged, 3),
            "replicate_of": self.replicate_of,
            **self.values,
            **self.params,
        }


def judge(
    metrics: Mapping[str, float], objectives: Mapping[str, AbstractObjective], chance: float, margin: float
) -> tuple[dict[str, float], dict[str, float]]:
    """The objectives' values of an evaluated network, and by how much it misses each bound (positive: infeasible).

    A network whose accuracy is not ``margin`` above ``chance``, or that never spikes, is infeasible whatever else it reaches:
    a silent network spends nothing, and would be on every front.
    """
    values = {name: objective.value(metrics, "val") for name, objective in objectives.items()}
    violations = {
        f"{name}.{bound}": missed
        for name, objective in objectives.items()
        for bound, missed in objective.violations(values[name], metrics).items()
    }
    if "val_accuracy" in metrics:
        violations["accuracy.above_chance"] = chance + margin - metrics["val_accuracy"]
    if "val_spikes" in metrics:
        violations["silent"] = 1.0 if metrics["val_spikes"] <= 0.0 else -1.0
    return values, violations


def explain(violations: Mapping[str, float], misfits: Mapping[str, Sequence[str]]) -> str:
    """Which bounds are missed, in words; empty when none is.

    Args:
        violations: what :func:`judge` found.
        misfits: limits of chips that the network does not keep, by profile.
    """
    reasons = []
    for name, value in violations.items():
        if value > 0.0:
            profile = name.partition("@")[2].removesuffix(".fits")
            limits = "; ".join(misfits.get(profile, ())) if name.endswith(".fits") else ""
            if name == "silent":
                reasons.append("no neuron ever spikes")
                continue
            reasons.append(f"does not fit {profile}: {limits}" if limits else f"{name} missed by {value:.4g}")
    return ", ".join(dict.fromkeys(reasons))


def rows_of(archive: Archive) -> list[TrialRow]:
    """All finished trials, by number."""
    return [row_of(entry, archive) for entry in archive if entry.finished]


def row_of(entry: Entry, archive: Archive) -> TrialRow:
    """A row from a finished trial of the archive."""
    last = entry.last
    assert last is not None
    assert entry.finished
    return TrialRow(
        number=entry.number,
        state=cast(RowState, entry.state),
        reason=last.reason,
        seconds=sum(result.seconds for result in entry.results),
        epochs=last.epochs,
        seed=entry.seed,
        kind=entry.kind,
        parent=entry.parent,
        charged=entry.charged,
        values=last.values,
        params=entry.drawn if entry.kind == "trained" else Space.read(entry.job.config, entry.drawn),
        swept=last.swept,
        lineage=archive.lineage(entry),
        replicate_of=archive.replicate_of(entry),
    )
