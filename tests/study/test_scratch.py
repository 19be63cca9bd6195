"""Successive halving over several objectives: who goes on, what the sampler hears, what is spent."""

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from snnlightning.errors import ConfigurationError
from snnlightning.pareto import dominance_ranks
from snnlightning.study import Study, StudyConfig
from snnlightning.study.archive import Archive, Entry
from snnlightning.study.desk import Desk
from snnlightning.study.files import read_yaml
from snnlightning.study.jobs import Job, Result
from snnlightning.study.policies import Scratch
from snnlightning.study.search_study import SearchStudy
from snnlightning.study.trial import run_trial

from .conftest import config, outcomes

RUNGS: dict[str, Any] = {
    "policy": {"name": "scratch", "eta": 2, "sweep": False},
    "trainer": {"max_epochs": 4, "accelerator": "cpu"},
    "trials": 7,
}


def desk_of(study: StudyConfig) -> Desk:
    return Desk(study, Archive(study, optuna.create_study(directions=["maximize", "minimize"])))


def result(order: int, accuracy: float, synops: float, epochs: int = 1, **changes: Any) -> Result:
    values = {"accuracy": accuracy, "synops": synops}
    return Result(order=order, epochs=epochs, charged=float(epochs), values=values, **changes)


def play(study: StudyConfig, answers: list[Result]) -> tuple[Desk, list[Entry]]:
    """Decide and settle one job after the other; the answers are what jobs reach, in order."""
    desk, decided = desk_of(study), []
    for answer in answers:
        new = study.policy.next(desk)
        assert new is not None
        (desk.archive.add if new.number == len(desk.archive) else desk.archive.update)(new)
        decided.append(new)
        before = new.last.epochs if new.last else 0
        reached = dataclasses.replace(
            answer, order=new.job.order, epochs=new.job.until_epoch, charged=float(new.job.until_epoch - before)
        )
        known = dataclasses.replace(new, results=(*new.results, reached))
        state = "failed" if reached.failed else "paused" if study.policy.pauses(desk, known) else "complete"
        desk.archive.update(dataclasses.replace(known, state=state))
    return desk, decided


def test_fronts_are_peeled_and_each_point_gets_the_rank_of_its_own() -> None:
    """The permutation that sorts them, [2, 4, 3, 1, 0], is something else; it has been mistaken for the ranks elsewhere."""
    assert dominance_ranks([(5, 5), (4, 4), (1, 1), (3, 3), (2, 2)]).tolist() == [4, 3, 0, 2, 1]


def test_on_the_rung_the_front_goes_on_and_else_the_best_part_of_eta() -> None:
    study = config(**{**RUNGS, "policy": {"name": "scratch", "eta": 4}})
    desk, rule = desk_of(study), study.policy
    assert isinstance(rule, Scratch)

    def goes_on(*points: tuple[float, float]) -> bool:
        return rule.goes_on(desk, [result(k, *point) for k, point in enumerate(points)])

    assert goes_on((0.5, 100.0)), "the first one has nobody before it"
    assert goes_on((0.9, 100.0), (0.8, 90.0)), "less accurate and cheaper: on the front"
    assert not goes_on((0.9, 100.0), (0.8, 110.0))
    worse = [(0.5 - k / 100, 200.0 + k) for k in range(6)]
    assert goes_on((0.9, 100.0), *worse, (0.8, 110.0)), "second of eight: the best quarter"
    assert not goes_on((0.9, 100.0), *worse[:5], (0.8, 110.0)), "second of seven"


def test_what_goes_on_goes_first_and_up_to_the_next_rung() -> None:
    _, decided = play(config(**RUNGS), [result(0, 0.9, 100.0)] * 3 + [result(0, 0.5, 200.0)] * 2)
    assert [(entry.number, entry.job.action, entry.job.until_epoch) for entry in decided] == [
        (0, "train", 1),
        (0, "resume", 2),
        (0, "resume", 4),
        (1, "train", 1),
        (2, "train", 1),
    ]
    assert [entry.job.keep_state for entry in decided] == [True, True, False, True, True]


def test_the_infeasible_and_the_failed_never_go_on() -> None:
    study = config(**RUNGS)
    for answer in (
        result(0, 0.9, 0.0, reason="silent", violations={"silent": 1.0}),
        Result(order=0, epochs=1, charged=1.0, reason="train_loss became nan"),
    ):
        desk, _ = play(study, [answer])
        (entry,) = desk.archive
        assert not study.policy.pauses(desk, entry)


