"""Inheritance: what a child gets from its parent, what an edit does to it, and who hears of it."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlightning.errors import ConfigurationError
from snnlightning.study import Study
from snnlightning.study.archive import Archive, Entry
from snnlightning.study.edits import draw_edits, edited
from snnlightning.study.files import read_yaml
from snnlightning.study.front import FrontPoint, front_points
from snnlightning.study.jobs import Job
from snnlightning.study.policies import inherit
from snnlightning.study.search_study import Record, SearchStudy
from snnlightning.study.trial import run_trial

from .conftest import complete_row, config, front, outcomes, states

MODEL: dict[str, Any] = {
    "class_path": "SpikingClassifier",
    "init_args": {
        "in_features": 64,
        "num_classes": 10,
        "hidden_sizes": [12, 9],
        "recurrent": True,
        "readout": "mean_over_time",
        "regularizers": {"population_upper_bound": {"strength": 0.1, "bound": 1.0}},
        "learning_rate": 0.02,
    },
}
SWEPT = 0.45
"""A share that no edit prunes: who has it, has it from a sweep."""
INHERIT: dict[str, Any] = {
    "policy": {"name": "inherit", "short_epochs": 1, "start": 0.3, "sweep": {"prune": [0.0, SWEPT]}},
    "trials": 7,
    "chance_margin": 0.02,
    "model": {**MODEL, "init_args": {**MODEL["init_args"], "hidden_sizes": [12], "learning_rate": 0.05}},
    "space": {"model.hidden_sizes.0": {"type": "int", "low": 8, "high": 24, "log": True}},
}


def child_of(parent: Job, *edits: dict[str, Any], until_epoch: int = 1) -> Job:
    trial = {**edited(parent.config, edits), "number": 1, "seed": 7}
    return Job(
        order=1, number=1, action="child", config=trial, until_epoch=until_epoch, parent=0, edits=edits, keep_state=True
    )


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job]:
    directory = tmp_path_factory.mktemp("parent")
    study = config(model=MODEL)
    trial = {"number": 0, "seed": 5, **study.base}
    job = Job(order=0, number=0, action="train", config=trial, until_epoch=2, keep_state=True)
    run_trial(job, directory, ranking=[("val_accuracy", -1.0)])
    return directory, job


def weights(directory: Path, number: int) -> dict[str, torch.Tensor]:
    content: dict[str, Any] = torch.load(directory / f"trials/{number}/best.ckpt", weights_only=True)
    return dict(content["state_dict"])


def run(directory: Path, job: Job) -> None:
    run_trial(job, directory, ranking=[("val_accuracy", -1.0)])


def test_a_child_without_edits_goes_on_where_its_parent_was_best(parent: tuple[Path, Job]) -> None:
    """With no step of training (a learning rate of next to nothing) the weights are the parent's, and so is the answer."""
    directory, job = parent
    run(directory, child_of(job, {"edit": "learning_rate", "factor": 1e-12}))
    before, after = weights(directory, 0), weights(directory, 1)
    assert all(torch.allclose(before[name], after[name], rtol=0, atol=1e-9) for name in before)


def test_the_optimizer_goes_on_too(parent: tuple[Path, Job]) -> None:
    directory, job = parent
    run(directory, child_of(job))
    first, second = (
        torch.load(directory / f"trials/{k}/last.ckpt", weights_only=True)["optimizer_states"][0]["state"]
        for k in (0, 1)
    )
    steps = [{float(moments["step"]) for moments in state.values()} for state in (first, second)]
    assert steps[1] == {3 / 2 * next(iter(steps[0]))}, "two epochs of the parent and one of the child"


def test_pruned_weights_stay_zero_through_training(parent: tuple[Path, Job]) -> None:
    directory, job = parent
    run(directory, child_of(job, {"edit": "prune", "share": 0.5}))
    before, after = weights(directory, 0), weights(directory, 1)
    for name in before:
        if name.endswith(("w_in", "w_rec")):
            assert int((after[name] == 0).sum()) == before[name].numel() // 2
    moved = [name for name in before if bool((after[name] != before[name])[after[name] != 0].any())]
    assert moved, "what is left is trained"


