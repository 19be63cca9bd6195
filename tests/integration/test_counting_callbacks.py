"""EnergyLogger, SynOpsBudget, SpikingModule.estimate and measure: prices and budgets from the counts that are there."""

import csv

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from snnlightning.data import DigitsDataModule
from snnlightning.errors import ConfigurationError, UnknownNameError
from snnlightning.hardware import Counts, Network, estimate
from snnlightning.layers import SpikingLayer
from snnlightning.metrics import SynOps, footprint
from snnlightning.neurons import CubaLIF
from snnlightning.training import EnergyLogger, SpikingClassifier, SpikingModule, SynOpsBudget, measure
from snnlightning.typing import NetworkOutput

CHIPS = ["davies2018_loihi", "horowitz2014_cmos45_int8", "merolla2014_truenorth"]


class Counting(SpikingClassifier):
    """Counts how often it is asked."""

    calls = 0

    def forward(self, x: Tensor) -> NetworkOutput:
        self.calls += 1
        return super().forward(x)


def model(cls: type[SpikingClassifier] = SpikingClassifier, **changes) -> SpikingClassifier:
    torch.manual_seed(0)
    return cls(**{"in_features": 64, "num_classes": 10, "hidden_sizes": [12], "readout": "mean_over_time", **changes})


def data() -> DigitsDataModule:
    return DigitsDataModule(steps=6, threshold=0.1, batch_size=100)


