"""A whole study, in this process: what it leaves behind, and that it repeats."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from snnlightning.data import DigitsDataModule
from snnlightning.errors import StudyError
from snnlightning.study import Study
from snnlightning.study.samplers import SAMPLERS
from snnlightning.study.trial import quiet_trainer
from snnlightning.training import SpikingClassifier

from .conftest import config, front, outcomes, read_csv, states

USER = {"class_path": "tests.study.user_models.Troubled", "init_args": {}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study") / "tiny"
    Study(config(), directory).run(workers=0)
    return directory


def test_the_directory_is_self_contained(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"study.yaml", "versions.json", "study.db", "trials.csv", "front.json", "front.csv", "trials"} <= names
    assert yaml.safe_load((finished / "study.yaml").read_text())["space"].keys() == config().raw["space"].keys()
    assert json.loads((finished / "versions.json").read_text())["torch"] == torch.__version__
    for number in range(6):
        trial = finished / "trials" / str(number)
        assert {"config.yaml", "metrics.csv", "best.ckpt", "result.json"} <= {path.name for path in trial.iterdir()}
        assert [row["epoch"] for row in read_csv(trial / "metrics.csv")] == ["0", "1"]


def test_every_finished_trial_has_a_row_and_no_trial_is_left_open(finished: Path) -> None:
    rows = read_csv(finished / "trials.csv")
    assert [row["number"] for row in rows] == [str(number) for number in range(6)]
    assert set(states(finished)) == {"COMPLETE"}
    assert {row["state"] for row in rows} <= {"complete", "infeasible"}


def test_a_conditional_parameter_is_empty_where_its_parent_has_another_value(finished: Path) -> None:
    rows = read_csv(finished / "trials.csv")
    assert {row["model.neuron"] for row in rows} == {"lif", "cuba_lif"}, "the seed should draw both"
    for row in rows:
        assert bool(row["model.tau_syn_ms"]) == (row["model.neuron"] == "cuba_lif")


def test_the_front_holds_exactly_the_feasible_trials_that_nobody_beats(finished: Path) -> None:
    rows = [row for row in read_csv(finished / "trials.csv") if row["state"] == "complete"]
    reached = {int(row["number"]): (float(row["accuracy"]), float(row["synops"])) for row in rows}

    def beaten(number: int) -> bool:
        accuracy, synops = reached[number]
        return any(a >= accuracy and s <= synops and (a > accuracy or s < synops) for a, s in reached.values())

    points = front(finished)["points"]
    assert {point["number"] for point in points} == {number for number in reached if not beaten(number)}
    assert points
    assert [p["values"]["accuracy"] for p in points] == sorted((p["values"]["accuracy"] for p in points), reverse=True)


def test_a_front_point_is_its_checkpoint(finished: Path) -> None:
    """The checkpoint, loaded by class alone, has the front's numbers on validation and test, to the last digit."""
    for point in front(finished)["points"]:
        model = SpikingClassifier.load_from_checkpoint(finished / point["checkpoint"], weights_only=True)
        data = DigitsDataModule(**config().base["data"]["init_args"])
        trainer = quiet_trainer(accelerator="cpu")
        for stage, run, expected in (("val", trainer.validate, point["values"]), ("test", trainer.test, point["test"])):
            (metrics,) = run(model, datamodule=data, verbose=False)
            assert metrics[f"{stage}_accuracy"] == expected["accuracy"]
            assert model.counts[stage].total == expected["synops"]


def test_values_are_those_of_the_best_epoch(finished: Path) -> None:
    for row in read_csv(finished / "trials.csv"):
        epochs = read_csv(finished / "trials" / row["number"] / "metrics.csv")
        best = max(epochs, key=lambda epoch: (float(epoch["val_accuracy"]), -float(epoch["val_synops"])))
        assert float(row["accuracy"]) == float(best["val_accuracy"])
        assert float(row["synops"]) == float(best["val_synops"])


def test_counts_and_raster_of_a_front_point_agree_with_its_test_values(finished: Path) -> None:
    for point in front(finished)["points"]:
        folder = finished / "trials" / str(point["number"])
        counts = json.loads((folder / "counts.json").read_text())
        assert counts["total"] == point["test"]["synops"]
        assert sum(counts["by_kind"].values()) == pytest.approx(counts["total"])
        assert sum(counts["by_layer"].values()) == pytest.approx(counts["total"])
        raster = json.loads((folder / "raster.json").read_text())
        assert [layer["name"] for layer in raster["layers"]] == ["input", "hidden_0"]
        assert raster["steps"] == 6
        assert all(0 <= step < 6 for layer in raster["layers"] for step in layer["time"])