def test_no_sampler_ever_sees_a_pruned_trial_and_each_rung_tells_its_own_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[optuna.trial.FrozenTrial]] = []
    original = optuna.samplers.TPESampler.sample_independent

    def spy(self: Any, study: Any, *arguments: Any) -> Any:
        seen.append(study.get_trials(deepcopy=False))
        return original(self, study, *arguments)

    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_independent", spy)
    answers = [result(0, 0.9 - 0.01 * k, 100.0 + k) for k in range(14)]
    study = config(**{**RUNGS, "sampler": {"name": "tpe", "startup_trials": 2}, "trials": 30})
    desk, _ = play(study, answers)
    states = {trial.state for trials in seen for trial in trials}
    assert states == {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.RUNNING}
    rule = study.policy
    assert isinstance(rule, Scratch)
    halted = [entry for entry in desk.archive if entry.finished and len(entry.results) == 1]
    assert halted
    assert all(record.number != halted[0].number for record in rule.records(desk, 1))
    for rung in (0, 1, 2):
        for record in rule.records(desk, rung):
            assert record.result is None or record.result is desk.archive[record.number].results[rung]


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(config(**RUNGS), tmp_path_factory.mktemp("halved") / "study")
    study.run(workers=0)
    return study


def test_what_halted_at_every_rung_is_what_its_parameters_give_in_one_go(halved: Study, tmp_path: Path) -> None:
    row = next(row for row in halved.rows() if row.epochs == 4)
    trial = read_yaml(halved.directory / f"trials/{row.number}/config.yaml")
    job = Job(order=0, number=row.number, action="train", config=trial, until_epoch=4)
    again = run_trial(job, tmp_path, halved.config.ranking)
    assert {name: again.metrics[f"val_{name}"] for name in row.values} == row.values
    halting, whole = (
        torch.load(folder / f"trials/{row.number}/best.ckpt", weights_only=True)["state_dict"]
        for folder in (halved.directory, tmp_path)
    )
    assert all(torch.equal(halting[name], whole[name]) for name in whole)


def test_the_budget_in_epochs_is_spent_and_never_exceeded(halved: Study) -> None:
    rows = halved.rows()
    spent = sum(row.charged for row in rows)
    assert 28 - 1 < spent <= 28
    assert len(rows) > 7, "most trainings should have been short"
    assert {row.epochs for row in rows} <= {1, 2, 4}
    assert {row.epochs for row in rows} >= {1, 4}
    assert all(row.charged == row.epochs for row in rows)


def test_a_budget_in_epochs_holds_for_full_trainings_too(tmp_path: Path) -> None:
    study = Study(config(policy={"name": "plain"}, budget_epochs=5), tmp_path / "study")
    study.run(workers=0)
    assert [row.epochs for row in study.rows()] == [2, 2]


@pytest.mark.parametrize(
    "policy", [{"name": "plain"}, RUNGS["policy"], {"name": "inherit", "start": 0.5, "sweep": False, "fresh": 0.7}]
)
def test_no_sampler_is_asked_for_what_the_budget_has_no_room_for(
    policy: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some take minutes to answer when much is in flight."""
    asked: list[int] = []
    original = SearchStudy.ask

    def spy(self: SearchStudy, *arguments: Any) -> Any:
        asked.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(SearchStudy, "ask", spy)
    study = Study(config(**{**RUNGS, "policy": policy, "budget_epochs": 9}), tmp_path / "study")
    study.run(workers=0)
    rows = study.rows()
    assert len(asked) == sum(row.kind == "trained" for row in rows) > 0
    assert 8 <= sum(row.charged for row in rows) <= 9


@pytest.mark.slow
def test_the_search_is_the_same_with_two_workers_and_with_none(tmp_path: Path) -> None:
    for workers in (0, 2):
        Study(config(**RUNGS), tmp_path / str(workers)).run(workers=workers)
    assert outcomes(tmp_path / "0") == outcomes(tmp_path / "2")


@pytest.mark.parametrize("wrong", [{"eta": 1}, {"first_epochs": 0}, {"eta": True}])
def test_rungs_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="a whole number of at least"):
        config(policy={"name": "scratch", **wrong})
