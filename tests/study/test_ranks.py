"""Trials that train on several devices: two processes on this CPU, by Lightning's own strategy."""

import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from snnlightning.errors import ConfigurationError
from snnlightning.study import Study
from snnlightning.study.files import read_json
from snnlightning.training import SpikingClassifier

from .conftest import config, outcomes, processes_of, tiny

TWO: dict[str, Any] = {"devices": 2, "strategy": "ddp", "accelerator": "cpu"}


def trained(directory: Path, workers: int, batch_size: int, trainer: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a study of two trials."""
    data = {**tiny()["data"], "init_args": {**tiny()["data"]["init_args"], "batch_size": batch_size}}
    study = Study(
        config(trials=2, data=data, trainer={"max_epochs": 2, "limit_train_batches": 8, **trainer}), directory
    )
    study.run(workers=workers)
    assert [row["state"] for row in outcomes(directory)] == ["complete"] * 2, outcomes(directory)
    assert study.notes == []
    return [read_json(directory / f"trials/{number}/result.json") for number in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_two_devices_train_what_one_trains_with_the_batches_of_both(workers: int, tmp_path: Path) -> None:
    both = trained(tmp_path / "two", workers, 25, TWO)
    alone = trained(tmp_path / "one", 0, 50, {"accelerator": "cpu"})
    for two, one in zip(both, alone, strict=True):
        assert two["metrics"]["val_loss"] == pytest.approx(one["metrics"]["val_loss"], rel=1e-3)
        assert two["metrics"]["train_loss"] == pytest.approx(one["metrics"]["train_loss"], rel=1e-3)
        assert two["metrics"]["val_synops"] == pytest.approx(one["metrics"]["val_synops"], rel=0.01)
    assert "LOCAL_RANK" not in os.environ
    files = {file.name for file in (tmp_path / "two/trials/0").iterdir()}
    assert files == {file.name for file in (tmp_path / "one/trials/0").iterdir()}


@pytest.mark.slow
def test_a_rank_that_is_killed_costs_its_trial_only(tmp_path: Path) -> None:
    """The other rank ends at the next exchange, the trial has failed with a reason, and the study goes on."""
    killed: list[int] = []

    class Killer:
        def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
            if not killed:
                killed.extend(processes_of(tmp_path / "s", "snnlightning.study.ranks"))
                for process in killed:
                    os.kill(process, signal.SIGKILL)

        def __getattr__(self, name: str) -> Callable[..., None]:  # of everything else it takes no notice
            return lambda *_: None

    study = Study(config(trials=2, retries=0, trainer={"max_epochs": 20, **TWO}), tmp_path / "s")
    study.run(workers=1, observers=[Killer()])
    assert len(killed) == 1
    first, second = outcomes(tmp_path / "s")
    assert first["state"] == "failed"
    assert first["reason"] == "another rank of the training died (signal 9, SIGKILL; out of memory?)"
    assert second["state"] == "complete"


@pytest.mark.slow
def test_a_worker_of_several_ranks_that_is_told_to_stop_gives_its_trial_back(tmp_path: Path) -> None:
    """Also where all ranks are told, as a scheduler does; another worker goes on, and nobody waits for an exchange."""
    told: list[str] = []

    class Scheduler:
        stopped = False

        def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
            if not self.stopped:
                self.stopped = True
                for part in ("snnlightning.study.serving", "snnlightning.study.ranks"):
                    for process in processes_of(tmp_path / "s", part):
                        os.kill(process, signal.SIGTERM)

        def note(self, text: str) -> None:
            told.append(text)

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

    study = Study(config(trials=1, retries=0, trainer={"max_epochs": 40, **TWO}), tmp_path / "s")
    study.run(workers=1, remote=True, observers=[Scheduler()])
    assert [row["state"] for row in outcomes(tmp_path / "s")] == ["complete"]
    assert len([text for text in told if text.endswith("has joined")]) == 2, told


class FailsInRank1(SpikingClassifier):
    def on_train_epoch_start(self) -> None:
        if self.global_rank == 1:
            raise MemoryError


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_the_reason_is_that_of_the_rank_that_failed_first(workers: int, tmp_path: Path) -> None:
    """Rank 0 only hears that the connection is gone."""
    model = {**tiny()["model"], "class_path": f"{__name__}.FailsInRank1"}
    Study(config(trials=1, model=model, trainer={"max_epochs": 2, **TWO}), tmp_path / "s").run(workers=workers)
    (row,) = outcomes(tmp_path / "s")
    assert (row["state"], row["reason"]) == ("failed", "rank 1: out of memory")


def test_strategies_and_devices_that_cannot_be_are_refused() -> None:
    for trainer, words in (
        ({"devices": 0}, "trainer.devices is 0"),
        ({"devices": "auto"}, "trainer.devices is 'auto'"),
        ({"strategy": "ddp_spawn"}, "trainer.strategy is 'ddp_spawn'; a trial trains with one of auto, ddp"),
    ):
        with pytest.raises(ConfigurationError, match=re.escape(words)):
            config(trainer=trainer)
    with pytest.raises(ConfigurationError, match=r"members is 2 and trainer\.devices 2"):
        config(trainer=TWO, members=2)
    with pytest.raises(ConfigurationError, match="add sweep: false to the policy, or use devices: 1"):
        config(trainer=TWO, policy={"name": "inherit"})
