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
from ..jobs import Job, Result
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
    ``edits`` of {prune, narrow, stop earlier, regularize, learning rate}, and ``child_epochs`` of training.

    Parents are the front of what trainings reached by themselves, or, with probability ``swept``, that of everything, as far as
    it is better than the reference point (all of it while nothing is): beyond it nothing counts, and on a front of accuracy
    and cost half of the points may lie there. An objective is drawn, a level on its axis between the ends of the
    front, and the point nearest to it: points that crowd together, as those of one network's sweep do, share their part. A
    point that a sweep found starts its child stopped and pruned as it is, with one edit less.

    Edits only shrink or re-tune. So that the accurate end of the front is trained as long as full trainings are, a child is,
    with probability ``onward``, the most accurate network (by the first objective) of the first front that has had less, trained on without
    edits for the epochs that are missing to ``max_epochs``; once for every network.

    The sampler is told of fresh networks only: the values of a child are not those of its parameters. It hears by how much
    they are beyond the reference point as it hears of bounds; else it follows those that cost nothing and can nothing.

    What does not fit into the rest of the budget gives way to an edited child, the shortest training there is.

    A network whose first objective is not better than the reference is not swept: nothing that a sweep takes away would
    make it so.

    Args:
        short_epochs: of a fresh network; a quarter of ``max_epochs``, rounded up, when None.
        child_epochs: of a child; half of ``short_epochs``, rounded up, when None.
        start: share of the budget that goes to fresh networks first, in (0, 1].
        fresh: share of fresh networks after that, in [0, 1].
        swept: share of children whose parents are drawn from the front with swept points, in [0, 1].
        edits: of each child, >= 1.
        onward: share of children that only train on, in [0, 1].
        sweep: after every training; ``false`` for none.

    Raises:
        ConfigurationError: out of range.

    Source: after T. Elsken, J. H. Metzen and F. Hutter 2019, LEMONADE, arXiv 1804.09081. Differs: parents are drawn
    evenly along the fronts, edits only shrink or re-tune, and a sampler supplies the newcomers.
    """

    short_epochs: int | None = None
    child_epochs: int | None = None
    start: float = 0.1
    fresh: float = 0.15
    swept: float = 0.5
    edits: int = 2
    onward: float = 0.15
    sweep: Sweep | None = dataclasses.field(default_factory=Sweep)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweep", Sweep.of(self.sweep))
        for name in ("edits", "short_epochs", "child_epochs"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(
                    f"policy inherit: {name} is {value!r}; a whole number of at least 1 is expected."
                )
        for name in ("start", "fresh", "swept", "onward"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"policy inherit: {name} is {value!r}; a share from 0 to 1 is expected.")

    def least(self, max_epochs: int) -> int:
        return math.ceil(max_epochs / 4) if self.short_epochs is None else self.short_epochs

    def next(self, desk: Desk) -> Entry | None:
        number = len(desk.archive)
        source = random.Random(seed_of(desk.config.seed, number, _CHOICES))
        committed, budget = self.committed(desk), desk.config.budget
        left = budget - committed
        rows, objectives = rows_of(desk.archive), desk.config.objectives
        parents = front_points(rows, objectives) if source.random() < self.swept else _unswept(rows, objectives)
        if committed < self.start * budget or not parents or source.random() < self.fresh:
            if self._epochs(desk) <= left:  # else no sampler is asked: some take seconds
                return self._fresh(desk)
        elif source.random() < self.onward and (point := self._short_of_epochs(desk, _unswept(rows, objectives))):
            entry = self._onward(desk, point)
            if entry.job.until_epoch <= left:
                return entry
        if not parents or self._childs_epochs(desk) > left:
            return None
        return self._child(desk, _drawn_parent(parents, objectives, source), source)

    def parents(self, rows: Sequence[TrialRow], objectives: Mapping[str, AbstractObjective]) -> set[int]:
        return {point.row.number for point in (*front_points(rows, objectives), *_unswept(rows, objectives))}

    def _fresh(self, desk: Desk) -> Entry:
        records = [
            Record(entry.number, entry.drawn, _told(entry, desk.config.objectives), entry.sampler)
            for entry in desk.archive
            if entry.kind == "trained"
        ]
        number, seed, drawn, notes = self.draw(desk, "fresh", records)
        job = self._trained(desk, self.job(desk, number, seed, drawn), self._epochs(desk))
        return Entry(number=number, kind="trained", seed=seed, drawn=drawn, job=job, sampler=notes)

    def _child(self, desk: Desk, point: FrontPoint, source: random.Random) -> Entry:
        parent = desk.archive[point.row.number]
        first = desk.archive[(*point.row.lineage, parent.number)[0]]
        steps = first.last.steps if first.last is not None else 0
        edits = _of_sweep(point, parent)
        so_far = edited(parent.job.config, edits)
        edits += draw_edits(so_far, steps, max(1, self.edits - bool(edits)), source)
        return self._inherited(desk, parent, edits, self._childs_epochs(desk))

    def _onward(self, desk: Desk, point: FrontPoint) -> Entry:
        parent = desk.archive[point.row.number]
        return self._inherited(desk, parent, (), desk.config.max_epochs - _had(desk, parent))

    def _short_of_epochs(self, desk: Desk, points: Sequence[FrontPoint]) -> FrontPoint | None:
        """The best one by the first objective that has not had a full training's epochs and was not trained on yet."""
        done = {entry.parent for entry in desk.archive if entry.kind == "inherited" and not entry.job.edits}
        least = self._childs_epochs(desk)
        for point in points:  # in the order of the first objective
            number = point.row.number
            if number not in done and desk.config.max_epochs - _had(desk, desk.archive[number]) >= least:
                return point
        return None

    def _inherited(self, desk: Desk, parent: Entry, edits: tuple[Edit, ...], epochs: int) -> Entry:
        number = len(desk.archive)
        seed = seed_of(desk.config.seed, number)
        job = Job(
            order=desk.archive.next_order,
            number=number,
            action="child",
            config={**edited(parent.job.config, edits), "number": number, "seed": seed},
            until_epoch=0,
            parent=parent.number,
            edits=edits,
        )
        job = self._trained(desk, job, epochs)
        return Entry(number=number, kind="inherited", seed=seed, drawn=parent.drawn, job=job)

    def _trained(self, desk: Desk, job: Job, epochs: int) -> Job:
        """A training of so many epochs, that knows it (for schedules), can be inherited from, and is swept."""
        config: dict[str, Any] = {**job.config, "trainer": {**job.config["trainer"], "max_epochs": epochs}}
        return dataclasses.replace(
            job,
            config=config,
            until_epoch=epochs,
            keep_state=True,
            sweep=Sweep.arguments(self.sweep),
            sweep_above=next(iter(desk.config.objectives.values())).reference,
        )

    def _epochs(self, desk: Desk) -> int:
        """Of a fresh network."""
        return self.least(desk.config.max_epochs)

    def _childs_epochs(self, desk: Desk) -> int:
        """Of a child that is edited."""
        return math.ceil(self._epochs(desk) / 2) if self.child_epochs is None else self.child_epochs


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


