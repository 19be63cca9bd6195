"""SpikingModule inside Lightning: checkpoints, resume, several processes, compile, state, counts, a user's own classes."""

import dataclasses
import itertools
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from helpers import every
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snnlightning
from snnlightning import regularizers as regularizer_folder
from snnlightning.data import DigitsDataModule
from snnlightning.errors import ConfigurationError, DataError, ShapeError
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.losses import CrossEntropy
from snnlightning.naming import available
from snnlightning.neurons import LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import MaxOverTime, MeanOverTime
from snnlightning.regularizers import PopulationUpperBound, TotalCount
from snnlightning.training import SpikingClassifier, SpikingModule
from snnlightning.typing import LayerRecord, NetworkOutput

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),  # that is what resuming is
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    # What torch.compile itself provokes while it traces; as errors they would end it.
    pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


class Memory(Logger):
    """Keeps what was logged."""

    name, version = "memory", 0

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_hyperparams(self, *args, **kwargs):
        """Nothing: the checkpoint has them."""

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))


class KilledError(Exception):
    """Stands for the power cut."""


class Killer(L.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step:
            raise KilledError


def digits(**changes):
    return DigitsDataModule(**{"steps": 10, "threshold": 0.1, "batch_size": 128, "seed": 3} | changes)


def classifier(cls=SpikingClassifier, **changes):
    torch.manual_seed(7)
    small = {
        "in_features": 64,
        "num_classes": 10,
        "hidden_sizes": [12],
        "tau_mem_ms": 6.0,
        "surrogate_width": 0.3,
        "readout": "mean_over_time",
        "learning_rate": 1e-2,
        "init_gain": 2.0,
    }
    return cls(**small | changes)


def trainer(**changes):
    quiet = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in changes.get("callbacks", [])),
        "num_sanity_val_steps": 0,
    }
    return L.Trainer(**quiet | changes)


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def equal_weights(one, other):
    one, other = weights(one), weights(other)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def batches(*shape, size=4, classes=3, density=0.4, seed=0):
    """A loader of random spikes, ``shape`` is [n, T, N]."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(shape, generator=generator) < density).float()
    y = torch.randint(classes, (shape[0],), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=size)


def small_network(hidden=None):
    torch.manual_seed(2)
    hidden = hidden or CubaLIF(tau_mem_ms=6.0)
    return SpikingNetwork(
        [SpikingLayer(5, 8, neuron=hidden, recurrent=True), SpikingLayer(8, 3, neuron=CubaLI())], MeanOverTime()
    )


# --- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier after one epoch, with every argument away from its default where that is possible."""
    folder = tmp_path_factory.mktemp("trained")
    model = classifier(
        recurrent=False,
        bias=True,
        learn_tau="per_neuron",
        reset="zero",
        detach_reset=False,
        v_th=0.9,
        surrogate="sigmoid",
        tau_out_ms=9.0,
        regularizers={"lower_bound": {"strength": 1.0}, "total_count": {"strength": 0.0}},
        weight_decay=1e-3,
    )
    saver = ModelCheckpoint(folder, filename="one")
    run = trainer(callbacks=[saver])
    run.fit(model, digits())
    return model, folder / "one.ckpt"


def test_a_checkpoint_loads_with_weights_only_and_holds_plain_values(trained):
    saved = torch.load(trained[1], weights_only=True)["hyper_parameters"]
    assert json.loads(json.dumps(saved)) == saved


def test_a_checkpoint_restores_every_hyper_parameter_and_every_weight_without_extra_arguments(trained):
    model, path = trained
    loaded = SpikingClassifier.load_from_checkpoint(path)
    assert dict(loaded.hparams) == dict(model.hparams)
    assert loaded.hparams.learn_tau == "per_neuron"
    assert loaded.hparams.regularizers["lower_bound"] == {"strength": 1.0}
    assert equal_weights(loaded, model)
    x = batches(6, 10, 64, size=6).dataset.tensors[0]
    assert torch.equal(loaded(x).logits, model.eval()(x).logits)


