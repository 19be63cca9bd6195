"""SearchStudy: what a sampler sees. An Optuna study in memory, made from records that a policy chooses.

It is apart from the archive for three reasons that cost plain Optuna studies much: a trial that was stopped early is
told with the vector it had then, in a study of others that had as many epochs, and never as pruned (pruned trials fill the
good set of TPE when complete ones run short); a child of another network is not told at all (its values are not those of
its parameters); and a draw costs no write.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .jobs import Result
from .samplers import make_sampler

if TYPE_CHECKING:
    import optuna

    from .config import StudyConfig

__all__ = ["Draw", "Record", "SearchStudy"]


@dataclasses.dataclass(frozen=True)
class Record:
    """A trial as a sampler sees it; ``result`` is None while it is not known."""

    number: int
    drawn: Mapping[str, Any]
    result: Result | None
    sampler: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Draw:
    """New parameters, and what the sampler noted down about them."""

    drawn: dict[str, Any]
    sampler: dict[str, Any]


class SearchStudy:
    """A study that follows a list of records.

    Attributes:
        seconds: spent in drawing, since it was made.
    """

    def __init__(self, config: "StudyConfig") -> None:
        self.config = config
        self.seconds = 0.0
        self._study: optuna.Study | None = None
        self._known: list[Record] = []

    def ask(self, records: Sequence[Record], seed: int, start: Mapping[str, Any] | None = None) -> Draw:
        """Parameters of a new trial; the same for the same records and seed.

        Args:
            records: all trials that the sampler may know of, oldest first.
            seed: of the sampler, which is made anew.
            start: values that are given; the others are drawn.
        """
        began = time.process_time()
        study = self._follow(records)
        sampler = self.config.sampler
        study.sampler = make_sampler(sampler["name"], sampler["startup_trials"], seed)
        if start is not None:
            study.enqueue_trial(self.config.space.stored(start))
        trial = study.ask()
        drawn = self.config.space.draw(trial)
        notes = {"trial": dict(trial._get_latest_trial().system_attrs), "study": dict(_attributes(study))}
        notes["trial"].pop("fixed_params", None)
        draw = Draw(drawn, {key: value for key, value in notes.items() if value})
        self._known.append(Record(-1, drawn, None, draw.sampler))
        self.seconds += time.process_time() - began
        return draw

    def _follow(self, records: Sequence[Record]) -> "optuna.Study":
        """The study with exactly these records; what is there already is kept when it is the beginning of them."""
        if self._study is None or not _continues(self._known, records):
            self._study, self._known = self._empty(), []
            for record in records[-1:]:
                for key, value in record.sampler.get("study", {}).items():
                    self._study._storage.set_study_system_attr(self._study._study_id, key, value)
        for k, record in enumerate(records):
            if k >= len(self._known):
                self._study.add_trial(self._frozen(record))
            elif self._known[k].result is None and record.result is not None:
                self._tell(self._study, k, record.result)
        self._known = list(records)
        return self._study

    def _empty(self) -> "optuna.Study":
        import optuna

        directions = [item.direction or item.natural_direction for item in self.config.objectives.values()]
        return optuna.create_study(directions=directions, storage=optuna.storages.InMemoryStorage())

    def _frozen(self, record: Record) -> "optuna.trial.FrozenTrial":
        import optuna

        space, result, state = self.config.space, record.result, optuna.trial.TrialState
        return optuna.trial.create_trial(
            state=state.RUNNING if result is None else state.FAIL if result.failed else state.COMPLETE,
            values=None if result is None or result.failed else list(result.values.values()),
            params=space.stored(record.drawn),
            distributions=space.distributions(record.drawn),
            system_attrs=dict(record.sampler.get("trial", {})),
            constraints=None if result is None or result.failed else dict(result.violations),
        )

    def _tell(self, study: "optuna.Study", k: int, result: Result) -> None:
        import optuna

        if result.failed:
            study.tell(k, state=optuna.trial.TrialState.FAIL)
            return
        trial = optuna.trial.Trial(study, study.get_trials(deepcopy=False)[k]._trial_id)
        for name, missed in result.violations.items():
            trial.set_constraint(name, missed)
        study.tell(k, list(result.values.values()))


def _attributes(study: "optuna.Study") -> dict[str, Any]:
    return study._storage.get_study_system_attrs(study._study_id)


def _continues(known: Sequence[Record], records: Sequence[Record]) -> bool:
    """Whether the known records, some of which may have got their results, are the beginning of ``records``."""
    return len(known) <= len(records) and all(
        old.drawn == new.drawn and (old.result is None or old.result is new.result or old.result == new.result)
        for old, new in zip(known, records, strict=False)
    )