def test_a_narrower_child_computes_with_the_neurons_that_are_left(parent: tuple[Path, Job]) -> None:
    directory, job = parent
    edits = ({"edit": "narrow", "share": 0.3}, {"edit": "learning_rate", "factor": 1e-12})
    run(directory, child_of(job, *edits))
    before, after = weights(directory, 0), weights(directory, 1)
    assert read_yaml(directory / "trials/1/config.yaml")["model"]["init_args"]["hidden_sizes"] == [8, 6]
    says = before["network.layers.1.w_in"].abs().sum(0) + before["network.layers.0.w_rec"].abs().sum(0)
    says -= before["network.layers.0.w_rec"].diagonal().abs()
    stay = says.argsort(descending=True)[:8].sort().values
    close = {"rtol": 0.0, "atol": 1e-9}
    torch.testing.assert_close(after["network.layers.0.w_in"], before["network.layers.0.w_in"][stay], **close)
    torch.testing.assert_close(
        after["network.layers.0.w_rec"], before["network.layers.0.w_rec"][stay][:, stay], **close
    )
    assert after["network.layers.1.w_in"].shape == (6, 8)
    assert after["network.layers.2.w_in"].shape == (10, 6)
    moments = torch.load(directory / "trials/1/last.ckpt", weights_only=True)["optimizer_states"][0]["state"]
    assert all(float(state["step"]) > 11 for state in moments.values()), "the optimizer's state was cut, not lost"


def test_edits_are_drawn_from_what_a_network_allows() -> None:
    allowed = {edit["edit"] for seed in range(40) for edit in draw_edits({"model": MODEL}, 20, 2, random.Random(seed))}
    assert allowed == {"prune", "narrow", "stop", "regularize", "learning_rate"}
    for seed in range(40):
        edits = draw_edits({"model": MODEL}, 20, 2, random.Random(seed))
        assert len({edit["edit"] for edit in edits}) == 2
        assert all(edit["step"] in (17, 18, 19) for edit in edits if edit["edit"] == "stop"), "20 steps cannot grow"
    foreign = {"model": {"class_path": "tests.study.user_models.Noisy", "init_args": {"learning_rate": 0.1}}}
    allowed = {edit["edit"] for seed in range(40) for edit in draw_edits(foreign, 20, 2, random.Random(seed))}
    assert allowed == {"prune", "learning_rate"}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(config(**INHERIT), tmp_path_factory.mktemp("inherit") / "study")
    study.run(workers=0)
    return study


def test_fresh_networks_come_first_then_children_of_the_front(searched: Study) -> None:
    rows = searched.rows()
    kinds = [row.kind for row in rows]
    assert kinds[:3] == ["trained"] * 3
    assert kinds.count("inherited") > len(kinds) / 2
    children = [row for row in rows if row.kind == "inherited"]
    assert all(row.parent is not None and rows[row.parent].state == "complete" for row in children)
    assert all(row.lineage[-1] == row.parent and rows[row.lineage[0]].kind == "trained" for row in children)
    assert sum(row.charged for row in rows) <= 14 + 3 * 2 * 4 / 11 / 3, "at most the sweeps of what ran at the end more"


def test_a_row_says_what_a_child_is_and_not_what_its_ancestor_was(searched: Study) -> None:
    for row in searched.rows():
        trial = read_yaml(searched.directory / f"trials/{row.number}/config.yaml")
        assert row.params["model.hidden_sizes.0"] == trial["model"]["init_args"]["hidden_sizes"][0]


def test_the_front_says_where_a_network_comes_from(searched: Study) -> None:
    for point in front(searched.directory)["points"]:
        assert point["kind"] in ("trained", "inherited", "swept")
        assert point["epochs"] == 1 + len(point["lineage"])


