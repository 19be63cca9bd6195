"""What every policy is: a rule that turns what is known into the next job.

A policy holds its parameters and nothing else. Everything it knows is in the archive, so a study that was killed decides
what it would have decided; and the archive that it is shown holds the results of all jobs up to a fixed distance behind,
so it decides the same whatever the number of workers.
"""

import abc
import dataclasses

from ..archive import Entry
from ..desk import Desk
from ..jobs import Job
from ..samplers import seed_of
from ..search_study import Record
from ..space import Space

__all__ = ["AbstractPolicy"]

LIGHTNINGS_DEFAULT = 1000
"""Epochs of a Trainer that was not told."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractPolicy(abc.ABC):
    """Decides; see the module's docstring."""

    @abc.abstractmethod
    def next(self, desk: Desk) -> Entry | None:
        """The trial that gets the next job, open and with that job: a new one, or a paused one that goes on.

        None: nothing before more is known; when nothing is open either, the search is over.
        """

    def pauses(self, desk: Desk, entry: Entry) -> bool:
        """Whether a trial that ended its job with a result (not a failure) may go on later; else it is finished."""
        return False

    @abc.abstractmethod
    def progress(self, desk: Desk) -> tuple[float, float]:
        """What was spent and what there is to spend, in the unit of the budget (trials or epochs)."""

    @staticmethod
    def fresh(desk: Desk, view: str, records: list[Record]) -> tuple[int, int, dict[str, object], dict[str, object]]:
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
    def job(desk: Desk, number: int, seed: int, drawn: dict[str, object], until_epoch: int | None = None) -> Job:
        """A first training of drawn parameters; whole when no epoch is given."""
        config = {"number": number, "seed": seed, **Space.apply(desk.config.base, drawn)}
        whole = int(config["trainer"].get("max_epochs", LIGHTNINGS_DEFAULT))
        return Job(
            order=desk.archive.next_order,
            number=number,
            action="train",
            config=config,
            until_epoch=whole if until_epoch is None else until_epoch,
        )
