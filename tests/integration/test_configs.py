"""Every YAML file in configs/ runs through the real command line, on little data; a file without a recipe fails here."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import stand_ins
import yaml

from snnlightning.cli import main
from snnlightning.cli.fit import run as _  # noqa: F401  (Lightning keeps the stderr of its first import: not one of a test)

CONFIGS = Path(__file__).parents[2] / "configs"

pytestmark = [
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:.*ExperimentalWarning"),
]


def event_file(path, *, utterances, classes, channels, seed):
    """Random utterances in the layout of the Spiking Heidelberg Digits."""
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (utterances,), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (utterances,), dtype=h5py.vlen_dtype(np.uint16))
        for i in range(utterances):
            times[i] = np.sort(rng.uniform(0.0, 0.9, 300)).astype(np.float16)
            units[i] = rng.integers(0, channels, 300).astype(np.uint16)
        file["labels"] = (np.arange(utterances) % classes).astype(np.uint16)
    return str(path)


def spoken_digits(tmp_path):
    arguments = []
    for seed, part in enumerate(("train", "test")):
        path = event_file(tmp_path / f"{part}.h5", utterances=60, classes=20, channels=700, seed=seed)
        arguments += [f"--data.init_args.{part}", path]
    few = [
        "--data.init_args.val_fraction=0.34",
        "--data.init_args.batch_size=16",
        "--model.init_args.hidden_sizes=[32]",
    ]
    return [*arguments, *few]


def file_of(write):
    """A recipe: a small file in the layout of the data set, in place of the one with the known checksum."""

    def small(tmp_path):
        return [f"--data.init_args.path={write(tmp_path)}", "--data.init_args.verify=false"]

    return small


EXPERIMENTS = {
    "braille": lambda tmp_path: [*file_of(stand_ins.write_braille)(tmp_path), "--data.init_args.batch_size=16"],
    "coincidence_delays": lambda tmp_path: ["--data.init_args.samples_per_class=20"],
    "digits": lambda tmp_path: [],
    "digits_budget": lambda tmp_path: [],
    "digits_by_parts": lambda tmp_path: [],
    "fashion_mnist": file_of(stand_ins.write_images),
    "digits_convolutional": lambda tmp_path: [],
    "digits_heterogeneous": lambda tmp_path: [],
    "digits_rewired": lambda tmp_path: [],
    "fsdd": file_of(stand_ins.write_fsdd),
    "randman": lambda tmp_path: ["--data.init_args.samples_per_class=20", "--data.init_args.modes=50"],
    "sequential_mnist": file_of(stand_ins.write_images),
    "spoken_digits": spoken_digits,
    "yin_yang": lambda tmp_path: ["--data.init_args.samples=[150,75,75]"],
}
"""What makes each experiment small, by the name of its file."""

STUDIES = {"digits": {}, "digits_on_loihi": {}}
"""Which sections of each study are replaced to make it small."""


def names(folder):
    return sorted(path.stem for path in (CONFIGS / folder).glob("*.yaml"))


def test_configs_lie_where_they_are_looked_for():
    assert names("experiments")
    assert names("studies")
    assert {path.parent.name for path in CONFIGS.rglob("*.y*ml")} == {"experiments", "studies"}


@pytest.mark.parametrize("name", names("experiments"))
def test_every_experiment_fits_and_tests(name, tmp_path, monkeypatch, capsys):
    assert name in EXPERIMENTS, f"configs/experiments/{name}.yaml has no recipe in {Path(__file__).name}"
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "argv", ["snnlightning"])
    small = [
        "--config",
        str(CONFIGS / "experiments" / f"{name}.yaml"),
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        "--trainer.limit_val_batches=2",
        "--trainer.limit_test_batches=2",
        "--trainer.enable_progress_bar=false",
        *EXPERIMENTS[name](tmp_path),
    ]
    assert main(["fit", *small]) == 0
    (log,) = here.glob(f"runs/{name}/version_0/metrics.csv")
    with log.open() as file:
        values = {key: float(v) for row in csv.DictReader(file) for key, v in row.items() if v}
    assert np.isfinite(values["train_loss"])
    assert values["val_synops"] > 0
    checkpoint = sorted(here.glob(f"runs/{name}/version_0/checkpoints/*.ckpt"))[-1]
    assert main(["test", *small, "--ckpt_path", str(checkpoint)]) == 0
    assert "test_synops" in capsys.readouterr().out


@pytest.mark.parametrize("name", names("studies"))
def test_every_study_runs(name, tmp_path, monkeypatch):
    assert name in STUDIES, f"configs/studies/{name}.yaml has no recipe in {Path(__file__).name}"
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((CONFIGS / "studies" / f"{name}.yaml").read_text(encoding="utf-8"))
    content["trainer"]["max_epochs"] = 1
    for section, changes in STUDIES[name].items():
        content[section].update(changes)
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    arguments = ["study", "run", str(path), "--dir", "out", "--trials", "2", "--workers", "0", "--wandb", "disabled"]
    assert main(arguments) in (0, 1)  # 1: after one epoch no network may be usable
    front = json.loads((tmp_path / "out" / "front.json").read_text())
    assert front["study"] == name
    for number in (0, 1):
        assert (tmp_path / "out" / "trials" / str(number) / "metrics.csv").exists()
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000


def test_mappings_with_arguments_are_understood_on_the_command_line(tmp_path, monkeypatch):
    """Surrogate, loss, readout, regularizers, target of operations and encoder, each as YAML reads it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["snnlightning"])
    arguments = {
        "model.init_args.surrogate": "{family: sparse, of: triangle, bound: 0.6}",
        "model.init_args.loss": "{loss: class_rate, right: 0.4}",
        "model.init_args.readout": "{readout: spike_count}",
        "model.init_args.regularizers": "{total_synops: {strength: 1.0e-5}, rate_upper_bound: {strength: 1, population: true}}",
        "model.init_args.synops_target": "{target: 90000, warmup_epochs: 2}",
        "data.init_args.encoder": "{encoder: poisson, max_rate_hz: 300}",
        "data.init_args.threshold": "null",
    }
    config = str(CONFIGS / "experiments" / "digits.yaml")
    few = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.enable_progress_bar=false"]
    assert main(["fit", "--config", config, *few, *(f"--{key}={value}" for key, value in arguments.items())]) == 0
    (log,) = tmp_path.glob("runs/digits/version_0/metrics.csv")
    assert "synops_multiplier" in log.read_text(encoding="utf-8")
