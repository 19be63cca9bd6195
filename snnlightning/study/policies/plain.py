"""Plain: one full training for every point that the sampler draws, as Optuna alone would do it."""

import dataclasses
from typing import TYPE_CHECKING

from ..archive import Entry
from ..desk import Desk
from ..search_study import Record
from ..sweep import Sweep
from .abstract import AbstractPolicy

if TYPE_CHECKING:
    from ..config import StudyConfig

__all__ = ["Plain"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plain(AbstractPolicy):
    """One full training for every point that the sampler draws; the sampler is told all of them. The baseline.

    Without ``budget_epochs`` it makes exactly ``trials`` trials, whatever the space draws for their ``max_epochs``.

    Args:
        sweep: after every training; none as it is by default, ``true`` for one.
    """

    sweep: Sweep | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweep", Sweep.of(self.sweep))

    def counts_trials(self, config: "StudyConfig") -> bool:
        return config.budget_epochs is None

    def least(self, max_epochs: int) -> int:
        return max_epochs

    def next(self, desk: Desk) -> Entry | None:
        counted = self.counts_trials(desk.config)
        if counted and len(desk.archive) >= desk.config.trials:
            return None
        if not counted and self.committed(desk) + desk.config.max_epochs > desk.config.budget:
            return None  # before the sampler is asked: some take seconds
        records = [Record(e.number, e.drawn, e.last if e.finished else None, e.sampler) for e in desk.archive]
        number, seed, drawn, notes = self.draw(desk, "all", records)
        job = self.job(desk, number, seed, drawn, sweep=Sweep.arguments(self.sweep))
        return Entry(number=number, kind="trained", seed=seed, drawn=drawn, job=job, sampler=notes)
