"""Plain: one full training for every point that the sampler draws, as Optuna alone would do it."""

import dataclasses

from ..archive import Entry
from ..desk import Desk
from ..search_study import Record
from .abstract import AbstractPolicy

__all__ = ["Plain"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plain(AbstractPolicy):
    """One full training for every point that the sampler draws; the sampler is told all of them. The baseline."""

    def next(self, desk: Desk) -> Entry | None:
        spent, budget = self.progress(desk)
        if spent + len(desk.archive.open) >= budget:
            return None
        records = [Record(e.number, e.drawn, e.last if e.finished else None, e.sampler) for e in desk.archive]
        number, seed, drawn, notes = self.fresh(desk, "all", records)
        job = self.job(desk, number, seed, drawn)
        return Entry(number=number, kind="trained", seed=seed, drawn=drawn, job=job, sampler=notes)

    def progress(self, desk: Desk) -> tuple[float, float]:
        return float(sum(entry.finished for entry in desk.archive)), float(desk.config.trials)
