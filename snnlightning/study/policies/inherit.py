"""Inherit: children of the front, fine-tuned for a few epochs; fresh networks from the sampler in between."""

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigurationError
from ..archive import Entry
from ..desk import Desk
from ..edits import Edit, draw_edits, edited
from ..front import FrontPoint, front_points
from ..jobs import Job
from ..objectives import AbstractObjective
from ..rows import TrialRow, rows_of
from ..samplers import seed_of
from ..search_study import Record
from ..sweep import Sweep
from .abstract import AbstractPolicy

__all__ = ["Inherit"]

_CHOICES = 2
"""Stream of random numbers for choices of this policy; 0 is that of trainings, 1 that of samplers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inherit(AbstractPolicy):
    """Lamarckian evolution of the front, with a sampler for new blood.

    start: fresh networks from the sampler, ``short_epochs`` each, until ``start`` of the budget is spent; then, with
    probability ``fresh``, another one; else a child: a parent is drawn, the child gets its weights and optimizer state,
    ``edits`` of {prune, narrow, stop earlier, regularize, learning rate}, and ``short_epochs`` of training.

    Parents are the front of what trainings reached by themselves, or, with probability ``swept``, that of everything. A point
    that a sweep found starts its child stopped and pruned as it is, with one edit less. Sweeps find many points where
    networks are small and none where they are accurate; were all parents drawn from the one front, the accurate end of it
    would hardly be trained on.

    The sampler is told of fresh networks only: the values of a child are not those of its parameters.

    Args:
        short_epochs: of every training; a quarter of ``max_epochs``, rounded up, when None.
        start: share of the budget that goes to fresh networks first, in (0, 1].
        fresh: share of fresh networks after that, in [0, 1].
        swept: share of children whose parents are drawn from the front with swept points, in [0, 1].
        edits: of each child, >= 1.
        sweep: after every training; ``false`` for none.

    Raises:
        ConfigurationError: out of range.

    Source: after T. Elsken, J. H. Metzen and F. Hutter 2019, LEMONADE, arXiv 1804.09081. Differs: parents are drawn
    uniformly from the fronts, edits only shrink or re-tune, and a sampler supplies the newcomers.
    """

    short_epochs: int | None = None
    start: float = 0.1
    fresh: float = 0.15
    swept: float = 0.5
    edits: int = 2
    sweep: Sweep | None = dataclasses.field(default_factory=Sweep)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweep", Sweep.of(self.sweep))
        for name in ("edits", "short_epochs"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(
                    f"policy inherit: {name} is {value!r}; a whole number of at least 1 is expected."
                )
        for name in ("start", "fresh", "swept"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"policy inherit: {name} is {value!r}; a share from 0 to 1 is expected.")

    def next(self, desk: Desk) -> Entry | None:
        number = len(desk.archive)
        source = random.Random(seed_of(desk.config.seed, number, _CHOICES))
        committed, budget = self.committed(desk), desk.config.budget
        rows, objectives = rows_of(desk.archive), desk.config.objectives
        parents = front_points(rows, objectives) if source.random() < self.swept else _unswept(rows, objectives)
        if committed < self.start * budget or not parents or source.random() < self.fresh:
            entry = self._fresh(desk)
        else:
            entry = self._child(desk, source.choice(parents), source)
        return entry if committed + entry.job.until_epoch <= budget else None

    def parents(self, rows: Sequence[TrialRow], objectives: Mapping[str, AbstractObjective]) -> set[int]:
        return {point.row.number for point in (*front_points(rows, objectives), *_unswept(rows, objectives))}

    def _fresh(self, desk: Desk) -> Entry:
        records = [
            Record(entry.number, entry.drawn, entry.last if entry.finished else None, entry.sampler)
            for entry in desk.archive
            if entry.kind == "trained"
        ]
        number, seed, drawn, notes = self.draw(desk, "fresh", records)
        job = self._short(desk, self.job(desk, number, seed, drawn))
        return Entry(number=number, kind="trained", seed=seed, drawn=drawn, job=job, sampler=notes)

    def _child(self, desk: Desk, point: FrontPoint, source: random.Random) -> Entry:
        number = len(desk.archive)
        parent = desk.archive[point.row.number]
        first = desk.archive[(*point.row.lineage, parent.number)[0]]
        steps = first.last.steps if first.last is not None else 0
        edits = _of_sweep(point, parent)
        so_far = edited(parent.job.config, edits)
        edits += draw_edits(so_far, steps, max(1, self.edits - bool(edits)), source)
        seed = seed_of(desk.config.seed, number)
        config = {**edited(parent.job.config, edits), "number": number, "seed": seed}
        job = Job(
            order=desk.archive.next_order,
            number=number,
            action="child",
            config=config,
            until_epoch=0,
            parent=parent.number,
            edits=edits,
        )
        return Entry(number=number, kind="inherited", seed=seed, drawn=parent.drawn, job=self._short(desk, job))

    def _short(self, desk: Desk, job: Job) -> Job:
        """A training of few epochs, that knows it (for schedules), can be inherited from, and is swept."""
        epochs = math.ceil(desk.config.max_epochs / 4) if self.short_epochs is None else self.short_epochs
        config: dict[str, Any] = {**job.config, "trainer": {**job.config["trainer"], "max_epochs": epochs}}
        return dataclasses.replace(
            job,
            config=config,
            until_epoch=epochs,
            keep_state=True,
            sweep=Sweep.arguments(self.sweep),
        )


def _unswept(rows: Sequence[TrialRow], objectives: Mapping[str, AbstractObjective]) -> list[FrontPoint]:
    """The front of what trainings reached by themselves: there would be no other one if nothing had been swept."""
    return front_points([dataclasses.replace(row, swept=()) for row in rows], objectives)


def _of_sweep(point: FrontPoint, parent: Entry) -> tuple[Edit, ...]:
    """What a sweep did to a parent, as edits."""
    if point.swept is None:
        return ()
    edits: list[Edit] = []
    if point.swept.prune > 0.0:
        edits.append({"edit": "prune", "share": point.swept.prune})
    if parent.last is not None and point.swept.stop_step < parent.last.steps:
        edits.append({"edit": "stop", "step": point.swept.stop_step})
    return tuple(edits)