def test_the_data_module_comes_back_from_the_checkpoint_too(trained):
    loaded = DigitsDataModule.load_from_checkpoint(trained[1])
    assert dict(loaded.hparams) == dict(digits().hparams)


def test_a_checkpoint_of_another_shape_names_the_weight(trained):
    with pytest.raises(RuntimeError, match=r"size mismatch for network\.layers\.0\.w_in"):
        SpikingClassifier.load_from_checkpoint(trained[1], hidden_sizes=[13])


# --- resume ----------------------------------------------------------------------------------------------------------

WARM = {"population_upper_bound": {"strength": 0.5, "bound": 0.1, "start_epoch": 1, "ramp_epochs": 2}}


def fit_for_resume(folder=None, *, die_at=None, resume=None, every=None):
    memory = Memory()
    callbacks = [Killer(die_at)] if die_at else []
    if every:
        callbacks.append(ModelCheckpoint(folder, filename="{step}", save_top_k=-1, **every))
    model = classifier(regularizers=WARM)
    run = trainer(max_epochs=3, logger=memory, callbacks=callbacks, log_every_n_steps=1)
    try:
        run.fit(model, digits(), ckpt_path=resume)
    except KilledError:
        assert die_at is not None
    return model, memory.rows


@pytest.fixture(scope="module")
def uninterrupted():
    return fit_for_resume()


STEPS, EPOCHS = {"every_n_train_steps": 3}, {"every_n_epochs": 1, "save_on_train_epoch_end": True}


@pytest.mark.parametrize(
    ("every", "die_at", "resume_at"),
    [
        pytest.param(STEPS, 5, 3, id="first-epoch"),
        pytest.param(STEPS, 13, 12, id="second-epoch"),
        pytest.param(STEPS, 24 - 1, 21, id="last-epoch"),
        pytest.param(EPOCHS, 11, 8, id="epoch-boundary"),
        pytest.param(EPOCHS, 16, 16, id="killed-at-the-boundary"),
    ],
)
def test_a_resumed_fit_ends_with_the_same_weights_and_logs_the_same_numbers(
    uninterrupted, tmp_path, every, die_at, resume_at
):
    model, rows = uninterrupted
    fit_for_resume(tmp_path, die_at=die_at, every=every)
    resumed, later = fit_for_resume(tmp_path, resume=tmp_path / f"step={resume_at}.ckpt", every=every)
    assert equal_weights(resumed, model)
    expected = [row for row in rows if row[0] >= resume_at]
    assert expected
    assert {"train_loss", "train_accuracy", "train_penalty", "val_synops"} <= set().union(*(row for _, row in expected))
    assert later == expected


# --- determinism and state ----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_bit_equal_weights():
    models = []
    for seed in (1, 1, 2):
        L.seed_everything(seed, verbose=False)
        model = SpikingClassifier(64, 10, [12], learning_rate=1e-2, tau_mem_ms=6.0)
        trainer(limit_train_batches=4).fit(model, digits())
        models.append(model)
    assert equal_weights(models[0], models[1])
    assert not equal_weights(models[0], models[2])


def test_no_state_leaks_from_batch_to_batch():
    model = classifier()
    x, _ = next(iter(digits().train_dataloader()))
    y = 1.0 - x
    first = model(x).logits
    other = model(y).logits
    assert not torch.equal(first, other)
    assert torch.equal(model(x).logits, first)  # after another batch
    assert torch.equal(model(x[:5]).logits, model(x[:5]).logits)  # and after one of another size
    assert torch.equal(model.eval()(x).logits, first)  # and in another mode


def test_evaluation_between_training_batches_changes_nothing():
    plain, interrupted = classifier(), classifier()
    trainer(max_epochs=2, limit_val_batches=0).fit(plain, digits())
    trainer(max_epochs=2, val_check_interval=2, num_sanity_val_steps=2).fit(interrupted, digits())
    assert equal_weights(plain, interrupted)


