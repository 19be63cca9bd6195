"""A study of a few seconds, and ways to look into its directory."""

import copy
import csv
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from snnlightning.study import StudyConfig
from snnlightning.study.rows import TrialRow

REPOSITORY = Path(__file__).parents[2]

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "trials": 6,
    "in_flight": 3,
    "policy": {"name": "plain"},
    "sampler": {"name": "tpe", "startup_trials": 3},
    "objectives": [{"name": "accuracy", "reference": 0.2}, {"name": "synops", "reference": 100000}],
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    "data": {
        "class_path": "DigitsDataModule",
        "init_args": {"steps": 6, "tau_steps": 4.0, "threshold": 0.1, "batch_size": 100},
    },
    "model": {
        "class_path": "SpikingClassifier",
        "init_args": {"in_features": 64, "num_classes": 10, "readout": "mean_over_time", "learning_rate": 0.02},
    },
    "space": {
        "model.neuron": ["lif", "cuba_lif"],
        "model.tau_syn_ms": {"low": 2.0, "high": 8.0, "log": True, "when": {"model.neuron": "cuba_lif"}},
        "model.hidden_sizes.0": {"type": "int", "low": 8, "high": 24, "log": True},
        "model.surrogate": ["superspike", "triangle"],
        "model.surrogate_width": {"low": 0.1, "high": 1.0, "log": True},
    },
}


def tiny(**changes: Any) -> dict[str, Any]:
    """The small study's mapping with some top-level keys changed."""
    return {**copy.deepcopy(TINY), **changes}


def config(**changes: Any) -> StudyConfig:
    return StudyConfig.parse(tiny(**changes))


def complete_row(number: int, accuracy: float, synops: float) -> TrialRow:
    """A trial that ended with these values."""
    return TrialRow(
        number=number,
        state="complete",
        reason="",
        seconds=1.0,
        epochs=1,
        seed=0,
        kind="trained",
        parent=None,
        charged=1.0,
        values={"accuracy": accuracy, "synops": synops},
        params={},
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def outcomes(directory: Path) -> list[dict[str, str]]:
    """trials.csv without the column that clocks decide."""
    return [
        {key: value for key, value in row.items() if key != "seconds"} for row in read_csv(directory / "trials.csv")
    ]


def states(directory: Path) -> list[str]:
    """States of all trials in the study's own storage, by number."""
    with sqlite3.connect(directory / "study.db") as database:
        return [row[0] for row in database.execute("select state from trials order by number")]


def front(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "front.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Writes the small study, with changes, as a YAML file and returns its path."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(tiny(**changes), sort_keys=False), encoding="utf-8")
        return path

    return write


def start_cli(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    """The real command line in a process of its own."""
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from snnlightning.cli import main; sys.exit(main())", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_of(directory: Path, module: str) -> list[int]:
    """Process numbers of the processes of a study that run this module, by their command lines."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if module.encode() in command and os.fsencode(directory) in command and state != "Z":
            found.append(int(entry.name))
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts commands that do not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def start_one(*arguments: Any) -> "subprocess.Popen[str]":
        processes.append(start_cli(*arguments, cwd=tmp_path))
        return processes[-1]

    yield start_one
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()
