"""Counts, prices, budgets and targets of two processes (gloo) are those of one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from snnlightning.data import UnpaddedSampler
from snnlightning.training import EnergyLogger, SpikingClassifier, SynOpsBudget

SAMPLES, BATCH = 11, 4
"""Shares of 6 and 5 samples, whose last batches hold 2 and 1."""


class Tell(L.Callback):
    """Writes what a run leaves behind in a rank to a file, as processes cannot hand it back."""

    def __init__(self, folder: str) -> None:
        self.folder, self.multipliers = Path(folder), []

    def on_train_batch_end(self, trainer, module, *args):
        self.multipliers.append(float(module.synops_target.multiplier))

    def teardown(self, trainer, module, stage):
        energy = next(callback for callback in trainer.callbacks if isinstance(callback, EnergyLogger))
        told = {
            "counts": {stage: counts.as_dict() for stage, counts in module.counts.items()},
            "energy": energy.values,
            "logged": {name: float(value) for name, value in trainer.callback_metrics.items()},
            "multipliers": self.multipliers,
        }
        (self.folder / f"{trainer.state.fn.value}-{trainer.world_size}-{trainer.global_rank}.json").write_text(
            json.dumps(told)
        )


def samples(count: int) -> TensorDataset:
    """So many samples; after the last one the first ones again."""
    x = (torch.rand(SAMPLES, 20, 7, generator=torch.Generator().manual_seed(3)) < 0.3).float()
    at = torch.arange(count) % SAMPLES
    return TensorDataset(x[at], at % 3)


class Shares(L.LightningDataModule):
    """Loaders that repeat nothing."""

    def val_dataloader(self) -> DataLoader[Any]:
        ranks, rank = self.trainer.world_size, self.trainer.global_rank
        sampler = UnpaddedSampler(samples(SAMPLES), num_replicas=ranks, rank=rank) if ranks > 1 else None
        return DataLoader(samples(SAMPLES), batch_size=BATCH, sampler=sampler)

    test_dataloader = val_dataloader


def run(what: str, world: int, folder: str) -> None:
    """Validates and tests on 11 samples, or validates them with an ordinary loader, or trains on the same 8 in every step."""
    torch.manual_seed(0)
    target = {"target": 800.0, "warmup_epochs": 1} if what == "fit" else None
    module = SpikingClassifier(
        in_features=7, num_classes=3, hidden_sizes=[16], init_gain=0.8, learning_rate=0.01, synops_target=target
    )
    trainer = L.Trainer(
        accelerator="cpu", devices=world, strategy="ddp_fork" if world > 1 else "auto", max_epochs=5, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[Tell(folder), EnergyLogger(["davies2018_loihi", "cmos45_int8"], dt_ms=1.0), SynOpsBudget(1000.0)],
    )  # fmt: skip
    if what == "validate":
        trainer.validate(module, Shares(), verbose=False)
    elif what == "test":
        trainer.test(module, Shares(), verbose=False)
    elif what == "ordinary":
        trainer.validate(module, DataLoader(samples(SAMPLES + (world == 1)), batch_size=BATCH), verbose=False)
    else:
        trainer.fit(module, DataLoader(samples(8), batch_size=8 // world), DataLoader(samples(8), batch_size=2))


SCRIPT = """
import sys, warnings
sys.path.insert(0, {here!r})
warnings.filterwarnings("ignore")
import torch
torch.set_num_threads(1)
from test_counting_processes import run
run({what!r}, 2, {folder!r})
"""


def both(what: str, folder: Path, stage: str) -> list[dict[str, Any]]:
    """What one process said, and each of two."""
    script = SCRIPT.format(here=str(Path(__file__).parent), what=what, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    run(what, 1, str(folder))
    names = [f"{stage}-1-0.json", f"{stage}-2-0.json", f"{stage}-2-1.json"]
    return [json.loads((folder / name).read_text()) for name in names]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore")  # Lightning's, of loaders without workers
@pytest.mark.parametrize("stage", ["validate", "test"])
def test_two_processes_with_uneven_shares_count_and_price_what_one_does(stage, tmp_path):
    alone, *ranks = both(stage, tmp_path, stage)
    (counts,) = alone["counts"].values()
    assert counts["samples"] == SAMPLES
    assert counts["total"] > 0
    for rank in ranks:
        assert rank["counts"] == alone["counts"]
        assert rank["energy"] == alone["energy"] != {}
        assert rank["logged"].keys() == alone["logged"].keys()
        for name, value in alone["logged"].items():
            assert rank["logged"][name] == pytest.approx(value, rel=1e-6), name
    assert any(name.endswith("budget_used") for name in alone["logged"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore")
def test_the_sample_that_Lightning_repeats_to_even_out_ordinary_loaders_is_counted_like_the_others(tmp_path):
    alone, *ranks = both("ordinary", tmp_path, "validate")
    assert alone["counts"]["val"]["samples"] == SAMPLES + 1
    assert [rank["counts"] for rank in ranks] == [alone["counts"]] * 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore")
def test_two_processes_hold_a_target_with_one_multiplier_that_of_one_process(tmp_path):
    alone, first, second = both("fit", tmp_path, "fit")
    assert first["multipliers"] == second["multipliers"]
    assert len(first["multipliers"]) == 5
    assert first["multipliers"] == pytest.approx(alone["multipliers"], rel=1e-3)
    assert len(set(first["multipliers"])) == 5
    assert first["counts"] == second["counts"]
    assert first["energy"] == second["energy"]
    assert first["logged"] == second["logged"]