def test_predictions_do_not_depend_on_the_order_or_size_of_batches(trained):
    model, _ = trained
    whole = torch.cat(trainer().predict(model, digits()))
    single = torch.cat(trainer().predict(model, digits(batch_size=7)))
    assert whole.shape == (395, 10)
    torch.testing.assert_close(single, whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole.sum(dim=1), torch.ones(len(whole)))


def test_a_nan_in_the_input_is_a_nan_in_the_loss():
    model = SpikingModule(small_network(), num_classes=3)
    loader = batches(4, 6, 5)
    loader.dataset.tensors[0][1, 2, 3] = torch.nan
    run = trainer()
    run.fit(model, loader)
    assert torch.isnan(run.callback_metrics["train_loss"])


# --- counts and metrics --------------------------------------------------------------------------------------------------


def test_synops_do_not_depend_on_the_batch_size(trained):
    model, _ = trained
    counts = []
    for size in (1, 7, 64):
        trainer().validate(model, digits(batch_size=size, val_fraction=0.06), verbose=False)
        counts.append(model.counts["val"])
    assert counts[0].total > 0
    assert counts[0].samples == 108
    assert counts[0] == counts[1] == counts[2]


def test_counts_start_anew_in_every_evaluation(trained):
    model, _ = trained
    run = trainer()
    run.validate(model, digits(), verbose=False)
    first = model.counts["val"]
    run.validate(model, digits(), verbose=False)
    assert model.counts["val"] == first


def test_logged_counts_are_those_of_the_records(trained):
    model, _ = trained
    run = trainer()
    run.test(model, digits(), verbose=False)
    counts = model.counts["test"]
    logged = run.callback_metrics
    assert logged["test_synops"].item() == pytest.approx(counts.total, rel=1e-6)
    for kind, value in counts.by_kind.items():
        assert logged[f"test_synops_{kind}"].item() == pytest.approx(value, rel=1e-6)
    assert logged["test_neuron_updates"].item() == 10 * (12 + 10)
    assert sum(counts.by_kind.values()) == pytest.approx(counts.total, rel=1e-12)


def test_logged_loss_and_accuracy_are_means_over_samples_not_over_batches(trained):
    model, _ = trained
    run, data = trainer(), digits(batch_size=100)  # 395 = 3 * 100 + 95
    run.validate(model, data, verbose=False)
    x, y = data.splits.val.__getitems__(range(395))
    logits = model.eval()(x).logits.detach()
    assert run.callback_metrics["val_loss"].item() == pytest.approx(CrossEntropy()(logits, y).item(), rel=1e-5)
    assert run.callback_metrics["val_accuracy"].item() == pytest.approx((logits.argmax(1) == y).double().mean().item())


# --- what the optimisation is -----------------------------------------------------------------------------------------