def _that_count(points: list[FrontPoint], objectives: Mapping[str, AbstractObjective]) -> list[FrontPoint]:
    """Those that are better than the reference point; all of them when none is."""
    return [
        point for point in points if all(cost < 0.0 for cost in _beyond(point.values, objectives).values())
    ] or points


def _beyond(values: Mapping[str, float], objectives: Mapping[str, AbstractObjective]) -> dict[str, float]:
    """How far values are beyond the reference point, on the objectives' own axes; negative is better than it."""
    return {
        name: objective.cost(values[name]) - objective.cost(objective.reference)
        for name, objective in objectives.items()
        if objective.reference is not None
    }


def _drawn_parent(
    points: list[FrontPoint], objectives: Mapping[str, AbstractObjective], source: random.Random
) -> FrontPoint:
    """One of those that count, drawn evenly along the front."""
    return _along(_that_count(points, objectives), objectives, source)


def _along(
    points: Sequence[FrontPoint], objectives: Mapping[str, AbstractObjective], source: random.Random
) -> FrontPoint:
    """The point of a front that is nearest to a level drawn evenly between its ends, on the axis of an objective."""
    name = source.choice(list(objectives))
    costs = [objectives[name].cost(point.values[name]) for point in points]
    level = source.uniform(min(costs), max(costs))
    return points[min(range(len(points)), key=lambda k: abs(costs[k] - level))]


def _told(entry: Entry, objectives: Mapping[str, AbstractObjective]) -> Result | None:
    """What the sampler hears of a fresh network; None while it is not known."""
    result = entry.last if entry.finished else None
    if result is None or result.failed:
        return result
    beyond = {f"reference of {name}": far for name, far in _beyond(result.values, objectives).items()}
    return dataclasses.replace(result, violations={**result.violations, **beyond})


def _had(desk: Desk, entry: Entry) -> int:
    """Epochs that its weights have been trained for, those of its ancestors among them."""
    line = [*(desk.archive[number] for number in desk.archive.lineage(entry)), entry]
    return sum(each.last.epochs for each in line if each.last is not None)
