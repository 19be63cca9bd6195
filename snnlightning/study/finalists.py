"""Finalists: the front and what is as good as the front within its noise, trained anew with fresh seeds and tested.

A network that was trained from scratch is trained again from its parameters. One that inherited is made again from its first
ancestor on, edit by edit: what is repeated is how it was found, not what was found. Everything goes to
``replays/<k>/trials/<n>/`` for the k-th fresh seed, in the same files as a trial's; it is not charged to the budget.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StudyError
from ..pareto import non_dominated
from .archive import Archive, Entry
from .evaluate import evaluate_on_test
from .files import STATE, read_json, trial_directory
from .front import Front, FrontPoint, front_points, hypervolume_of, points_of, sweep_of
from .interrupts import Interrupts
from .jobs import Job
from .pool import AbstractPool, training_here
from .rows import TrialRow
from .samplers import seed_of
from .sweep import materialise
from .truth import Interval, interval, probability_no_worse

if TYPE_CHECKING:
    from .config import StudyConfig

__all__ = ["choose_finalists", "fresh_tests", "replay", "report_fresh"]

_FRESH = 3
"""Stream of random numbers for fresh seeds; see :mod:`snnlightning.study.policies`."""
LIKELY = 0.9
_ORDERS = 1_000_000
"""Orders of replays: of seed k and trial n (k + 1) times this plus n, the same in every run of the study."""


def choose_finalists(rows: Sequence[TrialRow], config: "StudyConfig", samples: int, limit: int) -> list[FrontPoint]:
    """The front, and what would be on it if its accuracy were one standard error better.

    The standard error is that of a share of the validation samples: sqrt(p (1 - p) / samples). Of a trial that has nothing on the
    front it is the most accurate such network that counts: its own, or one that its sweep found.

    Args:
        rows: all finished trials.
        config: of the study.
        samples: of the validation set; 0 when nobody knows.
        limit: at most so many different trials, those of the front first.
    """
    front = front_points(rows, config.objectives)
    near: list[tuple[float, FrontPoint]] = []
    if samples and "accuracy" in config.objectives:
        costs = [config.costs(point.values) for point in front]
        known = {point.row.number for point in front}
        for row in rows:
            hopeful = [
                (-point.values["accuracy"], point)
                for point in points_of(row)
                if row.number not in known and non_dominated([_hoped(point, config, samples), *costs])[0]
            ]
            near += sorted(hopeful, key=lambda pair: pair[0])[:1]
    chosen: list[FrontPoint] = []
    trials: set[int] = set()
    for point in [*front, *(point for _, point in sorted(near, key=lambda pair: (pair[0], pair[1].row.number)))]:
        if len(trials | {point.row.number}) <= limit:
            trials.add(point.row.number)
            chosen.append(point)
    return chosen


def _hoped(point: FrontPoint, config: "StudyConfig", samples: int) -> list[float]:
    """Its costs if its accuracy were one standard error better."""
    share = point.values["accuracy"]
    return config.costs({**point.values, "accuracy": share + math.sqrt(share * (1.0 - share) / samples)})


def replay(
    points: Sequence[FrontPoint],
    config: "StudyConfig",
    directory: Path,
    archive: Archive,
    ranking: Sequence[tuple[str, float]],
    pool: AbstractPool,
    interrupts: Interrupts,
    progress: Callable[[int, int], None],
    told: Callable[[str], None],
) -> list[str]:
    """Train finalists anew, as far as that is not done, and test them.

    Args:
        points: finalists.
        config: of the study; ``final_seeds`` says how often.
        directory: of the study.
        archive: of the study.
        ranking: as in every job.
        pool: that trains.
        interrupts: of the study.
        progress: is told how many trainings are done, of how many.
        told: is told in a sentence what happens to workers and storage.

    Returns:
        What could not be done, and why.
    """
    waiting = _missing(points, config, directory, archive)
    context = {"ranking": list(ranking), "profiles": list(config.profiles)}
    failed = _train(waiting, context, pool, interrupts, progress, told)
    if not failed:
        for state in directory.glob(f"replays/*/trials/*/{STATE}"):  # nothing goes on from the end of a replay
            state.unlink(missing_ok=True)
    notes = [f"trial {order % _ORDERS} could not be trained anew: {why}" for order, why in sorted(failed.items())]
    for k in range(config.final_seeds):
        for point in points:
            try:
                with training_here(interrupts):
                    _test_again(point, config, directory, k)
            except Exception as error:  # a replay that cannot be tested must not hide the others
                notes.append(f"replay {k} of trial {point.row.number}: {' '.join(str(error).split())}")
    return notes


def _train(
    jobs: Mapping[int, Job],
    context: Mapping[str, Any],
    pool: AbstractPool,
    interrupts: Interrupts,
    progress: Callable[[int, int], None],
    told: Callable[[str], None],
) -> dict[int, str]:
    """Do all jobs, parents before children; returns why some could not be done, by order."""
    waiting, total, done = dict(jobs), len(jobs), 0
    running: dict[int, Job] = {}
    failed: dict[int, str] = {}
    while waiting or running:
        for order, job in list(waiting.items()):
            above = None if job.parent is None else order - job.number + job.parent
            if above in failed:
                failed[order] = f"its parent {job.parent} could not"
                del waiting[order]
            elif above not in waiting and above not in running:
                pool.submit({**job.as_dict(), **context, "root": f"replays/{order // _ORDERS - 1}"})
                running[order] = waiting.pop(order)
        if not running:
            continue
        interrupts.check()
        message = pool.next_message(interrupts)
        if message is None:
            continue
        match message["type"]:
            case "note":
                told(message["text"])
            case ("finished" | "failed") as how if message["order"] in running:
                del running[message["order"]]
                done += 1
                progress(done, total)
                if how == "failed":
                    failed[message["order"]] = message["reason"]
    return failed


def _missing(points: Sequence[FrontPoint], config: "StudyConfig", directory: Path, archive: Archive) -> dict[int, Job]:
    """The trainings that have not been done, by order; and those of ancestors whose state they need and that is gone."""
    jobs: dict[int, Job] = {}
    for k in range(config.final_seeds):
        numbers: set[int] = set()
        for point in points:
            number: int | None = point.row.number
            needed: tuple[str, ...] = ("result.json",)
            while number is not None:
                folder = trial_directory(directory / "replays" / str(k), number)
                if all((folder / name).exists() for name in needed):
                    break
                numbers.add(number)
                number, needed = archive[number].parent, ("result.json", STATE)
        for number in sorted(numbers):
            job = _again(archive[number], config, k)
            jobs[job.order] = job
    return jobs


def _test_again(point: FrontPoint, config: "StudyConfig", directory: Path, k: int) -> None:
    """Test a replay, when there is one that was not tested."""
    own, folder = _home(directory, k, point.row), _home(directory, k, point)
    if (folder / "test.json").exists() or not (own / "result.json").exists():
        return
    if point.swept is not None:
        materialise(own, point.swept)
    evaluate_on_test(folder, config.objectives)


def fresh_tests(config: "StudyConfig", directory: Path, point: FrontPoint) -> dict[str, Interval] | None:
    """Each objective on the test set over the fresh seeds; None before there are any."""
    files = [_home(directory, k, point) / "test.json" for k in range(config.final_seeds)]
    values: list[Mapping[str, float]] = []
    for file in files:
        try:
            values.append(read_json(file))
        except StudyError:
            continue
    if not values:
        return None
    return {name: interval([value[name] for value in values]) for name in config.objectives}


def report_fresh(front: Front, points: Sequence[FrontPoint], config: "StudyConfig", directory: Path) -> None:
    """Write into a front what is known of the finalists: intervals on the test set, and who probably beats whom.

    ``front["finalists"]`` gets, for each, ``test``: mean, low and high (95 %) of each objective over the fresh seeds, and
    ``beaten_by``: other finalists that are truly no worse in everything with a probability above 0.9. The hypervolume of the
    means stands beside the others as ``fresh``.
    """
    known = [(point, tests) for point in points if (tests := fresh_tests(config, directory, point)) is not None]
    if not known:
        return
    on_front = {(point["number"], str(point["sweep"])) for point in front["points"]}
    costs = [_on_axes(tests, config) for _, tests in known]
    front["finalists"] = []
    means: list[Mapping[str, float]] = []
    for k, (point, tests) in enumerate(known):
        sweep = sweep_of(point)
        held = (point.row.number, str(sweep)) in on_front
        if held:
            means.append({name: one.mean for name, one in tests.items()})
        beaten = [
            {"number": known[j][0].row.number, "sweep": sweep_of(known[j][0]), "probability": probability}
            for j in range(len(known))
            if j != k and (probability := probability_no_worse(costs[j], costs[k])) > LIKELY
        ]
        front["finalists"].append(
            {
                "number": point.row.number,
                "sweep": sweep,
                "on_front": held,
                "values": point.values,
                "test": {name: _shown(one, config.objectives[name].bounds) for name, one in tests.items()},
                "beaten_by": beaten,
            }
        )
    front["hypervolume"]["fresh"] = hypervolume_of(means, config.objectives)


def _shown(found: Interval, bounds: tuple[float, float]) -> dict[str, float]:
    """An interval within what the objective can be; one of a single seed stays infinite."""
    if math.isinf(found.standard_error):
        return {"mean": found.mean, "low": found.low, "high": found.high}
    return {"mean": found.mean, "low": max(found.low, bounds[0]), "high": min(found.high, bounds[1])}


def _on_axes(tests: Mapping[str, Interval], config: "StudyConfig") -> dict[str, Interval]:
    """Intervals on the objectives' own axes, lower is better; the standard error follows the slope of the axis."""
    turned = {}
    for name, one in tests.items():
        objective = config.objectives[name]
        slope = 1.0 / (max(one.mean, objective.smallest) * math.log(10.0)) if objective.scale == "log" else 1.0
        low, high = sorted(objective.cost(value) for value in (one.low, one.high))
        turned[name] = Interval(objective.cost(one.mean), low, high, one.standard_error * slope)
    return turned


def _again(entry: Entry, config: "StudyConfig", k: int) -> Job:
    """A trial's whole training, with another seed."""
    assert entry.last is not None
    trial: dict[str, Any] = {**entry.job.config, "seed": seed_of(entry.seed, k, _FRESH)}
    return dataclasses.replace(
        entry.job,
        order=_ORDERS * (k + 1) + entry.number,
        action="train" if entry.parent is None else "child",
        config=trial,
        until_epoch=entry.last.epochs,
        keep_state=True,
        sweep=None,
    )


def _home(directory: Path, k: int, what: FrontPoint | TrialRow) -> Path:
    """Where a replay of a trial, or of a point of the front, is."""
    home = directory / "replays" / str(k)
    return what.folder(home) if isinstance(what, FrontPoint) else trial_directory(home, what.number)
