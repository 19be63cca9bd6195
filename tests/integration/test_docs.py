"""The page on subclassing runs from top to bottom, and what it says is so."""

import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

from snnlightning.cli import main
from snnlightning.data import DigitsDataModule
from snnlightning.training import SpikingClassifier, SpikingModule

PAGE = Path(__file__).parents[2] / "docs" / "subclassing.md"

pytestmark = [
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:.*`tensorboardX` has been removed"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's script leaves behind, and the folder it ran in."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["script.py"])
        names = {"__name__": "page"}
        for number, block in enumerate(blocks("python")):
            exec(compile(block, f"{PAGE.name}, python block {number}", "exec"), names)
    return names, folder


def test_the_ready_classifier_learns_and_comes_back_whole(page):
    names, folder = page
    assert torch.load(folder / names["path"], weights_only=True)["hyper_parameters"]["surrogate"] == "triangle"
    assert dict(names["again"].hparams) == dict(names["model"].hparams)
    for one, other in zip(names["again"].parameters(), names["model"].parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_ready_classifier_beats_chance(page):
    x, y = page[0]["data"].splits.test.__getitems__(range(300))
    accuracy = (page[0]["again"](x).logits.argmax(1) == y).double().mean().item()
    assert accuracy > 0.5


def test_the_counts_have_all_parts_and_add_up(page):
    counts = page[0]["counts"]
    assert set(counts.by_connection) == {"hidden_0.w_in", "hidden_0.w_rec", "readout.w_in"}
    assert sum(counts.by_connection.values()) == pytest.approx(counts.total)
    assert counts.by_kind["recurrent"] == 32 * counts.spikes["hidden_0"]
    assert counts.samples == 395


def test_the_own_network_is_counted_by_its_own_names(page):
    names, folder = page
    counts = names["net"].counts["val"]
    assert set(counts.by_connection) == {"fast.w_in", "slow.w_in", "slow.w_rec", "out.w_in"}
    assert counts.by_connection["out.w_in"] == 10 * (counts.spikes["fast"] + counts.spikes["slow"])
    assert counts.by_connection["slow.w_in"] == 16 * counts.spikes["fast"]
    (saved,) = (folder / "runs" / "skip").glob("*.ckpt")
    loaded = names["SkipNet"].load_from_checkpoint(saved)
    assert (loaded.hparams.hidden, loaded.hparams.smoothing) == (16, 0.1)


def test_the_own_step_has_the_penalty_in_its_loss_and_trains_the_time_constants(page):
    net = page[0]["net"]
    x, _ = page[0]["data"].splits.val.__getitems__(range(32))
    assert net.penalty(net(x).records) is not None
    assert net.network.slow.log_tau_mem_ms.shape == (16,)
    assert net.network.slow.log_tau_mem_ms.unique().numel() > 1
    assert net.training_step.__func__ is not SpikingModule.training_step


def test_the_callback_stops_a_sparse_fit(page):
    names, _ = page
    L, data = names["L"], names["data"]
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    for bound, epochs in ((1e9, 1), (0.0, 2)):
        trainer = L.Trainer(
            max_epochs=2, accelerator="cpu", limit_train_batches=1, callbacks=[names["SparseEnough"](bound)], **quiet
        )
        trainer.fit(names["SkipNet"](hidden=4), data)
        assert trainer.current_epoch == epochs


def test_the_own_data_is_learned(page):
    assert page[0]["trainer"].callback_metrics["val_accuracy"] > 0.9
    assert page[0]["halves"].counts["val"].macs == 0


def test_the_configuration_runs_with_the_pages_classes(tmp_path, monkeypatch, capsys):
    module = "\n".join(block for block in blocks("python") if "class Skip" in block)
    (tmp_path / "mynet.py").write_text("import snnlightning as snn\n" + module)
    (content,) = blocks("yaml")
    (tmp_path / "skip.yaml").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["snnlightning"])
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    commands = [
        line.split()[1:] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("snnlightning ")
    ]
    assert [command[0] for command in commands] == ["fit", "test"]
    # The logger is named so that the folder does not depend on whether tensorboard is installed.
    logger = "--trainer.logger=CSVLogger", "--trainer.logger.save_dir=.", "--trainer.enable_progress_bar=false"
    try:
        for command in commands:
            assert main([*command, *logger]) == 0
    finally:
        sys.modules.pop("mynet", None)
    assert "test_synops" in capsys.readouterr().out
    resolved = yaml.safe_load((tmp_path / "lightning_logs/version_0/config.yaml").read_text())
    assert resolved["model"]["init_args"] == {"hidden": 24, "smoothing": 0.0}
    assert resolved["optimizer"]["class_path"] == "torch.optim.AdamW"


def test_every_name_the_page_mentions_exists():
    text = PAGE.read_text(encoding="utf-8")
    import snnlightning as snn

    for name in set(re.findall(r"\bsnn\.(\w+)", text)):
        assert hasattr(snn, name), name
    assert SpikingClassifier is snn.SpikingClassifier
    assert DigitsDataModule is snn.DigitsDataModule