def test_the_state_of_a_training_is_kept_for_parents_only(searched: Study) -> None:
    kept = {int(file.parent.name) for file in searched.directory.glob("trials/*/last.ckpt")}
    rows, objectives = searched.rows(), searched.config.objectives
    fronts = (front_points(rows, objectives), front_points([replace(row, swept=()) for row in rows], objectives))
    assert kept == {point.row.number for points in fronts for point in points}
    assert len(kept) < len(rows)


@pytest.mark.parametrize(("share", "some"), [(0.0, False), (1.0, True)])
def test_children_start_from_swept_points_as_often_as_is_said(
    share: float, some: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {**INHERIT["policy"], "swept": share, "fresh": 0.0, "onward": 0.0}
    study = Study(config(**{**INHERIT, "trials": 5, "policy": policy}), tmp_path / "study")
    entries = entries_of(study, monkeypatch)
    assert any(point.prune == SWEPT for row in study.rows() for point in row.swept), "something to choose from"
    children = [entry.job.edits for entry in entries.values() if entry.kind == "inherited"]
    assert children
    assert any({"edit": "prune", "share": SWEPT} in edits for edits in children) is some


def entries_of(study: Study, monkeypatch: pytest.MonkeyPatch) -> dict[int, Entry]:
    """Run a study; its entries as they ended."""
    entries: dict[int, Entry] = {}
    original = Archive.update

    def spy(self: Archive, entry: Entry) -> None:
        entries[entry.number] = entry
        original(self, entry)

    monkeypatch.setattr(Archive, "update", spy)
    study.run(workers=0)
    return entries


def test_a_child_without_edits_brings_the_most_accurate_network_to_a_full_training_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {**INHERIT["policy"], "sweep": False, "fresh": 0.0, "onward": 1.0}
    study = Study(config(**{**INHERIT, "policy": policy, "in_flight": 1, "trials": 4}), tmp_path / "study")
    entries = entries_of(study, monkeypatch)
    onward = [entry for entry in entries.values() if entry.kind == "inherited" and not entry.job.edits]
    assert onward
    assert len({entry.parent for entry in onward}) == len(onward), "nobody is trained on twice"
    for entry in onward:
        before = [row for row in study.rows()[: entry.number] if row.state == "complete"]
        done = {other.parent for other in onward if other.number < entry.number}
        ahead = [
            point.row for point in front_points([replace(row, swept=()) for row in before], study.config.objectives)
        ]
        waiting = [row.number for row in ahead if row.number not in done and row.kind == "trained"]
        assert entry.parent == waiting[0]
        assert 1 + entry.job.until_epoch == 2, "its parent had one epoch, a full training has two"


@pytest.mark.parametrize(("shares", "budget"), [({"fresh": 0.0, "onward": 1.0}, 9), ({"fresh": 1.0}, 7)])
def test_what_does_not_fit_into_the_budget_any_more_gives_way_to_a_child(
    shares: dict[str, float], budget: int, tmp_path: Path
) -> None:
    """Three fresh networks of one epoch, or three of two; then nothing but a child of one epoch fits into the last one."""
    short = 1 if "onward" in shares else 2
    policy = {"name": "inherit", "short_epochs": short, "child_epochs": 1, "start": 0.3, "sweep": False, **shares}
    changes = {"policy": policy, "trainer": {"max_epochs": 6, "accelerator": "cpu"}, "in_flight": 1}
    study = Study(config(**{**INHERIT, **changes, "budget_epochs": budget}), tmp_path / "study")
    study.run(workers=0)
    rows = study.rows()
    assert sum(row.charged for row in rows) == budget
    assert rows[-1].kind == "inherited"
    assert rows[-1].epochs == 1
    assert read_yaml(study.directory / f"trials/{rows[-1].number}/config.yaml")["trainer"]["max_epochs"] == 1


POINTS = [(0.30, 10.0), (0.90, 1000.0), *((0.60 + 0.001 * k, 100.0 + k) for k in range(20))]


def front_of(points: list[tuple[float, float]]) -> list[FrontPoint]:
    rows = [complete_row(k, accuracy, synops) for k, (accuracy, synops) in enumerate(points)]
    return front_points(rows, config(**INHERIT).objectives)


def test_parents_are_spread_along_the_front_however_crowded_a_part_of_it_is() -> None:
    source, objectives = random.Random(0), config(**INHERIT).objectives
    drawn = [inherit._along(front_of(POINTS), objectives, source).row.number for _ in range(600)]
    alone = [drawn.count(number) / 600 for number in (0, 1)]
    assert all(share > 0.2 for share in alone), "an even draw of points gives each of them one in 22"


def test_parents_are_better_than_the_reference_point_as_soon_as_one_is() -> None:
    strict = config(
        **{**INHERIT, "objectives": [{"name": "accuracy", "reference": 0.5}, {"name": "synops"}]}
    ).objectives
    assert {point.row.number for point in inherit._that_count(front_of(POINTS), strict)} == set(range(1, 22))
    beyond = front_of(POINTS[:1])
    assert inherit._that_count(beyond, strict) == beyond


def test_the_sampler_hears_how_far_a_network_is_beyond_the_reference_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[int, Record] = {}
    original = SearchStudy.ask

    def spy(self: SearchStudy, records: list[Record], *arguments: Any) -> Any:
        told.update({record.number: record for record in records if record.result is not None})
        return original(self, records, *arguments)

    monkeypatch.setattr(SearchStudy, "ask", spy)
    objectives = [{"name": "accuracy", "reference": 0.99}, {"name": "synops", "reference": 1e6}]
    study = Study(config(**{**INHERIT, "objectives": objectives, "trials": 2, "in_flight": 1}), tmp_path / "study")
    study.run(workers=0)
    assert told
    for number, record in told.items():
        assert record.result is not None
        missed = record.result.violations
        assert missed["reference of accuracy"] == 0.99 - study.rows()[number].values["accuracy"]
        assert missed["reference of synops"] < 0.0
    assert all(row.state == "complete" for row in study.rows()), "they are feasible all the same"
    assert not any(row.swept for row in study.rows()), "nothing to be won by a sweep"
    assert all(row.charged == row.epochs for row in study.rows())


def test_no_sampler_is_told_of_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Record] = []
    original = SearchStudy.ask

    def spy(self: SearchStudy, records: list[Record], *arguments: Any) -> Any:
        told.extend(records)
        return original(self, records, *arguments)

    monkeypatch.setattr(SearchStudy, "ask", spy)
    study = Study(config(**{**INHERIT, "trials": 5, "policy": {**INHERIT["policy"], "fresh": 0.5}}), tmp_path / "study")
    study.run(workers=0)
    children = {row.number for row in study.rows() if row.kind == "inherited"}
    assert children
    assert told
    assert not children & {record.number for record in told}