def test_hypervolume_is_that_of_the_points_on_their_own_axes(finished: Path) -> None:
    import math

    content = front(finished)
    for stage, key in (("validation", "values"), ("test", "test")):
        steps = sorted(
            (math.log10(point[key]["synops"]), point[key]["accuracy"])
            for point in content["points"]
            if point[key]["accuracy"] > 0.2 and point[key]["synops"] < 1e5
        )
        area, best = 0.0, 0.2
        edges = [*(cost for cost, _ in steps[1:]), 5.0]
        for (cost, accuracy), edge in zip(steps, edges, strict=True):
            best = max(best, accuracy)
            area += (edge - cost) * (best - 0.2)
        assert content["hypervolume"][stage] == pytest.approx(area, rel=1e-12)


def test_front_csv_is_the_twin_of_front_json(finished: Path) -> None:
    rows = read_csv(finished / "front.csv")
    points = front(finished)["points"]
    assert [int(row["number"]) for row in rows] == [point["number"] for point in points]
    assert [float(row["test_synops"]) for row in rows] == [point["test"]["synops"] for point in points]


def test_the_same_seed_gives_the_same_trials_whatever_the_workers(finished: Path, tmp_path: Path) -> None:
    Study(config(), tmp_path / "two").run(workers=2)
    assert outcomes(tmp_path / "two") == outcomes(finished)
    assert front(tmp_path / "two") == front(finished)


def test_another_seed_gives_other_trials(finished: Path, tmp_path: Path) -> None:
    Study(config(seed=4, trials=2), tmp_path / "other").run(workers=0)
    assert [row["model.surrogate_width"] for row in outcomes(tmp_path / "other")] != [
        row["model.surrogate_width"] for row in outcomes(finished)[:2]
    ]


def test_a_finished_study_is_not_trained_again(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("trials/*/best.ckpt")}
    content = Study(config(), finished).run(workers=0)
    assert content == front(finished)
    assert before == {path: path.stat().st_mtime_ns for path in finished.glob("trials/*/best.ckpt")}


def test_more_trials_go_on_where_the_study_ended(tmp_path: Path) -> None:
    Study(config(trials=2), tmp_path / "s").run(workers=0)
    first = outcomes(tmp_path / "s")
    Study(config(trials=4), tmp_path / "s").run(workers=0)
    assert outcomes(tmp_path / "s")[:2] == first
    assert len(outcomes(tmp_path / "s")) == 4


def test_a_trial_that_fails_is_recorded_with_its_reason_and_the_study_goes_on(tmp_path: Path) -> None:
    study = config(
        trials=4,
        model=USER,
        space={"model.trouble": ["none", "raises", "nan", "silent"]},
        start=[{"model.trouble": trouble} for trouble in ("raises", "nan", "silent", "none")],
    )
    content = Study(study, tmp_path / "s").run(workers=0)
    raises, nan, silent, healthy = read_csv(tmp_path / "s" / "trials.csv")
    assert (raises["state"], raises["accuracy"]) == ("failed", "")
    assert raises["reason"] == "RuntimeError: the cat sat on the keyboard <b>"
    assert nan["state"] == "failed"
    assert nan["reason"].endswith("became nan in epoch 0")
    assert states(tmp_path / "s")[:2] == ["FAIL", "FAIL"]
    assert (silent["state"], float(silent["accuracy"]) < 0.2) == ("infeasible", True)
    assert "above_chance" in silent["reason"]
    assert float(silent["synops"]) < float(healthy["synops"]), (
        "the silent network is the cheapest, and must not be on the front"
    )
    assert [point["number"] for point in content["points"]] == [3]


def test_a_worker_that_is_killed_costs_its_trial_only(tmp_path: Path) -> None:
    study = config(
        trials=3,
        retries=0,
        model=USER,
        space={"model.trouble": ["none", "killed"]},
        start=[{"model.trouble": trouble} for trouble in ("killed", "none", "none")],
    )
    Study(study, tmp_path / "s").run(workers=1)
    rows = read_csv(tmp_path / "s" / "trials.csv")
    assert [row["state"] for row in rows] == ["failed", "complete", "complete"]
    assert "SIGKILL" in rows[0]["reason"]


