"""The study commands as a user types them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from snnlightning.cli import main
from snnlightning.cli.tables import progress_line
from snnlightning.training import SpikingClassifier

from .conftest import complete_row, config, front, outcomes, tiny

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in an empty directory; gives exit status, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def finished(run: Run, write_config: Callable[..., Path], tmp_path: Path) -> Path:
    status, out, err = run("study", "run", write_config(), "--dir", "s", "--workers", 0)
    assert status == 0, out + err
    return tmp_path / "s"


def test_run_ends_in_a_table_of_the_front_and_a_report(
    run: Run, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    status, out, _ = run("study", "run", write_config(), "--workers", 0)
    assert status == 0
    directory = tmp_path / "studies" / "tiny"
    for point in front(directory)["points"]:
        assert re.search(rf"│ +{point['number']} │ +{100 * point['values']['accuracy']:.1f} % │", out)
    assert "trials     6 of 6: 6 complete, 0 infeasible, 0 failed" in out
    assert "hypervolume validation" in out
    assert (directory / "report.html").stat().st_size > 1e6
    assert len(re.findall(r"^trial \d/6 ", out, flags=re.MULTILINE)) == 6


def test_what_is_claimed_of_a_front_never_stands_alone() -> None:
    rows = [complete_row(0, 0.9, 100.0)]
    for volumes, shown in (
        ({"validation": 1.25, "test": None}, "hypervolume validation 1.2500, test not measured"),
        ({"validation": 1.25, "test": 1.0}, "hypervolume validation 1.2500, test 1.0000"),
    ):
        assert progress_line(config(), rows, {"hypervolume": volumes}).splitlines()[-1] == shown
    assert "hypervolume" not in progress_line(config(), rows, {"hypervolume": {"validation": None, "test": None}})


def test_finalists_are_shown_with_their_intervals(run: Run, write_config: Callable[..., Path], tmp_path: Path) -> None:
    _, out, _ = run("study", "run", write_config(trials=2, final_seeds=2), "--dir", "s", "--workers", 0)
    finalists = front(tmp_path / "s")["finalists"]
    assert finalists
    for shown in (out, run("study", "status", "s")[1]):
        assert "Trained anew with fresh seeds" in shown
        for one in finalists:
            low, high = (100 * one["test"]["accuracy"][end] for end in ("low", "high"))
            assert re.search(rf"│ +{low:.1f} % - {high:.1f} % │", shown)


def test_running_a_finished_study_again_shows_it_and_trains_nothing(
    run: Run, finished: Path, write_config: Callable[..., Path]
) -> None:
    before = outcomes(finished)
    status, out, _ = run("study", "run", write_config(), "--dir", "s", "--workers", 0)
    assert status == 0
    assert "6 trials are done" in out
    assert outcomes(finished) == before


def test_a_front_that_is_too_wide_has_a_line_per_objective(
    run: Run, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    _, out, _ = run("study", "status", finished)
    for point in front(finished)["points"]:
        assert re.search(rf"│ +{point['number']} │ accuracy +│ {100 * point['values']['accuracy']:.1f} % │", out), out
    assert len(re.findall(r"│ synops +│", out)) == len(front(finished)["points"])


def test_status_shows_front_and_progress(run: Run, finished: Path) -> None:
    status, out, _ = run("study", "status", finished)
    assert status == 0
    assert "Pareto front of tiny" in out
    assert "6 of 6" in out


def test_report_is_written_where_asked(run: Run, finished: Path, tmp_path: Path) -> None:
    status, out, _ = run("study", "report", finished, "-o", tmp_path / "page.html")
    assert (status, out.strip()) == (0, str(tmp_path / "page.html"))
    assert "tiny" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_exported_trial_holds_all_that_rebuilds_it(run: Run, finished: Path, tmp_path: Path) -> None:
    number = front(finished)["points"][0]["number"]
    status, _, _ = run("study", "export", finished, "--trial", number, "-o", tmp_path / "bundle")
    assert status == 0
    names = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert names == {
        "best.ckpt", "config.yaml", "metrics.csv", "counts.json", "test.json", "raster.json", "result.json", "versions.json",
        "certificate.json", "fit.yaml", "network.nir",
    }  # fmt: skip
    model = SpikingClassifier.load_from_checkpoint(tmp_path / "bundle" / "best.ckpt", weights_only=True)
    assert model(torch.zeros(1, 6, 64)).logits.shape == (1, 10)
    config = yaml.safe_load((tmp_path / "bundle" / "config.yaml").read_text())
    assert config["model"]["init_args"]["surrogate"] == model.hparams["surrogate"]


def test_export_of_a_trial_that_there_is_not_names_those_that_there_are(
    run: Run, finished: Path, tmp_path: Path
) -> None:
    status, _, err = run("study", "export", finished, "--trial", 99, "-o", tmp_path / "b")
    assert status == 2
    assert re.fullmatch(r"error: .* has no checkpoint of trial 99;.* It has: 0, 1, 2, 3, 4, 5\.\n", err)
    assert not (tmp_path / "b").exists()


def test_export_does_not_write_into_what_exists(run: Run, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    status, _, err = run("study", "export", finished, "--trial", 0, "-o", tmp_path / "b")
    assert status == 2
    assert "exists; give a directory that does not exist yet" in err


def test_a_study_without_a_feasible_network_says_so_and_exits_with_1(
    run: Run, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    objectives = [{"name": "accuracy", "at_least": 0.999}, {"name": "synops"}]
    status, out, _ = run("study", "run", write_config(objectives=objectives, trials=1), "--dir", "s", "--workers", 0)
    assert status == 1
    assert "no trial is feasible" in out
    assert (tmp_path / "s" / "report.html").exists()


def _changed(path: str, value: Any) -> dict[str, Any]:
    """The small study with one nested key set (or removed, when value is ...)."""
    raw = tiny()
    target: Any = raw
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("/"))
    for key in parents:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return raw


BAD = [
    ("trails", 3, r"unknown key 'trails'; did you mean 'trials'\? Known: name, "),
    ("space", ..., r"missing: space\."),
    ("space", {}, r"space is empty"),
    ("space", ["model.surrogate"], r"space is \['model\.surrogate'\]; a mapping is expected"),
    ("budget_epochs", 1, r"the budget is 1 epochs, and policy plain trains its first network for 2, .*raise budget_epochs"),
    ("objectives/1/reference", 0, r"objective synops: reference is 0; on a log axis values below 1 count as 1"),
    ("name", "", r"name is ''; a text is expected"),
    ("trials", 0, r"trials is 0; a whole number of at least 1"),
    ("trials", "many", r"trials is 'many'"),
    ("seed", -1, r"seed is -1"),
    ("chance_margin", 1.5, r"chance_margin is 1.5; a number in \[0, 1\)"),
    ("objectives", [], r"objectives is \[\]; a list is expected"),
    ("objectives", [{"name": "acuracy"}], r"no objective named 'acuracy'; did you mean 'accuracy'\? Available: accuracy, "),
    ("objectives/0", {"name": "accuracy", "weight": 2}, r"unknown key 'objectives\.accuracy\.weight'; Known: "),
    ("objectives/0", {"name": "accuracy", "direction": "up"}, r"direction is 'up'; it must be one of maximize, minimize"),
    ("objectives/0", {"name": "accuracy", "at_least": 0.9, "at_most": 0.5}, r"no trial could be feasible"),
    ("objectives/1", {"name": "accuracy"}, r"names 'accuracy' twice"),
    ("policy", {"name": "plane"}, r"no policy named 'plane'; did you mean 'plain'\? Available: .*plain"),
    ("policy", {"name": "plain", "rungs": 3}, r"unknown key 'policy\.rungs'"),
    ("policy", "plain", r"policy is 'plain'; it needs a name: "),
    ("sampler", {"name": "tpee"}, r"sampler.name is 'tpee'; did you mean 'tpe'\? Available: tpe, nsgaii, nsgaiii, gp, random"),
    ("sampler", {"name": "tpe", "startup": 3}, r"unknown key 'sampler\.startup'; did you mean 'startup_trials'\?"),
    ("trainer/max_epoch", 3, r"unknown key 'trainer\.max_epoch'; did you mean 'max_epochs'\?"),
    ("trainer/logger", True, r"trainer\.logger is set by the study itself"),
    ("model/class_path", "SpikingClasifier", r"has no class 'SpikingClasifier'; did you mean 'SpikingClassifier'\?"),
    ("model/class_path", "no.such.module.Net", r"cannot be imported"),
    ("model/class_path", "snnlightning.data.DigitsDataModule", r"is no LightningModule of lightning\.pytorch"),
    ("model/class_path", "collections.OrderedDict", r"is no LightningModule of lightning\.pytorch"),
    ("model/init_args/in_feature", 64, r"takes no 'in_feature'; did you mean 'in_features'\? It takes: "),
    ("model/init_args/readout", "loudest", r"no readout named 'loudest'; Available: "),
    ("model/init_args/learning_rate", "fast", r"model \(SpikingClassifier\): .*learning_rate"),
    ("model/init_args/tau_mem_ms", -5.0, r"tau_mem_ms is -5\.0; it must be greater than 0"),
    ("model/init_args/num_classes", ..., r"num_classes"),
    ("data/class_path", "DigitDataModule", r"has no class 'DigitDataModule'; did you mean 'DigitsDataModule'\?"),
    ("data/init_args/encoder", "morse", r"no encoder named 'morse'; Available: "),
    ("space/model.surogate", ["superspike"], r"takes no 'surogate'; did you mean 'surrogate'\?"),
    ("space/modl.surrogate", ["superspike"], r"'modl' is no part of the study; did you mean 'model'\?"),
    ("space/model.surrogate", ["superspyke"], r"no surrogate named 'superspyke'; did you mean 'superspike'\?"),
    ("space/model.surrogate", ["triangle", "superspyke"], r"no surrogate named 'superspyke'; did you mean 'superspike'\?"),
    ("space/model.surrogate", [], r"a list with at least one value"),
    ("space/model.surrogate", ["triangle", "triangle"], r"holds a value twice"),
    ("space/model.surrogate", "triangle", r"a list of choices or a mapping"),
    ("space/model.surrogate_width", {"low": 2.0, "high": 1.0}, r"low 2\.0 is above high 1\.0"),
    ("space/model.surrogate_width", {"low": 0.0, "high": 1.0, "log": True}, r"a log scale needs low > 0"),
    ("space/model.surrogate_width", {"low": 0.1}, r"high is None; a finite float is expected"),
    ("space/model.surrogate_width", {"low": 0.1, "high": 1.0, "logg": True}, r"unknown key 'logg'; did you mean 'log'\?"),
    ("space/model.surrogate_width", {"low": 0.1, "high": 1.0, "step": -1}, r"step is -1"),
    ("space/model.hidden_sizes.0", {"type": "int", "low": 1.5, "high": 3}, r"low is 1\.5; a finite int is expected"),
    ("space/model.surrogate_width", {"low": 0.1, "high": 1.0, "when": {"model.nron": "lif"}}, r"its parent 'model\.nron' is not"),
    ("space/model.tau_syn_ms", {"low": 1.0, "high": 2.0, "when": {"model.neuron": "izhikevich"}}, r"never is 'izhikevich'"),
    ("start", [{"model.nothing": 1}], r"start, point 0: 'model\.nothing' is not in the space"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=[f"{path}={value}"[:60] for path, value, _ in BAD])
def test_bad_configuration_is_one_line_and_nothing_is_written(
    path: str, value: Any, message: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(_changed(path, value), sort_keys=False))
    status, out, err = run("study", "run", "bad.yaml", "--dir", "s", "--workers", 0)
    assert status == 2
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert re.search(message, err), err
    assert out == ""
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("study", "run", "nowhere.yaml"), r"nowhere\.yaml: No such file"),
        (("study", "run", "."), r"\.: Is a directory"),
        (("study", "run"), r"the following arguments are required: config"),
        (("study", "rnu"), r"invalid choice: 'rnu'"),
        (("study",), r"the following arguments are required"),
        (("studdy",), r"no command 'studdy'; did you mean 'study'\? Available: fit, "),
        (("study", "status", "nowhere"), r"nowhere holds no study"),
        (("study", "report", "nowhere"), r"nowhere"),
        (("study", "export", "nowhere", "--trial", "0", "-o", "out"), r"nowhere has no checkpoint of trial 0"),
    ],
)
def test_bad_arguments_are_one_line(arguments: tuple[str, ...], message: str, run: Run, tmp_path: Path) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert re.search(message, err), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["a: [1, 2", "- just\n- a list\n", "", "\x00\x01"])
def test_a_file_that_is_no_study_is_one_line(content: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    status, _, err = run("study", "run", "bad.yaml", "--workers", 0)
    assert status == 2
    assert re.fullmatch(r"error: bad\.yaml[^\n]+\n", err), err
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.yaml"]


def test_numbers_that_yaml_reads_as_text_are_numbers(run: Run, tmp_path: Path) -> None:
    """YAML 1.1 takes 1e-2 (no dot) for text; nobody who writes it means text."""
    raw = tiny(trials=1)
    raw["model"]["init_args"]["learning_rate"] = "1e-2"
    raw["space"]["model.surrogate_width"] = {"low": "1e-1", "high": "1e0", "log": True}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(raw).replace("'", ""))
    status, out, err = run("study", "run", "s.yaml", "--dir", "s", "--workers", 0)
    assert status == 0, out + err
    model = SpikingClassifier.load_from_checkpoint(tmp_path / "s" / "trials" / "0" / "best.ckpt", weights_only=True)
    assert model.learning_rate == 0.01


def test_version_and_help_are_printed(run: Run) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version")[1])
    assert "study run CONFIG" in run("--help")[1]


def test_a_study_that_is_no_text_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "weights.ckpt").write_bytes(b"\x80\x81")
    status, _, err = run("study", "run", "weights.ckpt")
    assert status == 2
    assert re.fullmatch(r"error: weights\.ckpt is not YAML: [^\n]+\n", err), err