def test_a_search_that_was_killed_and_taken_up_is_the_search_that_was_not(
    searched: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(config(**INHERIT), tmp_path / "study")
    original, calls = Archive.update, []

    def dies(self: Archive, entry: Any) -> None:
        calls.append(entry)
        if len(calls) == 7:
            raise KeyboardInterrupt
        original(self, entry)

    monkeypatch.setattr(Archive, "update", dies)
    with pytest.raises(KeyboardInterrupt):
        study.run(workers=0)
    monkeypatch.setattr(Archive, "update", original)
    Study.open(tmp_path / "study").run(workers=0)
    assert outcomes(tmp_path / "study") == outcomes(searched.directory)
    assert set(states(tmp_path / "study")) == {"COMPLETE"}


@pytest.mark.parametrize(
    "wrong", [{"short_epochs": 0}, {"start": 1.5}, {"fresh": -0.1}, {"edits": 0}, {"swept": 2.0}, {"onward": 1.1}]
)
def test_an_inheritance_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="policy inherit"):
        config(policy={"name": "inherit", **wrong})


def test_inheritance_is_the_default_where_weights_can_be_edited() -> None:
    assert type(config(policy=None).policy).__name__ == "Inherit"
    foreign = {"class_path": "tests.study.user_models.Plain", "init_args": {}}
    plain = config(policy=None, model=foreign, space={"model.accuracy": {"low": 0.1, "high": 0.9}})
    assert type(plain.policy).__name__ == "Plain"