class PlainSGD(SpikingClassifier):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_accumulated_gradients_equal_the_large_batch():
    penalty = {"population_upper_bound": {"strength": 0.5, "bound": 0.1}}
    large, small = classifier(PlainSGD, regularizers=penalty), classifier(PlainSGD, regularizers=penalty)
    before = weights(large)
    trainer(limit_train_batches=3).fit(large, digits(batch_size=128))
    trainer(limit_train_batches=12, accumulate_grad_batches=4).fit(small, digits(batch_size=32))
    for name, value in weights(large).items():
        assert not torch.equal(value, before[name])
        torch.testing.assert_close(weights(small)[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_regularizers_warm_up_by_epoch():
    strengths = []

    class Watch(L.Callback):
        def on_train_epoch_end(self, trainer, module):
            penalty = module.penalty(module(x).records)
            strengths.append(None if penalty is None else penalty.item())

    x = batches(4, 6, 5).dataset.tensors[0]
    module = SpikingModule(
        small_network(), num_classes=3, regularizers=[TotalCount(strength=8.0, start_epoch=1, ramp_epochs=2)]
    )
    module.configure_optimizers = lambda: torch.optim.SGD(module.parameters(), lr=0.0)
    trainer(max_epochs=4, callbacks=[Watch()]).fit(module, batches(4, 6, 5))
    full = TotalCount(strength=8.0)(module(x).records[0].output).item()
    assert full > 0
    assert strengths == [None, pytest.approx(full / 2), pytest.approx(full), pytest.approx(full)]


def test_the_penalty_is_in_the_gradient_and_not_in_the_logged_loss():
    free, bound = SpikingModule(small_network(), num_classes=3), None
    bound = SpikingModule(small_network(), num_classes=3, regularizers=[PopulationUpperBound(strength=5.0, bound=0.0)])
    loader, metrics = batches(4, 6, 5), []
    for module in (free, bound):
        run = trainer()
        run.fit(module, loader)
        metrics.append(run.callback_metrics)
    assert metrics[0]["train_loss"] == metrics[1]["train_loss"]
    assert "train_penalty" not in metrics[0]
    assert metrics[1]["train_penalty"] > 0
    assert not equal_weights(free, bound)


def test_weight_decay_spares_the_time_constants():
    model = classifier(learn_tau="shared", weight_decay=0.1)
    optimizer = model.configure_optimizers()
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decays[id(p)] for name, p in model.named_parameters()} == {
        name: 0.0 if "log_tau" in name else 0.1 for name, _ in model.named_parameters()
    }


@pytest.mark.parametrize("name", sorted(available(regularizer_folder)))
def test_every_regularizer_trains_by_its_name(name):
    cls = available(regularizer_folder)[name]
    own = {f.name for f in dataclasses.fields(cls)}
    arguments = {"strength": 2.0, **{k: v for k, v in (("bound", 0.5), ("target", 3.0)) if k in own}}
    model = classifier(in_features=5, num_classes=3, regularizers={name: arguments})
    run = trainer()
    run.fit(model, batches(8, 6, 5))
    assert isinstance(model.regularizers[0], cls)
    assert torch.isfinite(run.callback_metrics["train_penalty"])


class Gradients(L.Callback):
    """Keeps the gradients of the last step."""

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.found = {name: p.grad.clone() for name, p in module.named_parameters()}


NEURONS = ("cuba_lif", "integrate_fire", "lif")
COMBINATIONS = [
    *((surrogate, NEURONS[k % 3], "MaxOverTime") for k, surrogate in enumerate(p.id for p in every("surrogates"))),
    *(("superspike", neuron, readout.id) for neuron in NEURONS for readout in every("readouts")),
]
"""Every surrogate once, every readout with every neuron: what they have in common is tested where they live."""


@pytest.mark.parametrize(("surrogate", "neuron", "readout"), COMBINATIONS)
def test_every_combination_trains_every_weight(surrogate, neuron, readout):
    model = classifier(
        in_features=5,
        num_classes=3,
        hidden_sizes=[8, 6],
        neuron=neuron,
        tau_mem_ms=None,
        surrogate=surrogate,
        surrogate_width=0.8,
        readout=readout,
    )
    before, watch = weights(model), Gradients()
    trainer(max_steps=1, callbacks=[watch]).fit(model, batches(16, 12, 5, size=16))
    assert watch.found.keys() == before.keys()
    for name, gradient in watch.found.items():
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().max() > 0, name
        assert not torch.equal(weights(model)[name], before[name]), name


def test_the_spiking_neurons_of_the_smoke_test_are_all_there_are():
    spiking = {p.id for p in every("neurons") if p.values[0].spiking}
    assert spiking == {"ad_lif", "alif", "cuba_lif", "integrate_fire", "lif"}


# --- precision and compile ---------------------------------------------------------------------------------------------


def test_bf16_mixed_trains_and_keeps_the_state_in_float32():
    model = classifier()
    run = trainer(precision="bf16-mixed", limit_train_batches=4)
    before = weights(model)
    run.fit(model, digits())
    assert torch.isfinite(run.callback_metrics["train_loss"])
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(not torch.equal(p, before[name]) for name, p in weights(model).items())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(batches(4, 6, 64).dataset.tensors[0])
    assert {s.dtype for state in out.states for s in state} == {torch.float32}


def test_float64_trains():
    model = classifier(in_features=5, num_classes=3)
    trainer(precision="64-true").fit(model, batches(8, 6, 5))
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_a_compiled_module_trains_to_the_weights_of_the_eager_one():
    eager, compiled = (SpikingModule(small_network(), num_classes=3, learning_rate=1e-2) for _ in range(2))
    loader = batches(8, 4, 5)
    trainer(max_epochs=2).fit(eager, loader)
    torch._dynamo.reset()
    run = trainer(max_epochs=2)
    run.fit(torch.compile(compiled, backend="aot_eager"), loader, loader)
    for name, value in weights(eager).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-5, atol=1e-7, msg=name)
    assert compiled.counts["val"].total > 0
    counted = compiled.counts["val"]
    trainer().validate(eager, loader, verbose=False)
    assert eager.counts["val"].samples == counted.samples == 8


