"""Runner: the loop of a study. A policy decides, a pool works, and this file keeps the order.

Decision n is made when the results of all jobs up to n - in_flight are known and none later; results are looked at in the
order of the decisions, whatever order they came in. So the search depends on the configuration alone, not on how many
workers there are or which was faster.

After a kill, jobs that were open wait in the storage, and run again as they were (or their results are read from the
trial's ``result.json``, when they had finished and were only waiting for their turn).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import ConfigurationError, StudyError
from ..pareto import non_dominated
from .archive import Archive, Entry
from .config import StudyConfig
from .desk import Desk
from .files import CHECKPOINT, STATE, read_json, read_yaml, trial_directory, write_csv
from .front import Front, make_front, write_front
from .interrupts import Interrupts
from .jobs import Job, Result, SweptPoint
from .pool import AbstractPool
from .room import with_room
from .rows import TrialRow, explain, judge, row_of, rows_of

__all__ = ["Runner", "StudyObserver", "write_trials"]


class StudyObserver(Protocol):
    """Who wants to know how a study goes: a progress display, a tracker. Rows are plain dictionaries, as in trials.csv."""

    def started(self, config: Mapping[str, Any], directory: Path, rows: Sequence[Mapping[str, Any]]) -> None: ...
    def asked(self, number: int, params: Mapping[str, Any]) -> None: ...
    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None: ...
    def finished(self, row: Mapping[str, Any], front: Sequence[Mapping[str, Any]]) -> None: ...
    def testing(self, done: int, total: int) -> None: ...
    def note(self, text: str) -> None: ...
    def ended(self, front: Front) -> None: ...


class Runner:
    """One run of a study's search.

    Args:
        config: of the study.
        directory: of the study.
        archive: what was tried so far.
        chance: accuracy of guessing; -1 when nobody knows.
        observers: told of everything that happens.
    """

    def __init__(
        self,
        config: StudyConfig,
        directory: Path,
        archive: Archive,
        chance: float,
        observers: Sequence[StudyObserver],
    ) -> None:
        self.config, self.directory, self.archive = config, directory, archive
        self.chance, self.observers = chance, observers
        self.policy, self.desk = config.policy, Desk(config, archive)
        self._came: dict[int, dict[str, Any]] = {}

    @property
    def rows(self) -> list[TrialRow]:
        """All finished trials."""
        return rows_of(self.archive)

    def search(self, pool: AbstractPool, interrupts: Interrupts) -> None:
        """Run jobs until the policy has no more."""
        self.archive.take_up()
        for entry in self.archive.open:
            self._submit(entry, pool)
        while True:
            while len(self.archive.open) < self.config.in_flight:
                interrupts.check()
                new = self.policy.next(self.desk)
                if new is None:
                    break
                if new.number == len(self.archive):
                    self.archive.add(new)
                else:
                    self.archive.update(new)
                self._submit(new, pool)
            if not self.archive.open:
                return
            first = self.archive.open[0]
            if first.job.order in self._came:
                self._settle(first, self._came.pop(first.job.order))
                continue
            message = pool.next_message(interrupts)
            interrupts.check()
            if message is not None:
                self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        """Hand on what a worker says; outcomes wait for their turn."""
        match message["type"]:
            case "epoch":
                for observer in self.observers:
                    observer.epoch(message["number"], message["epoch"], message["metrics"])
            case "note":
                self._note(message["text"])
            case "finished" | "failed":
                self._came[message["order"]] = message
            case kind:
                raise AssertionError(f"no message is a {kind!r}")

    def _note(self, text: str) -> None:
        for observer in self.observers:
            observer.note(text)

    def _submit(self, entry: Entry, pool: AbstractPool) -> None:
        job = entry.job
        for observer in self.observers:
            observer.asked(entry.number, entry.drawn)
        earlier = self._earlier_result(job)
        if earlier is not None:
            self._came[job.order] = {"type": "finished", **earlier}
        else:
            pool.submit({**job.as_dict(), "ranking": self.config.ranking, "profiles": list(self.config.profiles)})

    def _earlier_result(self, job: Job) -> dict[str, Any] | None:
        """What this very job reached before the study was killed, when it had finished and was waiting for its turn."""
        folder = trial_directory(self.directory, job.number)
        try:
            if read_yaml(folder / "config.yaml") != job.config or not (folder / CHECKPOINT).exists():
                return None
            result: dict[str, Any] = read_json(folder / "result.json")
            if result.get("order", job.order) != job.order:
                return None
            # JSON has no NaN; null was one.
            metrics = {name: math.nan if value is None else float(value) for name, value in result["metrics"].items()}
            return {**result, "metrics": metrics}
        except (StudyError, KeyError, TypeError, ValueError, AttributeError):
            return None  # missing or torn: it is trained again

    def _settle(self, entry: Entry, message: Mapping[str, Any]) -> None:
        """Put a job's outcome into the archive, and tell everybody."""
        result = self._result(entry, message)
        known = dataclasses.replace(entry, results=(*entry.results, result))
        if result.failed:
            known = dataclasses.replace(known, state="failed")
        elif self.policy.pauses(self.desk, known):
            known = dataclasses.replace(known, state="paused")
        else:
            known = dataclasses.replace(known, state="complete" if result.feasible else "infeasible")
        self.archive.update(known)
        if not known.finished:
            return
        rows = self.rows
        front = make_front(self.config, self.directory, rows)

        def write() -> None:
            write_trials(self.directory, self.config, rows)
            write_front(self.directory, front)

        with_room(write, self.directory, self._note)
        self._tidy(self.config.policy.parents(rows, self.config.objectives))
        row = row_of(known, self.archive)
        for observer in self.observers:
            observer.finished(row.as_dict(), front["points"])

    def _tidy(self, parents: set[int]) -> None:
        """Remove the states of trainings that nothing will go on from: they would fill the disk."""
        needed = parents | {entry.parent for entry in self.archive.open}
        for entry in self.archive:
            if entry.finished and entry.job.keep_state and entry.number not in needed:
                (trial_directory(self.directory, entry.number) / STATE).unlink(missing_ok=True)

    def _result(self, entry: Entry, message: Mapping[str, Any]) -> Result:
        order = entry.job.order
        before = entry.last.epochs if entry.last is not None else 0
        if message["type"] != "finished":
            # Nobody knows how far it came; it is charged in full, so that a study of failures ends.
            return Result(order=order, charged=float(entry.job.until_epoch - before), reason=str(message["reason"]))
        epochs = int(message["epochs"])
        result = Result(
            order=order,
            epochs=epochs,
            best_epoch=int(message["best_epoch"]),
            seconds=float(message["seconds"]),
            charged=float(epochs - before) + float(message.get("sweep_epochs", 0.0)),
            steps=int(message.get("steps", 0)),
        )
        try:
            values, violations = judge(
                message["metrics"], self.config.objectives, self.chance, self.config.chance_margin
            )
        except ConfigurationError as error:
            return dataclasses.replace(result, reason=str(error))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            return dataclasses.replace(result, reason=", ".join(f"{name} is {values[name]}" for name in bad))
        reason = explain(violations, message.get("misfits", {}))
        return dataclasses.replace(
            result, values=values, violations=violations, reason=reason, swept=self._swept(message, values, not reason)
        )

    def _swept(self, message: Mapping[str, Any], own: Mapping[str, float], feasible: bool) -> tuple[SweptPoint, ...]:
        """The feasible points of a sweep that beat all others of this trial."""
        points = []
        for found in message.get("swept", []):
            metrics = {name: math.nan if value is None else value for name, value in found["metrics"].items()}
            values, violations = judge(metrics, self.config.objectives, self.chance, self.config.chance_margin)
            if all(map(math.isfinite, values.values())) and not explain(violations, {}):
                points.append(SweptPoint(stop_step=int(found["stop_step"]), prune=float(found["prune"]), values=values))
        rivals = [point.values for point in points] + ([own] if feasible else [])
        kept = non_dominated([self.config.costs(values) for values in rivals])
        return tuple(point for point, keep in zip(points, kept, strict=False) if keep)


def write_trials(directory: Path, config: StudyConfig, rows: Sequence[TrialRow]) -> None:
    """``trials.csv``: a row per finished trial, a column per objective and per parameter of the space."""
    columns = [
        *(
            field.name
            for field in dataclasses.fields(TrialRow)
            if field.name not in ("values", "params", "swept", "lineage")
        ),
        *config.objectives,
        *(parameter.name for parameter in config.space.parameters),
    ]
    write_csv(directory / "trials.csv", columns, [row.as_dict() for row in rows])
