"""Trials that a worker trains together: each one's files and messages are those that it has alone, to the last digit."""

import json
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch

from snnlightning.data import DigitsDataModule
from snnlightning.errors import ConfigurationError
from snnlightning.events import dense
from snnlightning.layers import Members
from snnlightning.study import Study
from snnlightning.study.grouping import Group
from snnlightning.study.interrupts import Interrupts
from snnlightning.study.pool import InlinePool
from snnlightning.training import SpikingClassifier
from snnlightning.typing import LayerRecord

from .conftest import config, outcomes, read_csv, states, tiny

RANKING = [("val_accuracy", -1.0), ("val_synops", 1.0)]
SURROGATES = ["superspike", "triangle", "atan"]


def task(number: int, *, epochs: int = 2, **changes: Any) -> dict[str, Any]:
    """A job as a worker gets it; everything that may differ between members does, by the number."""
    model = {
        "in_features": 64,
        "num_classes": 10,
        "readout": "mean_over_time",
        "hidden_sizes": [13 if number == 1 else 9],
        "recurrent": number != 3,
        "surrogate": SURROGATES[number % 3],
        "surrogate_width": 0.2 + 0.1 * number,
        "tau_mem_ms": 4.0 + 2.0 * number,
        "learn_tau": "per_neuron",
        "regularizers": {"population_upper_bound": {"strength": 0.1 * number}},
        "learning_rate": 0.01 * (number + 1),
        **changes,
    }
    return {
        "order": number,
        "number": number,
        "action": "train",
        "config": {
            "number": number,
            "seed": 5 + number,
            "model": {"class_path": "SpikingClassifier", "init_args": model},
            "data": tiny()["data"],
            "trainer": {"max_epochs": epochs, "accelerator": "cpu"},
        },
        "until_epoch": epochs,
        "parent": None,
        "edits": [],
        "keep_state": True,
        "sweep": None,
        "ranking": RANKING,
        "profiles": ["davies2018_loihi"],
    }


def done(tasks: list[dict[str, Any]], directory: Path, slots: int) -> list[dict[str, Any]]:
    """What came of some jobs, by number and time, without the wall clock."""
    messages: list[dict[str, Any]] = []
    group, waiting = Group(slots, directory, messages.append), list(tasks)
    while waiting or group.busy:
        while waiting and group.free:
            group.add(waiting.pop(0))
        group.step()
    assert not [message for message in messages if message["type"] == "note"]
    for message in messages:
        message.pop("seconds", None)
    return sorted(messages, key=lambda message: (message.get("number", message.get("order")), message["type"], message.get("epoch")))  # fmt: skip