def test_bounds_of_an_objective_make_a_trial_infeasible(tmp_path: Path) -> None:
    objectives = [{"name": "accuracy"}, {"name": "synops", "at_most": 1.0}]
    content = Study(config(trials=1, objectives=objectives), tmp_path / "s").run(workers=0)
    (row,) = read_csv(tmp_path / "s" / "trials.csv")
    assert row["state"] == "infeasible"
    assert row["reason"].startswith("synops.at_most missed by ")
    assert content["points"] == []


def test_three_objectives_and_every_sampler_run(tmp_path: Path) -> None:
    objectives = [{"name": "accuracy"}, {"name": "synops"}, {"name": "spikes"}]
    for sampler in SAMPLERS:
        study = config(trials=2, objectives=objectives, sampler={"name": sampler, "startup_trials": 1})
        content = Study(study, tmp_path / sampler).run(workers=0)
        assert set(content["directions"]) == {"accuracy", "synops", "spikes"}
        assert states(tmp_path / sampler) == ["COMPLETE", "COMPLETE"]


def test_observers_are_told_of_every_trial_and_every_epoch(tmp_path: Path) -> None:
    told: list[tuple[Any, ...]] = []

    class Observer:
        def started(self, config: Any, directory: Path, rows: Any) -> None:
            told.append(("started", len(rows)))

        def asked(self, number: int, params: Any) -> None:
            told.append(("asked", number))

        def epoch(self, number: int, epoch: int, metrics: Any) -> None:
            told.append(("epoch", number, epoch))

        def finished(self, row: Any, front: Any) -> None:
            told.append(("finished", row["number"]))

        def testing(self, done: int, total: int) -> None:
            told.append(("testing",))

        def note(self, text: str) -> None:
            told.append(("note", text))

        def ended(self, front: Any) -> None:
            told.append(("ended", len(front["points"])))

    content = Study(config(trials=2), tmp_path / "s").run(workers=0, observers=[Observer()])
    assert told[0] == ("started", 0)
    assert [item for item in told if item[0] == "epoch"] == [("epoch", n, e) for n in (0, 1) for e in (0, 1)]
    assert [item for item in told if item[0] == "finished"] == [("finished", 0), ("finished", 1)]
    assert told[-1] == ("ended", len(content["points"]))


def test_a_directory_of_another_study_is_refused_and_left_as_it_was(finished: Path) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in finished.iterdir())
    with pytest.raises(StudyError, match=r"made with another configuration: seed was 3 and is 5"):
        Study(config(seed=5), finished)
    changed = config().raw["space"] | {"model.surrogate": ["superspike"]}
    with pytest.raises(StudyError, match=r"space\.model\.surrogate was .*triangle.* and is \['superspike'\]"):
        Study(config(space=changed), finished)
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in finished.iterdir())


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StudyError, match="is not empty and holds no study"):
        Study(config(), tmp_path)
    with pytest.raises(StudyError, match="is a file"):
        Study(config(), tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_study_whose_data_cannot_be_loaded_writes_nothing(tmp_path: Path) -> None:
    data = {"class_path": "SpikingHDF5DataModule", "init_args": {"train": str(tmp_path / "missing.h5")}}
    with pytest.raises(Exception, match=r"missing\.h5"):
        Study(config(data=data), tmp_path / "s").run(workers=0)
    assert not (tmp_path / "s").exists()


def test_a_model_that_does_not_fit_the_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    model = {"class_path": "SpikingClassifier", "init_args": {"in_features": 32, "num_classes": 10}}
    with pytest.raises(Exception, match=r"model and data do not fit.*64 features.*takes 32"):
        Study(config(model=model), tmp_path / "s").run(workers=0)
    assert not (tmp_path / "s").exists()


def test_two_runs_of_one_study_at_a_time_are_refused(tmp_path: Path) -> None:
    from snnlightning.study.storage import lock

    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.yaml").write_text(yaml.safe_dump(config().raw))
    with lock(tmp_path / "s"), pytest.raises(StudyError, match="run by another process"):
        Study(config(), tmp_path / "s").run(workers=0)


def test_a_corrupt_storage_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.yaml").write_text(yaml.safe_dump(config().raw))
    (tmp_path / "s" / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StudyError, match=r"study\.db cannot be opened"):
        Study(config(), tmp_path / "s").run(workers=0)


def test_trials_csv_is_read_by_any_csv_reader(finished: Path) -> None:
    with (finished / "trials.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert header[:9] == ["number", "state", "reason", "seconds", "epochs", "seed", "kind", "parent", "charged"]
