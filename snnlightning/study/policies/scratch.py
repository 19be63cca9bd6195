"""Scratch: successive halving with several objectives; every result can be reached again from its parameters alone."""

import dataclasses

from ...errors import ConfigurationError
from ...pareto import dominance_ranks
from ..archive import Entry
from ..desk import Desk
from ..jobs import Job, Result
from ..search_study import Record
from ..sweep import Sweep
from .abstract import AbstractPolicy, whole

__all__ = ["Scratch"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scratch(AbstractPolicy):
    """A training halts at the rungs r, eta r, eta^2 r, ... epochs and goes on only if few that came so far are better.

    At each rung a feasible trial with the objectives v goes on when it is on the front of all that reached the rung, or
    when no more than n / eta of the n there are on its front or a better one (ranks by non-dominated sorting). Ranking
    by one objective alone, or by a weighted sum, destroys the front.

    The sampler has one study per rung, with the values that its trials had there, and draws from the highest rung that
    knows ``startup_trials`` results. No trial is ever told as pruned: pruned trials fill the good set of TPE.

    Args:
        eta: factor between rungs, >= 2.
        first_epochs: of the lowest rung, >= 1.
        sweep: after every training that came to its end; ``false`` for none.

    Raises:
        ConfigurationError: out of range.

    Source: after R. Schmucker et al. 2021, MO-ASHA, arXiv 2106.12639. Differs: the front decides and eta comes second, one
    search study per rung.

    Example:
        >>> Scratch(eta=4).rungs(16), Scratch(eta=3, first_epochs=2).rungs(10)
        ([1, 4, 16], [2, 6, 10])
    """

    eta: int = 4
    first_epochs: int = 1
    sweep: Sweep | None = dataclasses.field(default_factory=Sweep)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweep", Sweep.of(self.sweep))
        for name, least in (("eta", 2), ("first_epochs", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(
                    f"policy scratch: {name} is {value!r}; a whole number of at least {least} is expected."
                )

    def rungs(self, last: int) -> list[int]:
        """Epochs after which a training of ``last`` epochs halts, the end among them."""
        rungs, epochs = [], self.first_epochs
        while epochs < last:
            rungs.append(epochs)
            epochs *= self.eta
        return [*rungs, last]

    def least(self, max_epochs: int) -> int:
        return min(self.first_epochs, max_epochs)

    def goes_on_until(self, entry: Entry) -> int:
        return self.rungs(whole(entry.job))[len(entry.results)]

    def next(self, desk: Desk) -> Entry | None:
        paused = [entry for entry in desk.archive if entry.state == "paused"]
        if paused:
            first = min(paused, key=lambda entry: entry.job.order)
            until = self.goes_on_until(first)
            job = dataclasses.replace(first.job, order=desk.archive.next_order, action="resume", until_epoch=until)
            return dataclasses.replace(first, job=self._ended(job), state="open")
        if self.committed(desk) + self.least(desk.config.max_epochs) > desk.config.budget:
            return None  # before the sampler is asked: some take seconds
        rung = self.informed(desk)
        number, seed, drawn, notes = self.draw(desk, f"rung {rung}", self.records(desk, rung))
        job = self.job(desk, number, seed, drawn, until_epoch=self.first_epochs)
        return Entry(number=number, kind="trained", seed=seed, drawn=drawn, job=self._ended(job), sampler=notes)

    def pauses(self, desk: Desk, entry: Entry) -> bool:
        last = entry.last
        assert last is not None
        if not last.feasible or entry.job.until_epoch >= whole(entry.job):
            return False
        others = [other for other in desk.archive if other.number != entry.number]
        here = [result for other in others if (result := _at(other, len(entry.results) - 1)) and result.feasible]
        if not self.goes_on(desk, [*here, last]):
            return False
        cost = self.goes_on_until(entry) - last.epochs
        return self.committed(desk, entry.number) + entry.charged + cost <= desk.config.budget

    def _ended(self, job: Job) -> Job:
        """What happens at its end: a sweep after the last rung, else its state is kept."""
        last = job.until_epoch >= whole(job)
        return dataclasses.replace(job, keep_state=not last, sweep=Sweep.arguments(self.sweep) if last else None)

    def goes_on(self, desk: Desk, results: list[Result]) -> bool:
        """Whether the last of the results of a rung is good enough to go on."""
        costs = [desk.config.costs(result.values) for result in results]
        ranks = dominance_ranks(costs)
        as_good = int((ranks <= ranks[-1]).sum())
        return bool(ranks[-1] == 0 or as_good * self.eta <= len(results))

    def informed(self, desk: Desk) -> int:
        """The highest rung that knows enough results to draw from."""
        needed = desk.config.sampler["startup_trials"]
        rung = 0
        while sum(len(entry.results) > rung + 1 for entry in desk.archive) >= needed:
            rung += 1
        return rung

    @staticmethod
    def records(desk: Desk, rung: int) -> list[Record]:
        """What the sampler sees of a rung: the results there, and what is on its way to it."""
        return [
            Record(entry.number, entry.drawn, _at(entry, rung), entry.sampler)
            for entry in desk.archive
            if len(entry.results) > rung or not entry.finished
        ]


def _at(entry: Entry, rung: int) -> Result | None:
    return entry.results[rung] if len(entry.results) > rung else None