def same(one: Any, other: Any, where: str = "") -> None:
    """Whether two checkpoints are equal, to the last bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for k, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            same(mine, theirs, f"{where}[{k}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other or (math.isnan(one) and math.isnan(other)), where


@pytest.fixture(scope="module")
def tasks() -> list[dict[str, Any]]:
    """Five jobs: one is short, one meets NaN, and with three slots two of them begin when others are done."""
    found = [task(number, epochs=2 + (number != 1)) for number in range(5)]
    found[2] = task(2, epochs=3, learning_rate=3e37)
    return found


@pytest.fixture(scope="module")
def alone(tasks: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    directory = tmp_path_factory.mktemp("alone")
    return directory, done(tasks, directory, slots=1)


@pytest.mark.parametrize(("slots", "order"), [(3, [0, 1, 2, 3, 4]), (4, [4, 2, 3, 1, 0])])
def test_a_member_has_the_numbers_and_files_that_it_has_alone_in_any_slot_beside_any_other(
    tasks: list[dict[str, Any]],
    alone: tuple[Path, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slots: int,
    order: list[int],
) -> None:
    shared: list[int] = []

    class Counted(Members):
        def forward(self, *arguments: Any, **options: Any) -> Any:
            shared.append(len(self.networks))
            return super().forward(*arguments, **options)

    monkeypatch.setattr("snnlightning.training.population.Members", Counted)
    expected, messages = alone
    assert done([tasks[number] for number in order], tmp_path, slots) == messages
    assert len(shared) > 30
    assert max(shared) == slots  # sizes and recurrence differ among them
    (failed,) = [message for message in messages if message["type"] == "failed"]
    assert failed["order"] == 2
    assert "became nan" in failed["reason"]
    for number in (0, 1, 3, 4):
        for name in ("best.ckpt", "last.ckpt"):
            mine, theirs = (
                torch.load(root / "trials" / str(number) / name, weights_only=True) for root in (tmp_path, expected)
            )
            same(mine, theirs, f"{number}/{name}")
        rows = [read_csv(root / "trials" / str(number) / "metrics.csv") for root in (tmp_path, expected)]
        assert rows[0] == rows[1]
        assert list(rows[0][0]) == list(rows[1][0])


def test_a_group_that_is_left_goes_on_from_its_checkpoints_with_the_same_numbers(
    tasks: list[dict[str, Any]],
    alone: tuple[Path, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("snnlightning.study.trial.Partial.__init__.__defaults__", (0.0,))  # at every epoch
    some = [tasks[number] for number in (0, 3, 4)]
    group = Group(3, tmp_path, lambda message: None)
    for one in some:
        group.add(one)
    group.step()
    group.close()
    assert all((tmp_path / "trials" / str(one["number"]) / "partial.ckpt").exists() for one in some)
    again = done(some, tmp_path, slots=3)
    assert [message["epoch"] for message in again if message["type"] == "epoch"] == [1, 2] * 3
    whole = [message for message in alone[1] if message.get("number", message.get("order")) in (0, 3, 4)]
    assert again == [message for message in whole if message.get("epoch") != 0]
    for number in (0, 3, 4):
        mine, theirs = (
            torch.load(root / "trials" / str(number) / "best.ckpt", weights_only=True)["state_dict"]
            for root in (tmp_path, alone[0])
        )
        same(mine, theirs)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"learning": "eprop"}, "learning is EProp; members learn by BPTT"),
        ({"firing": "sigmoid_escape"}, "stage 0 draws its spikes by SigmoidEscape"),
        ({"synops_target": 1e6}, "synops_target reads the Trainer's progress"),
    ],
)
def test_what_a_group_does_not_do_trains_alone_and_says_why(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    messages: list[dict[str, Any]] = []
    group = Group(2, tmp_path, messages.append)
    group.add(task(0, epochs=1, learn_tau="none", **changes))
    assert not group.busy
    assert messages[0]["type"] == "note"
    assert reason in messages[0]["text"]
    assert messages[-1]["type"] == "finished", messages[-1]


class Doubled(DigitsDataModule):
    """Its batches are made ready by the Trainer."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return 2.0 * dense(batch[0]), batch[1]


class Beginning(L.Callback):
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert trainer.current_epoch == 0


class WithCallback(SpikingClassifier):
    def configure_callbacks(self) -> list[L.Callback]:
        return [Beginning()]


class WithLbfgs(SpikingClassifier):
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(self.parameters(), lr=1e-3, max_iter=1)


@pytest.mark.parametrize(
    ("part", "changes", "reason"),
    [
        (
            "trainer",
            {"val_check_interval": 1, "limit_train_batches": 2},
            "trainer.val_check_interval is 1; members have 1.0",
        ),
        ("trainer", {"min_epochs": 1}, "trainer.min_epochs is 1"),
        ("trainer", {"detect_anomaly": True}, "trainer.detect_anomaly is on"),
        ("data", {"class_path": f"{__name__}.Doubled"}, "Doubled has a on_after_batch_transfer of its own"),
        ("model", {"class_path": f"{__name__}.WithLbfgs"}, "its optimizer asks for a closure"),
        ("model", {"class_path": f"{__name__}.WithCallback"}, "Beginning of the model has an on_train_start"),
    ],
)
def test_what_only_a_trainer_does_is_left_to_it(
    tmp_path: Path, part: str, changes: dict[str, Any], reason: str
) -> None:
    job = task(0, epochs=1)
    job["config"][part] |= changes
    messages: list[dict[str, Any]] = []
    Group(2, tmp_path, messages.append).add(job)
    assert messages[-1]["type"] == "finished", messages[-1]
    assert reason in messages[0]["text"]


class Breaking(SpikingClassifier):
    """Fails where gradients are made."""

    def penalty(self, records: Sequence[LayerRecord]) -> torch.Tensor | None:
        cost = records[0].output.mean()
        if self.current_epoch == 1 and cost.requires_grad:
            cost.register_hook(_break)
        return cost


def _break(gradient: torch.Tensor) -> None:
    raise RuntimeError("broken")


def test_who_fails_in_the_shared_backward_pass_fails_alone(tmp_path: Path) -> None:
    jobs = [task(0), task(2), task(3)]
    jobs[1]["config"]["model"]["class_path"] = f"{__name__}.Breaking"
    together = done(jobs, tmp_path / "together", slots=3)
    assert together == done(jobs, tmp_path / "alone", slots=1)
    assert [message["reason"] for message in together if message["type"] == "failed"] == ["RuntimeError: broken"]
    for number in (0, 3):
        ends = [tmp_path / name / "trials" / str(number) / "last.ckpt" for name in ("together", "alone")]
        same(*(torch.load(end, weights_only=True) for end in ends))


