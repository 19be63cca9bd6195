"""Things that users do to studies."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlightning.cli import main
from snnlightning.errors import ConfigurationError, StudyError
from snnlightning.study import Study
from snnlightning.study.storage import LOCK, remember
from snnlightning.study.trial import better_by

from .conftest import config, front, outcomes, read_csv, states

PLAIN = "tests.study.user_models.Plain"
UNCOUNTED = {"class_path": "tests.study.user_models.Uncounted", "init_args": {}}


def plain(**arguments: Any) -> dict[str, Any]:
    return {"class_path": PLAIN, "init_args": arguments}


def test_without_a_number_of_classes_a_bound_is_asked_for(tmp_path: Path) -> None:
    """Nobody knows what guessing reaches, so a silent network could be on the front."""
    unbounded = config(model=plain(), data=UNCOUNTED, space={"model.synops": [0.0, 1.0]})
    with pytest.raises(ConfigurationError, match=r"neither the data module nor the model has num_classes"):
        Study(unbounded, tmp_path / "s").run(workers=0)
    assert not (tmp_path / "s").exists()
    objectives = [{"name": "accuracy", "at_least": 0.6}, {"name": "synops"}]
    bounded = config(model=plain(), data=UNCOUNTED, objectives=objectives, space={"model.synops": [0.0, 1.0]}, trials=2)
    assert Study(bounded, tmp_path / "s").run(workers=0)["points"] == []


def test_a_model_of_ones_own_needs_no_records_and_may_have_an_attribute_called_counts(tmp_path: Path) -> None:
    study = config(model=plain(accuracy=0.9), space={"model.synops": [10.0, 5.0]}, trials=3)
    content = Study(study, tmp_path / "s").run(workers=0)
    assert [row["state"] for row in read_csv(tmp_path / "s" / "trials.csv")] == ["complete"] * 3
    assert content["points"][0]["test"]["accuracy"] == pytest.approx(0.9)


def test_a_front_that_cannot_be_tested_is_written_all_the_same(tmp_path: Path) -> None:
    study = Study(
        config(model=plain(accuracy=0.9, testable=False), space={"model.synops": [10.0, 5.0]}, trials=2), tmp_path / "s"
    )
    content = study.run(workers=0)
    assert content["points"]
    assert all(point["test"] is None for point in content["points"])
    assert content["hypervolume"]["test"] is None
    assert "could not be tested" in study.notes[0]


def test_a_front_point_whose_folder_is_gone_does_not_stop_the_study(tmp_path: Path) -> None:
    Study(config(trials=2), tmp_path / "s").run(workers=0)
    number = front(tmp_path / "s")["points"][0]["number"]
    shutil.rmtree(tmp_path / "s" / "trials" / str(number))
    study = Study(config(trials=3), tmp_path / "s")
    study.run(workers=0)
    assert len(outcomes(tmp_path / "s")) == 3
    assert f"trial {number} could not be tested" in " ".join(study.notes) or number not in {
        point["number"] for point in front(tmp_path / "s")["points"]
    }


def test_epochs_without_validation_are_not_judged(tmp_path: Path) -> None:
    trainer = {"max_epochs": 4, "check_val_every_n_epoch": 2, "accelerator": "cpu"}
    Study(config(trials=1, trainer=trainer), tmp_path / "s").run(workers=0)
    epochs = read_csv(tmp_path / "s" / "trials" / "0" / "metrics.csv")
    assert [bool(row["val_accuracy"]) for row in epochs] == [False, True, False, True]
    assert read_csv(tmp_path / "s" / "trials.csv")[0]["state"] in ("complete", "infeasible")


def test_an_epoch_with_a_number_beats_one_with_nan() -> None:
    better = better_by([("a", -1.0), ("b", 1.0)])
    assert better({"a": 1.0}, {"a": math.nan})
    assert not better({"a": math.nan}, {"a": 1.0})
    assert better({"a": 2.0, "b": 1.0}, {"a": 2.0, "b": 3.0})
    assert not better({"a": 2.0}, {"a": 2.0})


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (
            {"model.surrogate_width": "abc"},
            r"point 0: model\.surrogate_width is 'abc'; a number from 0\.1 to 1 is expected",
        ),
        ({"model.surrogate_width": 5.0}, r"model\.surrogate_width is 5\.0; a number from 0\.1 to 1"),
        ({"model.hidden_sizes.0": 20.5}, r"model\.hidden_sizes\.0 is 20\.5; a whole number from 8 to 24"),
        ({"model.surrogate": "boxcar"}, r"model\.surrogate is 'boxcar'; its choices are \['superspike', 'triangle'\]"),
        (
            {"model.neuron": "lif", "model.tau_syn_ms": 3.0},
            r"tau_syn_ms exists only for model\.neuron in \['cuba_lif'\]",
        ),
        ({"model.tau_syn_ms": 3.0}, r"tau_syn_ms exists only for model\.neuron"),
    ],
)
def test_a_start_point_outside_the_space_is_refused(point: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        config(start=[point])


def test_a_start_point_may_hold_a_list(tmp_path: Path) -> None:
    space = {"model.hidden_sizes": [[8], [12, 10]]}
    Study(config(space=space, start=[{"model.hidden_sizes": [12, 10]}], trials=1), tmp_path / "s").run(workers=0)
    assert read_csv(tmp_path / "s" / "trials.csv")[0]["model.hidden_sizes"] == "[12, 10]"


def test_an_element_of_a_drawn_list_may_be_a_parameter_itself(tmp_path: Path) -> None:
    """The choices stay what the space says: they are recorded, drawn again, and compared when a study goes on."""
    space = {"model.hidden_sizes": [[8], [12, 10]], "model.hidden_sizes.0": {"type": "int", "low": 20, "high": 24}}
    Study(config(space=space, trials=4), tmp_path / "s").run(workers=0)
    rows = read_csv(tmp_path / "s" / "trials.csv")
    assert {row["model.hidden_sizes"] for row in rows} == {"[8]", "[12, 10]"}
    assert all(20 <= int(row["model.hidden_sizes.0"]) <= 24 for row in rows)
    Study(config(space=space, trials=5), tmp_path / "s").run(workers=0)
    assert len(read_csv(tmp_path / "s" / "trials.csv")) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer": {"max_epochs": "three"}}, r"trainer\.max_epochs is 'three'; a whole number of at least 1"),
        ({"trainer": {"accelerator": "tpuu"}}, r"trainer: .*tpuu"),
        ({"trainer": {"devices": "auto"}}, r"trainer\.devices is 'auto'; a whole number"),
        ({"trainer": {"strategy": "fsdp"}}, r"trainer\.strategy is 'fsdp'; a trial trains with one of auto, ddp"),
        ({"trainer": {"logger": True}}, r"trainer\.logger is set by the study itself"),
        ({"objectives": [{"name": "accuracy", "reference": math.nan}]}, r"reference is nan; a finite number"),
        ({"space": {"depth": {"type": "int", "low": 1, "high": 2}, "model.bias": {"choices": [True], "when": {"depth": 3}}}}, r"never is 3"),
        ({"space": {"model.hidden_sizes.0": {"type": "int", "low": 8, "high": 9}, "model.hidden_sizes": [[4], [5]]}}, r"space\.model\.hidden_sizes comes after space\.model\.hidden_sizes\.0 and would overwrite it"),
        ({"space": {"trainer.max_epochs": [4, 8]}}, r"space\.trainer\.max_epochs: all trials of a study have the same max_epochs"),
        ({"space": {"trainer.devices": [1, 2]}}, r"space\.trainer\.devices: all trials of a study have the same devices"),
        ({"space": {"trainer.logger": [True]}}, r"trainer\.logger is set by the study itself"),
        ({"space": {"depth": {"type": "int", "low": 1, "high": 5, "step": 1.5}}}, r"step is 1\.5; a positive int is expected"),
    ],
)  # fmt: skip
def test_what_would_fail_in_every_trial_is_refused_at_once(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Study(config(**changes), tmp_path / "s").run(workers=0)
    assert not (tmp_path / "s").exists()


def test_one_database_keeps_two_studies_of_one_name_apart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    Study(config(trials=1), tmp_path / "one", storage=url).run(workers=0)
    with pytest.raises(StudyError, match="belongs to another directory"):
        Study(config(trials=1), tmp_path / "two", storage=url).run(workers=0)
    Study(config(trials=1, name="other"), tmp_path / "three", storage=url).run(workers=0)
    assert len(outcomes(tmp_path / "three")) == 1


def test_the_storage_is_remembered(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    Study(config(trials=1), tmp_path / "s", storage=url).run(workers=0)
    Study(config(trials=2), tmp_path / "s").run(workers=0)
    assert len(outcomes(tmp_path / "s")) == 2
    assert not (tmp_path / "s" / "study.db").exists()
    with pytest.raises(StudyError, match=r"lives in sqlite:.*elsewhere\.db, not in sqlite:.*third\.db"):
        Study(config(trials=2), tmp_path / "s", storage=f"sqlite:///{tmp_path / 'third.db'}").run(workers=0)


def test_a_result_that_was_torn_or_not_finite_does_not_block_a_resume(tmp_path: Path) -> None:
    import optuna

    Study(config(trials=3), tmp_path / "s").run(workers=0)
    expected = outcomes(tmp_path / "s")
    for content in (
        "{",
        '{"metrics": {"val_accuracy": null, "val_synops": 1.0}, "seconds": 1, "epochs": 1, "best_epoch": 0}',
    ):
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 's' / 'study.db'}")
        (study,) = storage.get_all_studies()
        last = storage.get_all_trials(study._study_id)[-1]
        with storage.engine.begin() as connection:  # as if the last trial had been killed just before it was told
            from sqlalchemy import text

            connection.execute(text("update trials set state = 'RUNNING' where trial_id = :id"), {"id": last._trial_id})
            connection.execute(text("delete from trial_values where trial_id = :id"), {"id": last._trial_id})
        storage.engine.dispose()
        (tmp_path / "s" / "trials" / "2" / "result.json").write_text(content)
        Study(config(trials=3), tmp_path / "s").run(workers=0)
        rows = outcomes(tmp_path / "s")
        if content == "{":
            assert rows == expected
        else:
            assert (rows[2]["state"], rows[2]["reason"]) == ("failed", "accuracy is nan")
        assert "RUNNING" not in states(tmp_path / "s")


def test_a_directory_that_cannot_be_made_is_one_line(
    write_config: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "run", str(write_config()), "--dir", "/dev/null/x", "--workers", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: /dev/null/x")


def test_a_name_with_slashes_stays_below_studies(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_config(name="../evil /x", trials=1)
    assert main(["study", "run", str(path), "--workers", "0", "--wandb", "disabled", "--no-report"]) in (0, 1)
    assert [entry.name for entry in (tmp_path / "studies").iterdir()] == ["evil-x"]
    assert not (tmp_path.parent / "evil ").exists()


def test_a_corrupt_front_is_one_line(
    tmp_path: Path, write_config: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Study(config(trials=1), tmp_path / "s").run(workers=0)
    (tmp_path / "s" / "front.json").write_text("{")
    assert main(["study", "status", str(tmp_path / "s")]) == 2
    assert "front.json is not valid JSON" in capsys.readouterr().err


def test_status_of_a_study_that_has_not_begun_makes_no_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.yaml").write_text(json.dumps(config().raw))
    assert main(["study", "status", str(tmp_path / "s")]) == 0
    assert "0 of 6" in capsys.readouterr().out
    assert [entry.name for entry in (tmp_path / "s").iterdir()] == ["study.yaml"]


def test_a_study_of_another_version_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    import optuna

    Study(config(trials=1), tmp_path / "s").run(workers=0)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 's' / 'study.db'}")
    (trial,) = storage.get_all_trials(storage.get_all_studies()[0]._study_id)
    record = json.loads(trial.user_attrs["entry"])
    from sqlalchemy import text

    for content in (json.dumps(json.dumps({**record, "format": 1})), None):
        with storage.engine.begin() as connection:
            if content is None:
                connection.execute(text("delete from trial_user_attributes"))
            else:
                connection.execute(text("update trial_user_attributes set value_json = :c"), {"c": content})
        before = (tmp_path / "s" / "trials.csv").read_bytes()
        with pytest.raises(StudyError, match="made by another version of snnlightning"):
            Study(config(trials=2), tmp_path / "s").run(workers=0)
        assert (tmp_path / "s" / "trials.csv").read_bytes() == before
    storage.engine.dispose()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "s" / LOCK).mkdir(parents=True)
    with pytest.raises(StudyError, match=r"study\.lock cannot be written \(Is a directory\)"):
        Study(config(), tmp_path / "s").run(workers=0)


def test_a_study_goes_on_with_workers_elsewhere_where_it_began(
    tmp_path: Path, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its storage is a server, and remembered: the second command need not name it."""
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.yaml").write_text(json.dumps(config().raw))
    remember(tmp_path / "s", "postgresql://me@localhost/db", "x")
    given: dict[str, Any] = {}

    def run(study: Study, workers: int | None, observers: object, **options: Any) -> None:
        given.update(options)
        raise StudyError("seen")

    monkeypatch.setattr(Study, "run", run)
    assert main(["study", "run", str(write_config()), "--dir", str(tmp_path / "s"), "--wandb", "disabled"]) == 2
    assert given["remote"] is True


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "slurm", "--workers", "0"], "SLURM has to start 1 or more"),
        (["--engine", "local", "--workers", "1", "--slurm", "time=1"], "--slurm is for --engine slurm"),
    ],
)
def test_a_launch_that_would_start_nobody_is_one_line(
    options: list[str],
    words: str,
    tmp_path: Path,
    write_config: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["study", "launch", str(write_config()), "--dir", str(tmp_path / "s"), "--wandb", "disabled"]
    assert main([*command, *options]) == 2
    assert words in capsys.readouterr().err
