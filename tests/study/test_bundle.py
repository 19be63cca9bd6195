"""An exported trial: it counts the same elsewhere, says when it does not, and can be priced and trained anew."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from snnlightning.cli import main
from snnlightning.study import Study

from . import user_models
from .conftest import config, front


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle") / "study"
    Study(config(trials=2), directory).run(0)
    return directory


@pytest.fixture
def bundle(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    number = front(study)["points"][0]["number"]
    out = tmp_path / "bundle"
    arguments = ["study", "export", study, "--trial", number, "-o", out, "--profile", "davies2018_loihi"]
    assert main([*map(str, arguments)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    return out


def certificate(bundle: Path) -> dict:
    content: dict = json.loads((bundle / "certificate.json").read_text())
    return content


def test_a_bundle_counts_again_what_its_certificate_says(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "verify", str(bundle)]) == 0
    assert "every number is the same: accuracy" in capsys.readouterr().out
    said = certificate(bundle)
    counts = json.loads((bundle / "counts.json").read_text())
    assert said["counts"]["total"] == counts["total"] > 0
    assert said["estimates"][0]["profile"] == "davies2018_loihi"
    assert said["versions"]["torch"] == torch.__version__


def test_a_bundle_needs_nothing_of_the_study_it_came_from(bundle: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(bundle, elsewhere)
    assert main(["study", "verify", str(elsewhere)]) == 0
    assert main(["energy", str(elsewhere), "--profile", "davies2018_loihi", "--json"]) == 0


@pytest.mark.parametrize("what", ["weights", "data", "counts", "graph", "record"])
def test_what_was_changed_since_is_named(what: str, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if what == "weights":
        content = torch.load(bundle / "best.ckpt", weights_only=True)
        content["state_dict"]["network.layers.0.w_in"] *= 2.0
        torch.save(content, bundle / "best.ckpt")
        expected = ["checkpoint: SHA-256 was", "counts.total was"]
    elif what == "data":
        held = yaml.safe_load((bundle / "config.yaml").read_text())
        held["data"]["init_args"]["threshold"] = 0.3
        (bundle / "config.yaml").write_text(yaml.safe_dump(held))
        expected = ["data_sha256 was", "counts.events.hidden_0.w_in was"]
    elif what == "graph":
        pytest.importorskip("nir", reason="nir is not installed")
        (bundle / "network.nir").unlink()
        expected = ["network.nir: SHA-256 was", "and is None"]
    elif what == "record":
        file = bundle / "counts.json"
        file.write_text(file.read_text().replace('"total"', '"all"'))
        expected = ["counts.json: SHA-256 was"]
    else:
        said = certificate(bundle)
        said["counts"]["by_kind"]["recurrent"] += 1.0
        (bundle / "certificate.json").write_text(json.dumps(said))
        expected = ["counts.by_kind.recurrent was"]
    assert main(["study", "verify", str(bundle)]) == 1
    out = capsys.readouterr().out
    for words in expected:
        assert words in out
    assert "numbers differ" in out


def test_a_checkpoint_that_builds_nothing_any_more_is_still_named_as_another(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(bundle / "best.ckpt", weights_only=True)
    del content["state_dict"]["network.layers.0.w_in"]
    torch.save(content, bundle / "best.ckpt")
    assert main(["study", "verify", str(bundle)]) == 2
    said = capsys.readouterr().err
    assert "is not what was certified (checkpoint: SHA-256 was" in said
    assert "w_in" in said


@pytest.mark.parametrize(("content", "lacks"), [("[]", "checkpoint_sha256, data_sha256"), (None, "counts")])
def test_a_certificate_that_is_not_whole_is_refused(
    content: str | None, lacks: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = certificate(bundle)
    del said["counts"]
    (bundle / "certificate.json").write_text(content or json.dumps(said))
    assert main(["study", "verify", str(bundle)]) == 2
    assert f"certificate.json lacks {lacks}" in capsys.readouterr().err


def test_the_graph_in_a_bundle_is_the_network(bundle: Path) -> None:
    pytest.importorskip("nir", reason="nir is not installed")
    from snnlightning.interop import from_nir, read_nir
    from snnlightning.study.loading import configuration_of, load_network

    network = from_nir(read_nir(bundle / "network.nir"))
    trained = load_network(bundle / "best.ckpt", configuration_of(bundle / "best.ckpt", None))
    x = (torch.rand(4, 6, 64, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    with torch.no_grad():
        ours, theirs = trained.network(x), network(x)
    assert ours.records[0].output.sum() > 0
    assert torch.equal(ours.records[0].output, theirs.records[0].output)
    assert torch.equal(ours.logits, theirs.logits)


def test_a_bundle_trains_anew_with_its_fit_file(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(bundle / "fit.yaml"), "--trainer.enable_progress_bar", "false"]) == 0


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "verify", str(tmp_path)]) == 2
    assert "has no certificate.json" in capsys.readouterr().err


def test_an_export_for_an_unknown_chip_leaves_nothing(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["study", "export", str(study), "--trial", "0", "-o", str(tmp_path / "b"), "--profile", "lohi"]
    assert main(arguments) == 2
    assert "lohi" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_export_to_where_nothing_can_be_written_is_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["study", "export", str(study), "--trial", "0", "-o", str(tmp_path / "file" / "bundle")]) == 2
    assert "bundle cannot be written: File exists" in capsys.readouterr().err


def test_a_model_that_counts_nothing_is_exported_without_a_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = {
        "objectives": [{"name": "accuracy"}],
        "model": {"class_path": f"{user_models.__name__}.Plain"},
        "space": {"model.accuracy": [0.5]},
        "trials": 1,
    }
    Study(config(**plain), tmp_path / "s").run(0)
    assert main(["study", "export", str(tmp_path / "s"), "--trial", "0", "-o", str(tmp_path / "b")]) == 0
    assert "no certificate.json" in capsys.readouterr().out