def test_jobs_that_end_together_are_handed_over_one_by_one(tmp_path: Path) -> None:
    """Whoever is interrupted at the second has the result of the first; and the second can be left."""
    results: list[int] = []
    threads = threading.active_count()

    def send(message: dict[str, Any]) -> None:
        if message["type"] == "finished":
            results.append(message["order"])

    group = Group(2, tmp_path, send)
    for number in (0, 2):
        group.add(task(number, epochs=1))
    group.step()
    assert results == []
    assert group.free == 0
    group.step()
    assert len(results) == 1
    assert group.free == 1
    group.close()
    assert len(results) == 1
    assert threading.active_count() == threads


def test_this_process_hands_out_a_result_before_it_begins_another_job(tmp_path: Path) -> None:
    pool = InlinePool(tmp_path)
    with Interrupts(pool.wake) as interrupts, pool:
        for number in (0, 2):
            pool.submit(task(number, epochs=1))
        while (message := pool.next_message(interrupts)) is not None and message["type"] != "finished":
            pass
        assert message is not None
        assert message["order"] == 0
        assert not (tmp_path / "trials" / "2").exists()


@pytest.mark.parametrize("policy", ["plain", "inherit", "scratch"])
def test_members_change_nothing_of_a_study(tmp_path: Path, policy: str) -> None:
    for members in (1, 3):
        study = config(
            members=members, policy={"name": policy}, trials=6, trainer={"max_epochs": 2, "accelerator": "cpu"}
        )
        Study(study, tmp_path / str(members)).run(workers=0)
    assert outcomes(tmp_path / "3") == outcomes(tmp_path / "1")
    fronts = [json.loads((tmp_path / name / "front.json").read_text()) for name in ("1", "3")]
    assert fronts[0] == fronts[1]
    assert set(states(tmp_path / "3")) == {"COMPLETE"}


@pytest.mark.slow
def test_worker_processes_take_several_trials_each(tmp_path: Path) -> None:
    for members in (1, 3):
        Study(config(members=members), tmp_path / str(members)).run(workers=1)
    assert outcomes(tmp_path / "3") == outcomes(tmp_path / "1")


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 1])
def test_who_kills_a_worker_takes_no_other_member_along(tmp_path: Path, retries: int) -> None:
    """Jobs of a worker that died run again in a process of their own, so that it is seen which of them did it."""
    killing = {
        "model": {"class_path": "tests.study.user_models.Troubled", "init_args": {}},
        "space": {"model.trouble": ["none", "killed"], "model.learning_rate": {"low": 0.01, "high": 0.05}},
        "sampler": {"name": "random"},
        "trials": 4,
        "retries": retries,
    }
    for members in (1, 3):
        Study(config(members=members, **killing), tmp_path / str(members)).run(workers=1)
    together, alone = outcomes(tmp_path / "3"), outcomes(tmp_path / "1")
    assert [row["state"] for row in together] == [row["state"] for row in alone]
    assert together == alone or retries == 0  # else the reason says that it died in company, and again without
    assert {row["state"] for row in outcomes(tmp_path / "3")} == {"complete", "failed"}


def test_members_beyond_what_is_in_flight_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="members is 8 and in_flight 3, so that no more than 3 trials"):
        config(members=8)


def test_a_member_that_goes_on_draws_on_from_where_it_stood(tmp_path: Path) -> None:
    """Twice: the state that the second part was begun from must not be what the third one is begun from."""
    stood = {}
    for slots in (1, 2):
        directory = tmp_path / str(slots)
        for until, action in ((1, "train"), (2, "resume"), (3, "resume")):
            jobs = []
            for number in (0, 3):
                job = task(number, epochs=3)
                job["config"]["model"]["class_path"] = "tests.study.user_models.Drawing"
                jobs.append({**job, "until_epoch": until, "action": action})
            done(jobs, directory, slots)
            kept = torch.load(directory / "trials/0/last.ckpt", weights_only=True)["callbacks"]
            (recorder,) = (state for name, state in kept.items() if name.startswith("Recorder"))
            stood[slots, until] = recorder["random"]["torch"]
    for until in (1, 2, 3):
        assert torch.equal(stood[1, until], stood[2, until])
    assert not torch.equal(stood[2, 2], stood[2, 3])
