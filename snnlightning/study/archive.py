"""Archive: everything a study has tried, apart from what any sampler is told of it.

An entry is a trial: where its parameters came from, the job it is at, and one result for every job that ended. It lives in
Optuna's storage as a trial of the study (so dashboards see it), with the whole record as JSON in one attribute: every step
is one write, and a kill leaves the step before it or the step itself. What samplers see is built from it in memory, by
:mod:`snnlightning.study.search_study`; so a policy decides who hears of what, and no trial is ever told as pruned.
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from ..errors import StudyError
from .jobs import Job, Result

if TYPE_CHECKING:
    import optuna

    from .config import StudyConfig

__all__ = ["Archive", "Entry"]

FORMAT = 2
"""Of the records; a directory with another one is refused."""
EntryState = Literal["open", "paused", "complete", "infeasible", "failed"]
Kind = Literal["trained", "inherited"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One trial.

    Args:
        number: of the trial, from 0.
        kind: ``trained`` from scratch, or ``inherited`` from a parent.
        seed: of its training.
        drawn: values of the space; those of the first ancestor for a child.
        job: the one that it is at, or the last one it had.
        results: of its jobs that ended, first to last.
        state: ``open``: its job is not done; ``paused``: it waits for a policy to go on; else it is finished.
        sampler: what the sampler keeps in its study about this draw (generations of NSGA-II).
    """

    number: int
    kind: Kind
    seed: int
    drawn: dict[str, Any]
    job: Job
    results: tuple[Result, ...] = ()
    state: EntryState = "open"
    sampler: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def parent(self) -> int | None:
        """The trial whose weights it started from."""
        return self.job.parent

    @property
    def finished(self) -> bool:
        """Whether nothing more is done with it."""
        return self.state not in ("open", "paused")

    @property
    def last(self) -> Result | None:
        """Of its last job that ended."""
        return self.results[-1] if self.results else None

    @property
    def charged(self) -> float:
        """Epochs it has cost of the budget."""
        return sum(result.charged for result in self.results)

    def as_json(self) -> str:
        """The whole record."""
        raw = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        results = [result.as_dict() for result in self.results]
        return json.dumps({**raw, "format": FORMAT, "job": self.job.as_dict(), "results": results}, allow_nan=False)

    @classmethod
    def of(cls, text: str) -> "Entry":
        """From :meth:`as_json`.

        Raises:
            StudyError: a record of another version.
        """
        raw = json.loads(text)
        if (found := raw.pop("format", None)) != FORMAT:
            raise StudyError(
                f"the study was made by another version of snnlightning (its records have format {found}, not {FORMAT}); "
                "finish it with that version, or start anew in another --dir."
            )
        results = tuple(Result.of(result) for result in raw["results"])
        return cls(**{**raw, "job": Job.of(raw["job"]), "results": results})


class Archive:
    """The entries of a study, in memory and in the storage.

    Args:
        config: of the study.
        study: Optuna's, as a table of trials only; it never samples.

    Raises:
        StudyError: entries of another version.
    """

    def __init__(self, config: "StudyConfig", study: "optuna.Study") -> None:
        self.config = config
        self._study = study
        self._storage = study._storage
        self._ids: dict[int, int] = {}
        self._entries: dict[int, Entry] = {}
        self._first: dict[str, int] = {}
        for trial in study.get_trials(deepcopy=False):
            entry = _read(trial)
            self._ids[entry.number], self._entries[entry.number] = trial._trial_id, entry
            self._remember(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __getitem__(self, number: int) -> Entry:
        return self._entries[number]

    @property
    def open(self) -> list[Entry]:
        """Entries whose job is not done, in the order of the decisions."""
        return sorted((entry for entry in self if entry.state == "open"), key=lambda entry: entry.job.order)

    @property
    def next_order(self) -> int:
        """Place of the next decision."""
        return 1 + max((entry.job.order for entry in self), default=-1)

    def replicate_of(self, entry: Entry) -> int | None:
        """The first trial that was trained from scratch with the same parameters, when this is another one (of another
        seed)."""
        first = self._first.get(_key(entry))
        return None if entry.kind != "trained" or first == entry.number else first

    def lineage(self, entry: Entry) -> tuple[int, ...]:
        """The trials whose weights an entry has inherited, first to last."""
        line: list[int] = []
        while entry.parent is not None:
            line.append(entry.parent)
            entry = self[entry.parent]
        return tuple(reversed(line))

    @property
    def charged(self) -> float:
        """Epochs that were spent, of all entries."""
        return sum(entry.charged for entry in self)

    def add(self, entry: Entry) -> None:
        """A new trial, open.

        Raises:
            StudyError: somebody else writes to the storage.
        """
        import optuna

        space = self.config.space
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=space.stored(entry.drawn),
            distributions=space.distributions(entry.drawn),
            user_attrs={"entry": entry.as_json()},
        )
        identity = self._storage.create_new_trial(self._study._study_id, template_trial=trial)
        number = self._storage.get_trial_number_from_id(identity)
        if number != entry.number:
            raise StudyError(
                f"the storage handed out trial {number} where {entry.number} was due; is something else writing to it?"
            )
        self._ids[number], self._entries[number] = identity, entry
        self._remember(entry)

    def update(self, entry: Entry) -> None:
        """The next step of a trial: another job, a result, its end."""
        import optuna

        identity = self._ids[entry.number]
        self._storage.set_trial_user_attr(identity, "entry", entry.as_json())
        if entry.finished:
            last = entry.last
            values = None if last is None or last.failed else list(last.values.values())
            if values is not None and last is not None:
                trial = optuna.trial.Trial(self._study, identity)
                if "feasible" not in trial.constraints:
                    trial.set_constraint("feasible", max([0.0, *last.violations.values()]))
            state = optuna.trial.TrialState.FAIL if values is None else optuna.trial.TrialState.COMPLETE
            self._storage.set_trial_state_values(identity, state, values)
        self._entries[entry.number] = entry

    def take_up(self) -> None:
        """Mark what nobody ran any more as running again."""
        self._mark("WAITING", "RUNNING")

    def release(self) -> None:
        """Mark what is open as waiting for the next run."""
        self._mark("RUNNING", "WAITING")

    def _remember(self, entry: Entry) -> None:
        if entry.kind == "trained":
            self._first.setdefault(_key(entry), entry.number)

    def _mark(self, old: str, new: str) -> None:
        import optuna

        for trial in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState[old],)):
            self._storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState[new])


def _key(entry: Entry) -> str:
    return json.dumps(entry.drawn, sort_keys=True)


def _read(trial: "optuna.trial.FrozenTrial") -> Entry:
    """An entry; one that was killed between its record and its state does its last job again (or reads what it left)."""
    if "entry" not in trial.user_attrs:
        raise StudyError(
            "the study was made by another version of snnlightning (its trials have no records); "
            "finish it with that version, or start anew in another --dir."
        )
    entry = Entry.of(trial.user_attrs["entry"])
    if not trial.state.is_finished() and entry.state != "paused":
        results = tuple(result for result in entry.results if result.order < entry.job.order)
        return dataclasses.replace(entry, state="open", results=results)
    return entry