def trainer(*callbacks: L.Callback, **arguments) -> L.Trainer:
    quiet = {"logger": False, "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks)}
    bars = {"enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(accelerator="cpu", callbacks=list(callbacks), **{**quiet, **bars, **arguments})


def counted(network: SpikingModule, module: DigitsDataModule) -> tuple[Counts, float]:
    """Counts of the validation set, and its accuracy, without any of the code under test."""
    metric, right = SynOps(), 0
    loader = module.val_dataloader()
    with torch.no_grad():
        for x, y in loader:
            out = network.eval()(x)
            metric.update(out)
            right += int((out.logits.argmax(-1) == y).sum())
    found = metric.compute()
    return Counts.of(found, Network.of(out.records), 6), right / found.samples


def test_prices_of_an_epoch_are_those_of_its_exact_counts():
    logger, network, module = EnergyLogger(CHIPS), model(), data()
    (logged,) = trainer(logger).validate(network, datamodule=module, verbose=False)
    counts, _ = counted(network, module)
    for chip in CHIPS:
        expected = estimate(counts, chip, dt_ms=module.dt_ms)
        assert logger.values["val"][f"val_energy_pj@{chip}"] == expected.priced_uj.nominal * 1e6
        assert logged[f"val_energy_pj@{chip}"] == pytest.approx(expected.priced_uj.nominal * 1e6, rel=1e-6)
        assert network.estimate("val", chip, dt_ms=module.dt_ms) == expected
    assert logger.values["val"]["val_latency_ms@davies2018_loihi"] > 0.0
    assert "val_latency_ms@horowitz2014_cmos45_int8" not in logger.values["val"]


def test_a_chip_that_the_network_does_not_fit_says_by_how_much_and_why():
    logger = EnergyLogger(CHIPS)
    trainer(logger).test(model(), datamodule=data(), verbose=False)
    assert logger.values["test"]["test_overload@davies2018_loihi"] == 0.0
    assert logger.misfits["test"]["davies2018_loihi"] == []
    assert logger.values["test"]["test_overload@merolla2014_truenorth"] == 7.0  # 8 bits in a synapse of one
    assert any("weight_bits 8 > 1" in reason for reason in logger.misfits["test"]["merolla2014_truenorth"])


def test_a_chip_that_has_none_of_what_is_needed_is_passed_by_all_of_it():
    """Speck has no recurrent connections, and the network has those of one layer."""
    logger = EnergyLogger(["yao2024_speck"])
    trainer(logger).test(model(recurrent=True), datamodule=data(), verbose=False)
    assert logger.values["test"]["test_overload@yao2024_speck"] == 1.0
    assert any("recurrent_connections 1 > 0" in reason for reason in logger.misfits["test"]["yao2024_speck"])


def test_callbacks_ask_the_network_not_once_more():
    calls = []
    for callbacks in ([], [EnergyLogger(CHIPS), SynOpsBudget(1000)]):
        network = model(Counting)
        trainer(*callbacks, max_epochs=2, num_sanity_val_steps=0).fit(network, datamodule=data())
        calls.append(network.calls)
    assert calls[0] == calls[1] > 0


def test_whoever_reads_what_is_logged_reads_the_counts_of_that_epoch(tmp_path):
    network, rows = model(learning_rate=0.02, surrogate_width=0.3, init_gain=2.0), []
    keep = ModelCheckpoint(tmp_path, monitor="val_synops", mode="min", save_top_k=-1)
    stop = EarlyStopping("val_synops", mode="min", patience=9)
    table = CSVLogger(tmp_path, name="", version="")
    note = LambdaCallback(on_validation_end=lambda *_: rows.append(network.counted("val")))
    fit = trainer(keep, stop, note, max_epochs=3, num_sanity_val_steps=0, logger=table, log_every_n_steps=1)
    fit.fit(network, datamodule=data())
    assert len({row["val_synops"] for row in rows}) == 3, "epochs that differ"
    (returned,) = trainer().validate(network, datamodule=data(), verbose=False)
    with (tmp_path / "metrics.csv").open() as lines:
        written = [row for row in csv.DictReader(lines) if row["val_synops"]]
    for name in rows[-1]:
        values = [row[name] for row in rows]
        assert [float(row[name]) for row in written] == pytest.approx(values, rel=1e-6)
        for read in (fit.callback_metrics, fit.logged_metrics, returned):
            assert float(read[name]) == pytest.approx(values[-1], rel=1e-6)
    least = min(row["val_synops"] for row in rows)
    assert float(keep.best_model_score) == float(stop.best_score) == pytest.approx(least, rel=1e-6)


def test_the_budget_is_logged_as_the_counts_have_it():
    network, module = model(), data()
    counts, accuracy = counted(network, module)
    for factor, kept in ((1.0, accuracy), (0.5, 0.0)):
        budget = SynOpsBudget(counts.synops_total * factor)
        (logged,) = trainer(budget).validate(network, datamodule=module, verbose=False)
        assert logged["val_synops_budget_used"] == pytest.approx(1 / factor)
        assert logged["val_accuracy_in_budget"] == pytest.approx(kept)
    assert accuracy > 0.0


def test_a_checkpoint_by_accuracy_in_budget_is_of_an_epoch_within_the_budget(tmp_path):
    def fit(*callbacks: L.Callback) -> list[tuple[float, float]]:
        epochs = _Epochs()
        network = model(learning_rate=0.02, surrogate_width=0.3, init_gain=2.0)
        trainer(*callbacks, epochs, max_epochs=5, num_sanity_val_steps=0).fit(network, datamodule=data())
        return epochs.rows

    budget = max(fit())[1] - 1.0
    keep = ModelCheckpoint(tmp_path, monitor="val_accuracy_in_budget", mode="max")
    rows = fit(SynOpsBudget(budget), keep)
    within = {epoch: accuracy for epoch, (accuracy, synops) in enumerate(rows) if synops <= budget}
    assert within, rows
    assert max(rows)[0] > max(within.values()), "the best epoch is beyond the budget"
    kept = torch.load(keep.best_model_path, weights_only=True)["epoch"]
    assert within[kept] == max(within.values())


class _Epochs(L.Callback):
    def __init__(self) -> None:
        self.rows: list[tuple[float, float]] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.rows.append(
            (float(trainer.callback_metrics["val_accuracy"]), float(trainer.callback_metrics["val_synops"]))
        )


def test_a_fit_that_never_kept_to_its_budget_says_so():
    with pytest.warns(UserWarning, match="no epoch kept to 1 synaptic operations per sample; the nearest one used"):
        trainer(SynOpsBudget(1), max_epochs=1).fit(model(), datamodule=data())


@pytest.mark.parametrize("callback", [EnergyLogger(["davies2018_loihi"]), SynOpsBudget(10)])
def test_a_module_without_counts_is_refused(callback):
    loader = DataLoader(TensorDataset(torch.zeros(2, 1)))
    with pytest.raises(ConfigurationError, match="counts of a SpikingModule, and the model is a _Plain"):
        trainer(callback).validate(_Plain(), loader, verbose=False)


class _Plain(L.LightningModule):
    def validation_step(self, batch, batch_idx):
        return None


def test_names_and_budgets_that_cannot_be_are_refused_at_once():
    with pytest.raises(UnknownNameError, match="davies2018_lohi"):
        EnergyLogger(["davies2018_lohi"])
    with pytest.raises(ConfigurationError, match=r"a list of names is expected: \['davies2018_loihi'\]"):
        EnergyLogger("davies2018_loihi")
    with pytest.raises(ConfigurationError, match="synops"):
        SynOpsBudget(0)
    with pytest.raises(ConfigurationError, match="nothing was counted in stage 'test' yet"):
        model().estimate("test", "davies2018_loihi")


def test_a_measurement_is_what_a_test_run_counts_and_names_its_data():
    network, module = model(), data()
    found = measure(network, module, "test")
    (logged,) = trainer().test(network, datamodule=module, verbose=False)
    assert found.counts == network.counts["test"]
    assert found.accuracy == pytest.approx(logged["test_accuracy"], abs=1e-6)
    assert found.footprint.total == logged["test_footprint_bytes"]
    assert found.estimate("davies2018_loihi") == network.estimate("test", "davies2018_loihi", dt_ms=module.dt_ms)
    other_batches = measure(network, DigitsDataModule(steps=6, threshold=0.1, batch_size=7), "test")
    assert other_batches == found
    assert measure(network, DigitsDataModule(steps=6, threshold=0.2, batch_size=100)).data_sha256 != found.data_sha256
    assert measure(network, module, "val").data_sha256 != found.data_sha256


def test_the_footprint_is_of_the_network_and_takes_its_precision():
    torch.manual_seed(0)
    whole = SpikingClassifier(in_features=64, num_classes=10, hidden_sizes=[12], bias=True)
    chip = SpikingClassifier(
        in_features=64, num_classes=10, hidden_sizes=[12], bias=True, quantization={"weight_bits": 4, "state_bits": 16}
    )
    x = torch.zeros(2, 3, 64)
    weights, state = 64 * 12 + 12 * 12 + 12 * 10, 2 * 12 + 2 * 10
    assert whole.shape_of(whole(x)).footprint == ((weights + 12) * 4, 0, state * 4)
    assert chip.shape_of(chip(x)).footprint == (weights // 2 + 12 * 2, 0, state * 2)
    placed = chip.shape_of(chip(x)).network
    assert {placed.bits_of(matrix) for matrix in placed.synapses} == {4}
    with pytest.raises(ConfigurationError, match=r"weight_bits of network\.layers\.0\.w_in is 0"):
        footprint(whole, whole(x), weight_bits=0)
    layer = SpikingLayer(3, 5, neuron=CubaLIF())
    assert footprint(layer, [layer.run(torch.zeros(1, 1, 3))], weight_bits=3).parameters == 6  # 45 bits
