"""What every policy is: a rule that turns what is known into the next job.

A policy holds its parameters and nothing else. Everything it knows is in the archive, so a study that was killed decides
what it would have decided; and the archive that it is shown holds the results of all jobs up to a fixed distance behind,
so it decides the same whatever the number of workers.

The budget is counted in epochs: those that were trained, whatever became of the trial, and what sweeps are worth. A job is
begun when it fits into what is left beside the jobs that run and the trainings that are to go on.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..archive import Entry
from ..desk import Desk
from ..jobs import Job
from ..objectives import AbstractObjective
from ..rows import TrialRow
from ..samplers import seed_of
from ..search_study import Record
from ..space import Space

if TYPE_CHECKING:
    from ..config import StudyConfig

__all__ = ["AbstractPolicy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractPolicy(abc.ABC):
    """Decides; see the module's docstring."""

    @abc.abstractmethod
    def next(self, desk: Desk) -> Entry | None:
        """The trial that gets the next job, open and with that job: a new one, or a paused one that goes on.

        None: nothing before more is known; when nothing is open either, the search is over.
        """

    @abc.abstractmethod
    def least(self, max_epochs: int) -> int:
        """Epochs of the first training: a smaller budget has room for none.

        Args:
            max_epochs: of a full training.
        """

    def pauses(self, desk: Desk, entry: Entry) -> bool:
        """Whether a trial that ended its job with a result (not a failure) may go on later; else it is finished."""
        return False

    def counts_trials(self, config: "StudyConfig") -> bool:
        """Whether the budget is a number of trials; else it is one of epochs."""
        return False

    def goes_on_until(self, entry: Entry) -> int:
        """The epoch up to which a paused trial would be trained next."""
        return whole(entry.job)

    def parents(self, rows: Sequence[TrialRow], objectives: Mapping[str, AbstractObjective]) -> set[int]:
        """Numbers of the finished trials that a training may start from later: their trainings' states are kept."""
        return set()

    def committed(self, desk: Desk, besides: int | None = None) -> float:
        """Epochs that are spent, run at the moment or are promised to paused trials.

        Args:
            besides: a trial that is left out.
        """
        total = 0.0
        for entry in desk.archive:
            if entry.number == besides:
                continue
            total += entry.charged
            had = entry.last.epochs if entry.last is not None else 0
            if entry.state == "open":
                total += entry.job.until_epoch - had
            elif entry.state == "paused":
                total += self.goes_on_until(entry) - had
        return total

    @staticmethod
    def draw(desk: Desk, view: str, records: list[Record]) -> tuple[int, int, dict[str, object], dict[str, object]]:
        """Draw the next new trial.

        Points of ``start`` come first.

        Returns:
            Its number, seed, drawn values, and the sampler's notes.
        """
        config, number = desk.config, len(desk.archive)
        drawn_before = sum(entry.kind == "trained" for entry in desk.archive)
        start = config.start[drawn_before] if drawn_before < len(config.start) else None
        draw = desk.view(view).ask(records, seed_of(config.seed, number, stream=1), start)
        return number, seed_of(config.seed, number), draw.drawn, draw.sampler

    @staticmethod
    def job(
        desk: Desk, number: int, seed: int, drawn: dict[str, object], until_epoch: int | None = None, **details: object
    ) -> Job:
        """A first training of drawn parameters; whole when no epoch is given.

        Args:
            desk: of the study.
            number: of the trial.
            seed: of the training.
            drawn: values of the space.
            until_epoch: where it stops, at most the trainer's ``max_epochs``.
            details: other fields of the job.
        """
        config = {"number": number, "seed": seed, **Space.apply(desk.config.base, drawn)}
        job = Job(
            order=desk.archive.next_order,
            number=number,
            action="train",
            config=config,
            until_epoch=0,
            **details,  # type: ignore[arg-type]
        )
        last = whole(job)
        return dataclasses.replace(job, until_epoch=last if until_epoch is None else min(until_epoch, last))


def whole(job: Job) -> int:
    """Epochs of a full training of this trial."""
    from ..config import LIGHTNINGS_DEFAULT

    return int(job.config["trainer"].get("max_epochs", LIGHTNINGS_DEFAULT))
