"""A number of synaptic operations per sample, held while training: the control law, the module, checkpoints, bad input."""

import math
import re
import warnings
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from snnlightning.errors import ConfigurationError
from snnlightning.metrics import SynOps
from snnlightning.regularizers import TotalSynOps
from snnlightning.training import SpikingClassifier, SynOpsTarget

EPOCH, FEATURES, HIDDEN, CLASSES = 8, 12, 16, 3


def data() -> DataLoader[Any]:
    """Three classes, each with its own lively channels."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(EPOCH * 8) % CLASSES
    lively = torch.nn.functional.one_hot(y, CLASSES).repeat_interleave(FEATURES // CLASSES, dim=1).float()
    x = torch.rand(len(y), 15, FEATURES, generator=generator) < 0.1 + 0.4 * lively[:, None]
    return DataLoader(TensorDataset(x.float(), y), batch_size=8)


def model(**options: Any) -> SpikingClassifier:
    torch.manual_seed(1)
    chosen: dict[str, Any] = {
        "surrogate_width": 0.3,
        "init_gain": 2.0,
        "learning_rate": 1e-2,
        "readout": "mean_over_time",
    }
    return SpikingClassifier(FEATURES, CLASSES, [HIDDEN], **(chosen | options))


def trainer(epochs: int, **options: Any) -> L.Trainer:
    return L.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        **({"enable_checkpointing": False} | options),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", ".*val_dataloader.*|.*does not have many workers.*|.*checkpoint.*|.*log_every_n.*"
        )
        yield


@pytest.mark.parametrize(("free", "target"), [(9000.0, 3000.0), (50000.0, 800.0)])
def test_a_network_that_yields_to_pressure_ends_on_the_target(free, target):
    """A plant that spends free / (1 + 20 multiplier), and gets there with a delay."""
    held = SynOpsTarget(target, warmup_epochs=2.0)
    spends = free
    for step in range(2000):
        held.observe(spends, epoch=step / 100)
        spends += 0.1 * (free / (1.0 + 20.0 * float(held.multiplier)) - spends)
    assert spends == pytest.approx(target, rel=1e-3)
    assert float(held.multiplier) == pytest.approx((free / target - 1.0) / 20.0, rel=1e-2)


def test_where_the_network_needs_less_the_pressure_vanishes():
    held = SynOpsTarget(5000.0)
    for step in range(1000):
        held.observe(1000.0, epoch=step / 10)
    assert 0.0 < float(held.multiplier) < 1e-6


def test_the_warm_up_is_geometric_and_starts_where_the_network_is():
    held = SynOpsTarget(100.0, warmup_epochs=4.0)
    assert [held.observe(1600.0, epoch=e) for e in (0, 1, 2, 3, 4, 9)] == pytest.approx([1600, 800, 400, 200, 100, 100])
    below = SynOpsTarget(100.0, warmup_epochs=4.0)
    assert [below.observe(30.0, epoch=e) for e in (0, 2, 5)] == pytest.approx([100, 100, 100])


def test_the_law_is_that_of_the_docstring():
    held = SynOpsTarget(
        100.0, warmup_epochs=0.0, integral=0.5, release=3.0, proportional=2.0, smoothing=0.0, multiplier=0.1
    )
    total = math.log(0.1)
    for spent in (150.0, 120.0, 99.0, 90.0):
        held.observe(spent, epoch=1.0)
        error = math.log(spent / 100.0)
        total += 0.5 * error * (1.0 if error > 0 else 3.0)
        assert float(held.multiplier) == pytest.approx(math.exp(total + 2.0 * error), rel=1e-5)


def test_the_integral_does_not_wind_up_and_stays_finite():
    held = SynOpsTarget(1.0, warmup_epochs=0.0)
    for _ in range(2000):
        held.observe(1e9, epoch=0.0)
    assert math.isfinite(float(held.multiplier))
    held.observe(0.0, epoch=0.0)
    assert math.isfinite(float(held.error))


def test_the_penalty_is_the_multiplier_times_operations_over_the_target():
    net = model(synops_target={"target": 2000.0, "multiplier": 0.3})
    x, _ = next(iter(data()))
    records = net(x).records
    plain = TotalSynOps(strength=0.3 / 2000.0).of_records(records)
    found = net.penalty(records)
    assert found.item() == pytest.approx(plain.item(), rel=1e-5)
    weights = [net.network.layers[0].w_in, net.network.layers[0].w_rec]
    for mine, theirs in zip(
        torch.autograd.grad(found, weights, retain_graph=True), torch.autograd.grad(plain, weights), strict=True
    ):
        torch.testing.assert_close(mine, theirs)
    assert net.synops_target.log_multiplier.grad is None


def test_training_holds_the_target_and_says_what_it_spends():
    free = model()
    trainer(1).fit(free, data())
    counts = SynOps()
    counts.update(free.eval()(next(iter(data()))[0]))
    spent, of_input = counts.compute().total, counts.compute().by_kind["input"]
    target = of_input + 0.4 * (spent - of_input)
    net = model(synops_target={"target": target, "integral": 0.1})
    run = trainer(30)
    run.fit(net, data())
    assert float(run.callback_metrics["train_synops"]) == pytest.approx(target, rel=0.1)
    assert float(run.callback_metrics["train_accuracy"]) > 0.9
    assert float(run.callback_metrics["synops_multiplier"]) > 0.0


def test_a_checkpoint_goes_on_with_the_multiplier_it_had(tmp_path):
    whole, first = model(synops_target=2000.0), model(synops_target=2000.0)
    trainer(4).fit(whole, data())
    run = trainer(2)
    run.fit(first, data())
    run.save_checkpoint(tmp_path / "half.ckpt")
    again = model(synops_target=2000.0)
    trainer(4).fit(again, data(), ckpt_path=tmp_path / "half.ckpt")
    assert torch.equal(again.synops_target.log_multiplier, whole.synops_target.log_multiplier)
    assert torch.equal(again.network.layers[0].w_rec, whole.network.layers[0].w_rec)
    loaded = SpikingClassifier.load_from_checkpoint(tmp_path / "half.ckpt", weights_only=True)
    assert torch.equal(loaded.synops_target.first, first.synops_target.first)


@pytest.mark.parametrize("learning", [{"rule": "truncated_bptt", "steps": 5}, "local_errors"])
def test_a_rule_that_keeps_no_connections_is_refused(learning):
    with pytest.raises(ConfigurationError, match="synops_target reads connections, which"):
        model(synops_target=2000.0, learning=learning)
    with pytest.raises(ConfigurationError, match="TotalSynOps reads connections"):
        model(regularizers={"total_synops": {"strength": 1e-5}}, learning=learning)


@pytest.mark.filterwarnings("ignore")
def test_a_target_below_what_the_input_causes_is_refused():
    with pytest.raises(ConfigurationError, match=r"synops_target is 100 per sample, and the input alone causes \d"):
        trainer(1).fit(model(synops_target=100.0), data())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (0.0, "synops_target is 0.0; it must be greater than 0"),
        ({"target": 10.0, "integal": 0.1}, "synops_target has no parameter 'integal'; did you mean 'integral'"),
        ({"integral": 0.1}, "synops_target needs target"),
        ({"target": 10.0, "smoothing": 1.0}, "smoothing 1.0"),
        ({"target": 10.0, "warmup_epochs": math.nan}, "warmup_epochs nan"),
    ],
)
def test_bad_targets_are_refused(given, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        model(synops_target=given)