def test_compiling_the_network_alone_gives_the_same_output():
    torch._dynamo.reset()
    network = small_network()
    x = batches(4, 4, 5).dataset.tensors[0]
    out = torch.compile(network, backend="aot_eager")(x)
    assert torch.equal(out.logits, network(x).logits)
    assert [record.name for record in out.records] == ["hidden_0", "readout"]


# --- several processes -------------------------------------------------------------------------------------------------

DDP = """
import json, sys, warnings
sys.path.insert(0, {tests!r})
warnings.filterwarnings("ignore")
import torch, torch.distributed as dist
from test_training import classifier, digits, trainer
from snnlightning.training import SpikingClassifier
import lightning.pytorch as L

torch.set_num_threads(1)

class Same(L.Callback):
    def on_train_end(self, trainer, module):
        for p in module.parameters():
            pieces = [torch.empty_like(p) for _ in range(dist.get_world_size())]
            dist.all_gather(pieces, p.detach())
            assert all(torch.equal(pieces[0], piece) for piece in pieces)
        if dist.get_rank() == 0:
            print(json.dumps({{"world": dist.get_world_size(), "same": True}}), flush=True)

class Report(L.Callback):
    def report(self, trainer, module, stage):
        counts = module.counts[stage].as_dict()
        metrics = {{k: float(v) for k, v in trainer.callback_metrics.items()}}
        line = json.dumps({{"stage": stage, "rank": trainer.global_rank, "metrics": metrics, "counts": counts}})
        with open({folder!r} + f"/{{stage}}-{{trainer.global_rank}}.json", "w") as file:
            file.write(line)
    def on_validation_end(self, trainer, module):
        self.report(trainer, module, "val")
    def on_test_end(self, trainer, module):
        self.report(trainer, module, "test")

two = dict(strategy="ddp_fork", devices=2)
model = SpikingClassifier.load_from_checkpoint({checkpoint!r})
trainer(callbacks=[Report()], **two).validate(model, digits(batch_size=50), verbose=False)
trainer(callbacks=[Report()], **two).test(model, digits(batch_size=50), verbose=False)
trainer(callbacks=[Same()], limit_train_batches=4, **two).fit(classifier(learn_tau="shared"), digits(batch_size=32))
"""


def test_two_processes_report_what_one_reports_and_train_the_same_weights(trained, tmp_path):
    model, checkpoint = trained
    script = DDP.format(tests=str(Path(__file__).parent), folder=str(tmp_path), checkpoint=str(checkpoint))
    paths = [
        str(Path(snnlightning.__file__).parents[1]),
        str(Path(__file__).parents[1]),
    ]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n" + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert '{"world": 2, "same": true}' in done.stdout
    for stage, run in (("val", L.Trainer.validate), ("test", L.Trainer.test)):
        alone = trainer()
        run(alone, model, digits(batch_size=50), verbose=False)
        counts = json.loads(json.dumps(model.counts[stage].as_dict()))
        assert counts["samples"] == 395  # odd
        for rank in (0, 1):
            two = json.loads((tmp_path / f"{stage}-{rank}.json").read_text())
            assert two["counts"] == counts
            assert two["metrics"].keys() == set(alone.callback_metrics)
            for name, value in alone.callback_metrics.items():
                assert two["metrics"][name] == pytest.approx(value.item(), rel=1e-6, abs=1e-6), name


