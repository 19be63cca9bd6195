"""What a study leaves for Weights & Biases, offline, read back with W&B's own tool."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlightning.cli import main

from .conftest import REPOSITORY, front, outcomes, tiny

pytest.importorskip("wandb", reason="W&B is not installed")


def summary(run: Path) -> dict[str, Any]:
    (file,) = run.glob("*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(file)]
    content: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return content


def records(run: Path) -> list[dict[str, Any]]:
    (file,) = run.glob("*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def described(run: Path) -> dict[str, Any]:
    """The run record that W&B wrote first: display name, group, job type."""
    (first,) = [record["run"] for record in records(run) if record["type"] == "run"][:1]
    return dict(first)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study run by the command line in a process of its own, offline, without an account."""
    directory = tmp_path_factory.mktemp("tracked")
    (directory / "tiny.yaml").write_text(json.dumps(tiny(final_seeds=2, finalists=2)))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    environment |= {"PYTHONPATH": str(REPOSITORY), "HOME": str(directory), "OMP_NUM_THREADS": "1"}
    command = "import sys; from snnlightning.cli import main; sys.exit(main())"
    arguments = ["study", "run", "tiny.yaml", "--dir", "s", "--workers", "0"]
    done = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory / "s"


def runs(directory: Path) -> dict[str, Path]:
    return {described(path)["display_name"]: path for path in sorted((directory / "wandb").glob("offline-run-*"))}


def test_there_is_one_run_for_the_study_and_one_for_each_point_of_the_front(tracked: Path) -> None:
    numbers = [point["number"] for point in front(tracked)["points"]]
    assert set(runs(tracked)) == {"tiny", *(f"tiny/trial-{number}" for number in numbers)}
    for name, path in runs(tracked).items():
        record = described(path)
        assert record["run_group"] == "tiny"
        assert record["job_type"] == ("study" if name == "tiny" else "trial")
        assert [r for r in records(path) if r["type"] == "exit"], f"{name} was not finished"


def test_the_study_run_holds_the_finalists(tracked: Path) -> None:
    held = front(tracked)["finalists"]
    (table,) = runs(tracked)["tiny"].glob("files/media/table/front/finalists*.table.json")
    content = json.loads(table.read_text())
    rows = [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
    assert [row["number"] for row in rows] == [one["number"] for one in held]
    assert [row["fresh_accuracy_mean"] for row in rows] == [one["test"]["accuracy"]["mean"] for one in held]
    found = summary(runs(tracked)["tiny"])["summary"]
    assert found["hypervolume/fresh"] == pytest.approx(front(tracked)["hypervolume"]["fresh"])


def test_the_study_run_holds_all_trials_and_the_picture_of_the_front(tracked: Path) -> None:
    path = runs(tracked)["tiny"]
    (table,) = path.glob("files/media/table/trials*.table.json")
    content = json.loads(table.read_text())
    column = content["columns"].index("number")
    assert [row[column] for row in content["data"]] == [int(row["number"]) for row in outcomes(tracked)]
    (picture,) = path.glob("files/media/plotly/front/picture*.plotly.json")
    assert json.loads(picture.read_text())["data"]
    (points,) = path.glob("files/media/table/front/table*.table.json")
    assert len(json.loads(points.read_text())["data"]) == len(front(tracked)["points"])


def test_a_point_of_the_front_holds_its_values_and_learning_curve(tracked: Path) -> None:
    for point in front(tracked)["points"]:
        content = summary(runs(tracked)[f"tiny/trial-{point['number']}"])
        assert content["summary"]["val/accuracy"] == point["values"]["accuracy"]
        assert content["summary"]["test/synops"] == point["test"]["synops"]
        assert content["summary"]["epoch"] == 1
        assert content["config"]["model.surrogate"] == point["params"]["model.surrogate"]


def test_a_disabled_tracker_imports_nothing_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(json.dumps(tiny(trials=1)))
    code = (
        "import sys; from snnlightning.cli import main;"
        "status = main(['study', 'run', 'tiny.yaml', '--dir', 's', '--workers', '0', '--wandb', 'disabled']);"
        "assert 'wandb' not in sys.modules; sys.exit(status)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("WANDB_MODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "s" / "wandb").exists()


def test_without_wandb_the_study_runs_and_says_so_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write_config: Callable[..., Path],
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["study", "run", str(write_config(trials=2)), "--dir", str(tmp_path / "s"), "--workers", "0"]) == 0
    output = capsys.readouterr().out
    assert output.count("not tracked in W&B") == 1
    assert "pip install 'snnlightning[wandb]'" in output
