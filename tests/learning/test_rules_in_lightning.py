"""Every rule inside Lightning: by one key, through checkpoints, resume, accumulation, gradient clipping."""

import dataclasses

import lightning.pytorch as L
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from snnlightning import learning
from snnlightning.errors import ConfigurationError, UnknownNameError
from snnlightning.naming import available
from snnlightning.training import SpikingClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
]

PLAIN = {"neuron": "lif", "readout": "mean_over_time", "recurrent": True}
SETTINGS = {
    "bptt": (PLAIN, {}),
    "truncated_bptt": (PLAIN, {"steps": 3}),
    "feedback_alignment": (PLAIN, {"seed": 1}),
    "direct_feedback_alignment": (PLAIN, {}),
    "local_errors": (PLAIN, {}),
    "rtrl": (PLAIN, {}),
    "superspike": ({"neuron": "cuba_lif", "readout": "spike_count"}, {"interval_ms": 2.0}),
    "decolle": (PLAIN, {"burn_in": 2}),
    "ottt": (PLAIN, {}),
    "sparse": (PLAIN, {"bound": 0.5}),
    "eventprop": (PLAIN | {"neuron": "cuba_lif", "ordering": "stork", "reset": "zero", "init_gain": 12.0}, {}),
    "mostafa": (
        {"neuron": "cuba_lif", "tau_mem_ms": float("inf"), "readout": "spike_count", "recurrent": False},
        {"weight_sum_penalty": 2.0},
    ),
    "eprop": (PLAIN, {"feedback": "adaptive"}),
}
"""What each rule is tried with: arguments of the classifier, arguments of the rule."""

every_rule = pytest.mark.parametrize("name", available(learning))


def classifier(name, **changes):
    torch.manual_seed(3)
    arguments, rule = SETTINGS[name]
    small = {"in_features": 6, "num_classes": 3, "hidden_sizes": [7], "init_gain": 3.0, "learning_rate": 1e-2}
    rule = {"rule": name} | rule | changes.pop("rule", {})
    return SpikingClassifier(**small | arguments | {"learning": rule} | changes)


def loader(samples=8, batch_size=4):
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(samples, 9, 6, generator=generator) < 0.4).float()
    return DataLoader(TensorDataset(x, torch.arange(samples) % 3), batch_size=batch_size)


def fit(model, tmp_path, *, epochs=2, ckpt_path=None, batch_size=4, **trainer):
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, **trainer,
    )  # fmt: skip
    trainer.fit(model, loader(batch_size=batch_size), ckpt_path=ckpt_path)
    return trainer


def weights(model):
    return {name: p.detach().clone() for name, p in model.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@every_rule
def test_every_rule_changes_the_weights_and_goes_on_from_a_checkpoint_as_if_never_stopped(name, tmp_path):
    straight = classifier(name)
    before = weights(straight)
    fit(straight, tmp_path, epochs=2)
    changed = {key for key in before if not torch.equal(before[key], straight.state_dict()[key])}
    trained = {key for key, _ in straight.named_parameters()}
    assert changed >= {key for key in trained if key.startswith("network.")}
    first = classifier(name)
    path = tmp_path / "half.ckpt"
    fit(first, tmp_path, epochs=1).save_checkpoint(path)
    torch.load(path, weights_only=True)
    second = SpikingClassifier.load_from_checkpoint(path, weights_only=True)
    assert equal(weights(second), weights(first))
    fit(second, tmp_path, epochs=2, ckpt_path=path)
    assert equal(weights(second), weights(straight))


@every_rule
def test_two_half_batches_accumulate_to_one(name, tmp_path):
    if classifier(name).rule.updates_within_sequence:
        pytest.skip("the rule steps the optimizer itself")
    one, two = classifier(name).double(), classifier(name).double()
    optimizers = {}

    def keep(model, key):
        def configure():
            optimizers[key] = torch.optim.SGD(model.parameters(), lr=1e-3)
            return optimizers[key]

        model.configure_optimizers = configure

    keep(one, "one"), keep(two, "two")
    fit(one, tmp_path, epochs=1, batch_size=8)
    fit(two, tmp_path, epochs=1, batch_size=4, accumulate_grad_batches=2)
    for key, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[key], value, rtol=1e-9, atol=1e-12, msg=key)
    assert not equal(weights(one), weights(classifier(name).double()))


@every_rule
def test_a_rule_is_a_record_and_the_same_by_any_of_its_names(name):
    _, arguments = SETTINGS[name]
    cls = available(learning)[name]
    rule = cls(**arguments)
    assert dataclasses.replace(rule) == rule
    assert classifier(name).rule == rule
    for spelling in (cls.__name__, name.upper()):
        assert classifier(name, rule={"rule": spelling}).rule == rule


def test_what_is_no_rule_is_refused_with_what_there_is():
    with pytest.raises(
        UnknownNameError, match="no learning rule named 'bppt'; did you mean 'bptt'\\? Available: bptt, "
    ):
        classifier("bptt", learning="bppt")
    with pytest.raises(ConfigurationError, match="TruncatedBPTT needs steps"):
        classifier("bptt", learning="truncated_bptt")
    with pytest.raises(ConfigurationError, match="BPTT has no parameter 'steps'"):
        classifier("bptt", learning={"rule": "bptt", "steps": 3})
    with pytest.raises(ConfigurationError, match="a mapping with 'rule' and its arguments"):
        classifier("bptt", learning={"steps": 3})


def test_updates_in_each_window_step_the_optimizer_as_often(tmp_path):
    model = classifier("truncated_bptt", rule={"steps": 3, "update_each_window": True})
    before = weights(model)
    trainer = fit(model, tmp_path, epochs=2)
    assert trainer.global_step == 2 * 2 * 3  # epochs, batches, windows
    assert not equal(weights(model), before)
    other = classifier("truncated_bptt")
    fit(other, tmp_path, epochs=2)
    assert not equal(weights(model), weights(other))