# --- a user's own classes ----------------------------------------------------------------------------------------------


class TwoHeads(nn.Module):
    """A skip connection around the second layer, and a readout that is the mean of two."""

    def __init__(self):
        super().__init__()
        self.first = SpikingLayer(5, 6, neuron=CubaLIF(), recurrent=True)
        self.second = SpikingLayer(6, 6, neuron=LIF())
        self.out = SpikingLayer(12, 3, neuron=LI())

    def forward(self, x):
        first = self.first.run(x, name="first", kind="input")
        second = self.second.run(first.output, name="second", binary=True)
        both = torch.cat([first.output, second.output], dim=-1)
        out = self.out.run(both, name="out", kind="readout", binary=True)
        logits = 0.5 * (MaxOverTime()(out.output) + MeanOverTime()(out.output))
        return NetworkOutput(logits, (first, second, out))


class Mine(SpikingModule):
    """Own network, own step, own optimizer."""

    def __init__(self, width: float = 1.0):
        super().__init__(TwoHeads(), num_classes=3)
        self.save_hyperparameters()
        self.steps = 0

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.steps += 1
        out = self(x)
        loss = self.loss(out.logits, y) + 0.1 * out.logits.square().mean()
        self.log("my_loss", loss)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]


def test_a_users_own_subclass_trains_evaluates_and_comes_back(tmp_path):
    torch.manual_seed(0)
    module, loader = Mine(width=0.5), batches(12, 8, 5)
    run = trainer(max_epochs=2, callbacks=[ModelCheckpoint(tmp_path, filename="mine")])
    run.fit(module, loader, loader)
    assert module.steps == 6
    assert "my_loss" in run.callback_metrics
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-2 / 4)
    counts = module.counts["val"]
    assert set(counts.by_connection) == {"first.w_in", "first.w_rec", "second.w_in", "out.w_in"}
    assert counts.by_connection["out.w_in"] == 3 * (counts.spikes["first"] + counts.spikes["second"])
    assert counts.by_kind["recurrent"] == 6 * counts.spikes["first"]
    loaded = Mine.load_from_checkpoint(tmp_path / "mine.ckpt")
    assert loaded.hparams.width == 0.5
    assert equal_weights(loaded, module)


def test_regularizers_reach_every_hidden_layer_of_a_users_network():
    module = SpikingModule(TwoHeads(), num_classes=3, regularizers=[TotalCount(strength=1.0)])
    x = batches(12, 8, 5).dataset.tensors[0]
    records = module(x).records
    alone = [TotalCount(strength=1.0)(record.output).item() for record in records[:2]]
    assert min(alone) >= 0
    assert module.penalty(records).item() == pytest.approx(sum(alone))


