"""A training that is cut off at the end of an epoch goes on there, and ends as if it had not been."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlightning.study import partial as partial_module
from snnlightning.study.config import StudyConfig
from snnlightning.study.jobs import Job, StopAsked
from snnlightning.study.space import Space
from snnlightning.study.trial import TrialResult, run_trial

from .conftest import tiny


def job(**changes: Any) -> Job:
    config = StudyConfig.parse(tiny(trainer={"max_epochs": 4, "accelerator": "cpu"}))
    drawn = {
        "model.neuron": "lif",
        "model.hidden_sizes.0": 12,
        "model.surrogate": "superspike",
        "model.surrogate_width": 0.3,
    }
    parts = {"number": 0, "seed": 11, **Space.apply(config.base, drawn)}
    return Job(**{"order": 0, "number": 0, "action": "train", "config": parts, "until_epoch": 4, **changes})


RANKING = [("val_accuracy", -1.0)]


def numbers(result: TrialResult) -> dict[str, Any]:
    return {"metrics": result.metrics, "best_epoch": result.best_epoch, "epochs": result.epochs}


def weights(directory: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(directory / "trials/0/best.ckpt", weights_only=True)["state_dict"]
    return state


def stop_after(epoch: int) -> Any:
    def on_epoch(done: int, metrics: dict[str, float]) -> None:
        if done == epoch:
            raise StopAsked

    return on_epoch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrialResult]:
    directory = tmp_path_factory.mktemp("whole")
    return directory, run_trial(job(), directory, RANKING)


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_worker_that_was_asked_to_stop_leaves_a_training_that_another_one_ends_the_same(
    epoch: int, whole: tuple[Path, TrialResult], tmp_path: Path
) -> None:
    with pytest.raises(StopAsked):
        run_trial(job(), tmp_path, RANKING, stop_after(epoch))
    torch.rand(100)  # another process stands somewhere else in its random numbers
    trained: list[int] = []
    result = run_trial(job(), tmp_path, RANKING, lambda done, metrics: trained.append(done))
    assert trained == list(range(epoch + 1, 4))
    assert numbers(result) == numbers(whole[1])
    for name, value in weights(whole[0]).items():
        assert torch.equal(value, weights(tmp_path)[name]), name
    assert sorted(path.name for path in (tmp_path / "trials/0").iterdir()) == [
        "best.ckpt",
        "config.yaml",
        "metrics.csv",
        "result.json",
    ]
    assert (tmp_path / "trials/0/metrics.csv").read_text() == (whole[0] / "trials/0/metrics.csv").read_text()


def test_a_training_that_dies_goes_on_from_the_last_epoch_that_was_saved(
    whole: tuple[Path, TrialResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def die(done: int, metrics: dict[str, float]) -> None:
        if done == 2:
            raise RuntimeError("gone")

    class Eager(partial_module.Partial):
        def __init__(self, folder: Path, of: Job) -> None:
            super().__init__(folder, of, every_s=0.0)

        @property
        def state_key(self) -> str:
            return "Partial"

    monkeypatch.setattr("snnlightning.study.trial.Partial", Eager)
    with pytest.raises(RuntimeError, match="gone"):
        run_trial(job(), tmp_path, RANKING, die)
    trained: list[int] = []
    result = run_trial(job(), tmp_path, RANKING, lambda done, metrics: trained.append(done))
    assert trained == [2, 3]
    assert numbers(result) == numbers(whole[1])


@pytest.mark.parametrize("damage", ["torn", "other"])
def test_a_checkpoint_that_is_torn_or_of_another_job_is_not_taken_up(
    damage: str, whole: tuple[Path, TrialResult], tmp_path: Path
) -> None:
    with pytest.raises(StopAsked):
        run_trial(job(order=1 if damage == "other" else 0), tmp_path, RANKING, stop_after(1))
    file = tmp_path / "trials/0/partial.ckpt"
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:1000])
    trained: list[int] = []
    result = run_trial(job(), tmp_path, RANKING, lambda done, metrics: trained.append(done))
    assert trained == [0, 1, 2, 3]
    assert numbers(result) == numbers(whole[1])
    assert json.loads((tmp_path / "trials/0/result.json").read_text())["order"] == 0
