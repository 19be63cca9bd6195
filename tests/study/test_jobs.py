"""Jobs: a training that is gone on with is the training that was never stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlightning.study.jobs import Job
from snnlightning.study.space import Space
from snnlightning.study.trial import TrialResult, run_trial

from .conftest import config, read_csv

DROPOUT = {"class_path": "tests.study.user_models.Noisy", "init_args": {}}


def job(number: int, until_epoch: int, *, order: int = 0, action: str = "train", **changes: Any) -> Job:
    study = config(
        model=DROPOUT, space={"model.learning_rate": [0.02]}, trainer={"max_epochs": 4, "accelerator": "cpu"}
    )
    trial = {"number": number, "seed": 5, **Space.apply(study.base, {"model.learning_rate": 0.02})}
    return Job(
        order=order, number=number, action=action, config=trial, until_epoch=until_epoch, keep_state=True, **changes
    )


def run(directory: Path, *jobs: Job) -> list[TrialResult]:
    return [run_trial(one, directory, ranking=[("val_accuracy", -1.0)]) for one in jobs]


def test_a_training_in_three_parts_is_the_training_in_one(tmp_path: Path) -> None:
    """Weights, optimizer, learning-rate schedule and the draws of dropout: every epoch's numbers are the same."""
    (whole,) = run(tmp_path, job(0, 4))
    torch.rand(3)  # somebody else draws in between
    parts = run(
        tmp_path, *(job(1, until, order=k, action="resume" if k else "train") for k, until in enumerate((1, 2, 4)))
    )
    assert read_csv(tmp_path / "trials/1/metrics.csv") == read_csv(tmp_path / "trials/0/metrics.csv")
    assert [part.epochs for part in parts] == [1, 2, 4]
    assert (parts[-1].metrics, parts[-1].best_epoch) == (whole.metrics, whole.best_epoch)
    best = [torch.load(tmp_path / f"trials/{k}/best.ckpt", weights_only=True)["state_dict"] for k in (0, 1)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


def test_a_job_that_was_killed_before_it_could_say_so_trains_no_epoch_more(tmp_path: Path) -> None:
    """Its state is written, its result is not: the same job again ends with the same numbers."""
    first, second = job(0, 1), job(0, 2, order=1, action="resume")
    _, done = run(tmp_path, first, second)
    (again,) = run(tmp_path, second)
    assert (again.epochs, again.metrics, again.best_epoch) == (2, done.metrics, done.best_epoch)


def test_noise_is_drawn_in_training_else_the_claim_above_says_nothing(tmp_path: Path) -> None:
    one, other = run(tmp_path, job(0, 1), Job.of({**job(1, 1).as_dict(), "config": {**job(1, 1).config, "seed": 6}}))
    assert one.metrics["train_loss"] != other.metrics["train_loss"]
    run(tmp_path, job(2, 4))
    rates = {row["rate"] for row in read_csv(tmp_path / "trials/2/metrics.csv")}
    assert len(rates) == 4, "the schedule should move in every epoch"


def test_a_job_survives_the_way_to_a_worker_and_back() -> None:
    sent = job(3, 2, edits=({"prune": 0.3},), parent=1)
    assert Job.of(json.loads(json.dumps(sent.as_dict()))) == sent


@pytest.mark.parametrize("keep", [True, False])
def test_the_state_of_a_training_is_kept_when_it_is_asked_for(keep: bool, tmp_path: Path) -> None:
    run(tmp_path, Job.of({**job(0, 1).as_dict(), "keep_state": keep}))
    assert (tmp_path / "trials/0/last.ckpt").exists() == keep