def test_a_plain_spiking_module_takes_callbacks_and_hooks_of_any_kind():
    seen = []

    class Spy(L.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            seen.append(("batch", float(outputs["loss"])))

        def on_validation_end(self, trainer, module):
            seen.append(("val", trainer.callback_metrics["val_synops"].item()))

    module = SpikingModule(small_network(), num_classes=3)
    loader = batches(8, 6, 5)
    early = L.callbacks.EarlyStopping("val_loss", min_delta=1e9, patience=1)
    run = trainer(max_epochs=9, callbacks=[Spy(), early])
    run.fit(module, loader, loader)
    assert [kind for kind, _ in seen[:3]] == ["batch", "batch", "val"]
    assert run.current_epoch == 2  # stopped early by a logged metric
    assert all(value > 0 for kind, value in seen if kind == "batch")


def test_a_network_with_another_number_of_classes_is_named():
    module = SpikingModule(small_network(), num_classes=4)
    with pytest.raises(ShapeError, match="the network gives 3 logits for num_classes=4"):
        trainer().fit(module, batches(4, 6, 5))


def test_a_batch_of_another_width_names_the_layer_and_both_sizes():
    with pytest.raises(
        ShapeError, match=r"layer 'hidden_0': x is \[4, 6, 7\] and has 7 features; w_in \[8, 5\] takes 5"
    ):
        trainer().fit(SpikingModule(small_network(), num_classes=3), batches(4, 6, 7))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.tensor([0, 1, 2, 3]), "the target holds classes from 0 to 3; num_classes=3 are numbered from 0 to 2"),
        (torch.tensor([0, -1, 2, 1]), "classes from -1 to 2"),
        (torch.tensor([0, -100, 2, 1]), "classes from -100 to 2"),
        (torch.tensor([0.0, 1.0, 2.0, 1.0]), r"the target is torch.float32; class numbers are torch.int64: y.long\(\)"),
        (torch.tensor([[0], [1], [2], [1]]), r"the target is \[4, 1\]; class numbers \[B\] = \[4\] are expected"),
    ],
)
@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error", "early_cross_entropy"])
def test_a_target_that_is_no_class_number_is_named(loss, target, message):
    model = SpikingClassifier(5, 3, [4], loss=loss)
    data = DataLoader(TensorDataset(torch.zeros(4, 6, 5), target), batch_size=4)
    with pytest.raises((DataError, ShapeError), match=message):
        trainer().fit(model, data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes is 1; a classifier needs at least 2"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0; it must be 0 or greater"),
        ({"hidden_sizes": []}, "hidden_sizes is empty"),
        ({"hidden_sizes": 8}, r"hidden_sizes is 8; a list is expected: \[8\]"),
        ({"hidden_sizes": [0]}, "both must be whole numbers of at least 1"),
        ({"tau_mem_ms": -1.0}, "tau_mem_ms is -1.0"),
        ({"neuron": "li"}, "LI has no threshold"),
        ({"neuron": "lif", "tau_syn_ms": 5.0}, "LIF has no parameter 'tau_syn_ms'; did you mean 'tau_mem_ms'"),
        ({"readout": "spike_count", "tau_out_ms": 5.0}, "tau_out_ms belongs to a leaky readout"),
        (
            {"regularizers": {"total_count": {"strenght": 1.0}}},
            "TotalCount has no parameter 'strenght'; did you mean 'strength'",
        ),
        ({"regularizers": {"total_count": {}}}, "TotalCount needs strength"),
        (
            {"regularizers": {"total_count": 1.0}},
            r"regularizers\['total_count'\] is 1.0; a mapping with its arguments, such as",
        ),
        ({"surrogate_width": 0.0}, "width is 0.0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        classifier(**arguments)


@pytest.mark.parametrize("pair", list(itertools.pairwise(["recurrent", "bias", "learn_tau", "recurrent"])))
def test_options_change_exactly_the_parameters_they_name(pair):
    options = {"recurrent": (False, "w_rec"), "bias": (True, "bias"), "learn_tau": ("shared", "log_tau")}
    for option in pair:
        value, part = options[option]
        changed = {name for name, _ in classifier(**{option: value}).named_parameters()}
        plain = {name for name, _ in classifier().named_parameters()}
        assert plain ^ changed
        assert all(part in name for name in plain ^ changed)


def test_records_of_a_spiking_readout_leave_the_last_layer_out_of_the_penalty():
    model = classifier(
        in_features=5, num_classes=3, readout="spike_count", regularizers={"total_count": {"strength": 1.0}}
    )
    records = model(batches(4, 6, 5).dataset.tensors[0]).records
    assert isinstance(records[-1], LayerRecord)
    assert records[-1].spiking
    assert model.penalty(records).item() == pytest.approx(TotalCount(strength=1.0)(records[0].output).item())
