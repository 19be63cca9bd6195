"""``snnlightning energy``: counts, prices, what does not fit and the sources, from a checkpoint and its data."""

import json
import re
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
import yaml

from snnlightning.cli import main
from snnlightning.data import DigitsDataModule
from snnlightning.hardware import Counts, estimate, load
from snnlightning.training import SpikingClassifier, measure

DATA = {"class_path": "DigitsDataModule", "init_args": {"steps": 6, "threshold": 0.1, "batch_size": 100}}
CHIPS = ("davies2018_loihi", "horowitz2014_cmos45_int8", "merolla2014_truenorth")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint and the configuration of its data."""
    folder = tmp_path_factory.mktemp("trained")
    L.seed_everything(0, verbose=False)
    model = SpikingClassifier(in_features=64, num_classes=10, hidden_sizes=[12], readout="mean_over_time")
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, datamodule=DigitsDataModule(**DATA["init_args"]))
    trainer.save_checkpoint(folder / "model.ckpt")
    (folder / "data.yaml").write_text(yaml.safe_dump({"data": DATA}))
    return folder


def energy(trained: Path, *arguments: object) -> int:
    return main([*map(str, ("energy", trained / "model.ckpt", "--data", trained / "data.yaml", *arguments))])


def chips(*names: str) -> list[str]:
    return [word for name in names for word in ("--profile", name)]


def test_the_json_is_the_counts_of_the_test_set_and_their_prices(trained, capsys):
    assert energy(trained, *chips(*CHIPS), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    model = SpikingClassifier.load_from_checkpoint(trained / "model.ckpt", weights_only=True)
    found = measure(model, DigitsDataModule(**DATA["init_args"]))
    assert said["counts"]["total"] == found.counts.total
    assert said["accuracy"] == found.accuracy
    assert said["data_sha256"] == found.data_sha256
    counts = Counts.of(found.counts, found.network, 6)
    for name, priced in zip(CHIPS, said["estimates"], strict=True):
        assert priced == json.loads(json.dumps(estimate(counts, name, dt_ms=1.0).as_dict()))


def test_the_page_shows_counts_by_layer_three_terms_with_bands_what_does_not_fit_and_the_sources(
    trained, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")
    assert energy(trained, *chips(*CHIPS)) == 0
    page = capsys.readouterr().out
    for words in ("hidden_0.w_in", "hidden_0.w_rec", "readout.w_in", "neuron updates", "operations per synapse"):
        assert words in page
    assert re.search(r"dynamic +[\d.]+ \([\d.]+ to [\d.]+\)", page)
    assert re.search(r"static +[\d.]+ \([\d.]+ to [\d.]+\)", page)
    assert re.search(r"host +[\d.]+ \([\d.]+ to [\d.]+\)", page)
    assert re.search(r"latency in ms +[\d.]+", page)
    assert "weight_bits 8 > 1" in page
    for name in CHIPS:
        profile = load(name)
        assert name in page
        assert any(source in page for source in profile.sources.values())


def test_numbers_stay_whole_on_a_narrow_terminal(trained, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    chip = "horowitz2014_cmos45_int8"
    assert energy(trained, *chips(*CHIPS, chip)) == 0
    page = capsys.readouterr().out
    assert energy(trained, *chips(chip), "--json") == 0
    found = json.loads(capsys.readouterr().out)["estimates"][0]["dynamic_uj"]["nominal"]
    assert re.search(rf"^ +horowitz2014_\w+ .*{re.escape(f'{found:.3g}')} .*yes", page, re.MULTILINE), page


def test_the_file_that_is_written_is_what_the_terminal_would_say(trained, tmp_path, capsys):
    assert energy(trained, *chips(CHIPS[0]), "--json", "-o", tmp_path / "new" / "e.json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "new" / "e.json").read_text())


def test_a_chip_may_be_named_without_its_source_where_that_is_clear(trained, capsys):
    assert energy(trained, *chips("cmos45_int8"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["estimates"][0]["profile"] == "horowitz2014_cmos45_int8"


def test_the_validation_split_and_pacing_change_what_is_said(trained, capsys):
    said = []
    for more in ([], ["--split", "val"], ["--paced", "--dt-ms", "2"]):
        assert energy(trained, *chips("davies2018_loihi"), "--json", *more) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert said[1]["split"] == "val"
    assert said[1]["data_sha256"] != said[0]["data_sha256"]
    assert said[2]["estimates"][0]["latency_ms"]["nominal"] == 12.0
    assert said[2]["counts"] == said[0]["counts"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--profile": "davies2018_lohi"}, r"no hardware profile named 'davies2018_lohi'.*davies2018_loihi"),
        ({"--profile": "loihi"}, r"loihi"),
        ({"checkpoint": "nothing.ckpt"}, r"nothing\.ckpt: no such file"),
        ({"checkpoint": "data.yaml"}, r"data\.yaml is no checkpoint of Lightning's"),
        ({"--data": "nothing.yaml"}, r"nothing\.yaml: no such file"),
        ({"--data": "empty.yaml"}, r"empty\.yaml"),
        ({"--data": "model.ckpt"}, r"model\.ckpt is not valid YAML"),
        ({"--data": None}, r"there is no config\.yaml beside .*model\.ckpt; say which data to use: --data"),
        ({"--profile": None}, r"--profile"),
    ],
)
def test_what_cannot_be_used_is_one_line(trained, change, message, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    (trained / "empty.yaml").write_text("{}")
    given = {"checkpoint": "model.ckpt", "--data": "data.yaml", "--profile": "davies2018_loihi", **change}
    words = ["energy", given.pop("checkpoint")]
    words += [word for flag, value in given.items() if value is not None for word in (flag, value)]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert re.search(message, err), err


def test_weights_of_another_network_are_refused(trained, tmp_path, capsys):
    content = torch.load(trained / "model.ckpt", weights_only=True)
    content["hyper_parameters"]["hidden_sizes"] = [13]
    torch.save(content, tmp_path / "other.ckpt")
    words = ["energy", str(tmp_path / "other.ckpt"), "--data", str(trained / "data.yaml"), *chips(CHIPS[0])]
    assert main(words) == 2
    assert "holds the weights of another network" in capsys.readouterr().err


def test_a_module_built_by_parts_takes_its_model_from_the_configuration(tmp_path, monkeypatch, capsys):
    config = Path(__file__).parents[2] / "configs" / "experiments" / "digits_by_parts.yaml"
    monkeypatch.chdir(tmp_path)
    words = ["fit", "--config", str(config), "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
    assert main(words) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    capsys.readouterr()
    assert main(["energy", str(checkpoint), "--data", str(config), *chips("davies2018_loihi"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["by_kind"]["recurrent"] > 0
