"""A chip's precision from a configuration: in Lightning, on the command line, in a study, and what it does to accuracy."""

import csv
import dataclasses
import json
import re
import sys
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
import yaml
from torch import nn

from snnlightning.cli import main
from snnlightning.data import DigitsDataModule
from snnlightning.errors import ConfigurationError, UnknownNameError
from snnlightning.hardware import Limit, available, load
from snnlightning.layers import Quantization, SpikingLayer, SpikingNetwork, quantize
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MeanOverTime
from snnlightning.study import Study, StudyConfig
from snnlightning.training import SpikingClassifier, SpikingModule, build_quantization, quantization_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quantisation.md"

pytestmark = [
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:.*ExperimentalWarning"),
]


def digits() -> DigitsDataModule:
    return DigitsDataModule(steps=8, threshold=0.1, batch_size=64, seed=3)


def classifier(**changes: object) -> SpikingClassifier:
    torch.manual_seed(7)
    small = {
        "in_features": 64,
        "num_classes": 10,
        "hidden_sizes": [24],
        "neuron": "lif",
        "recurrent": False,
        "tau_mem_ms": 6.0,
        "surrogate_width": 0.3,
        "readout": "mean_over_time",
        "learning_rate": 1e-2,
        "init_gain": 2.0,
    }
    return SpikingClassifier(**small | changes)


def trainer(epochs: int = 1, **changes: object) -> L.Trainer:
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return L.Trainer(accelerator="cpu", max_epochs=epochs, num_sanity_val_steps=0, **quiet | changes)


def fitted(epochs: int = 1, **changes: object) -> SpikingClassifier:
    model = classifier(**changes)
    L.seed_everything(5, verbose=False)
    trainer(epochs).fit(model, digits())
    return model


def accuracy(model: SpikingModule) -> float:
    (values,) = trainer().test(model, digits(), verbose=False)
    return values["test_accuracy"]


@pytest.fixture(scope="module")
def float_model(tmp_path_factory):
    """A float network after six epochs, and its checkpoint."""
    model = classifier()
    L.seed_everything(5, verbose=False)
    run = trainer(6)
    run.fit(model, digits())
    path = tmp_path_factory.mktemp("float") / "float.ckpt"
    run.save_checkpoint(path)
    return model, path


# Accuracy.


def test_eight_bits_cost_little_and_two_bits_much(float_model):
    exact = accuracy(float_model[0])
    found = {
        bits: accuracy(SpikingClassifier.load_from_checkpoint(float_model[1], quantization={"weight_bits": bits}))
        for bits in (8, 2)
    }
    assert exact > 0.85
    assert abs(found[8] - exact) < 0.02
    assert found[2] < exact - 0.2


def test_training_on_the_grid_of_two_bits_beats_rounding_to_it(float_model):
    """Measured: 2 bits, scale of least error, six epochs: see docs/quantisation.md for longer trainings."""
    two = {"weight_bits": 2, "scale": "mse"}
    after = accuracy(SpikingClassifier.load_from_checkpoint(float_model[1], quantization=two))
    aware = accuracy(fitted(6, quantization=two))
    assert aware > after + 0.05


def test_rounding_to_zero_lowers_the_synops_that_are_logged(float_model):
    model = SpikingClassifier.load_from_checkpoint(float_model[1], quantization={"weight_bits": 3})
    accuracy(float_model[0])
    accuracy(model)
    zeros = (model.network(torch.zeros(1, 2, 64)).records[0].connections[0].weight == 0).double().mean()
    assert zeros > 0.3
    exact, rounded = (one.counts["test"].by_kind["input"] for one in (float_model[0], model))
    assert rounded < (1.0 - 0.5 * zeros) * exact


# In Lightning.


def test_after_trains_as_float_does_and_validates_at_the_chips_precision():
    exact, after, aware = (
        fitted(**changes)
        for changes in (
            {},
            {"quantization": {"weight_bits": 3}, "quantize": "after"},
            {"quantization": {"weight_bits": 3}},
        )
    )
    for one, other in zip(exact.parameters(), after.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(exact.network.layers[0].w_in, aware.network.layers[0].w_in)
    quantize(exact.network, Quantization(weight_bits=3))
    (expected,) = trainer().validate(exact, digits(), verbose=False)
    (found,) = trainer().validate(after, digits(), verbose=False)
    assert found == expected
    assert found["val_synops"] < trainer().validate(quantized(exact, None), digits(), verbose=False)[0]["val_synops"]


def quantized(model: SpikingModule, quantization: Quantization | None) -> SpikingModule:
    quantize(model.network, quantization)
    return model


def test_predictions_are_those_of_the_chips_precision():
    x = torch.rand(4, 8, 64).round()
    for mode in ("aware", "after"):
        model = classifier(quantization={"weight_bits": 2}, quantize=mode).eval()
        found = model.predict_step(x, 0)
        assert torch.equal(found, quantized(classifier(), Quantization(weight_bits=2)).predict_step(x, 0))
        assert not torch.equal(found, classifier().predict_step(x, 0))


@pytest.mark.parametrize("value", ["davies2018_loihi", {"weight_bits": 4, "per_channel": True}, {"profile": "bos2024_xylo", "state_bits": 16}], ids=str)  # fmt: skip
def test_a_checkpoint_loads_with_weights_only_and_brings_the_precision_along(value, tmp_path):
    model = classifier(quantization=value, quantize="after")
    run = trainer()
    run.fit(model, digits())
    run.save_checkpoint(tmp_path / "one.ckpt")
    saved = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert json.loads(json.dumps(saved["hyper_parameters"])) == saved["hyper_parameters"]
    assert saved["hyper_parameters"]["quantization"] == value
    assert list(saved["state_dict"])[:2] == ["network.layers.0.w_in", "network.layers.1.w_in"]
    loaded = SpikingClassifier.load_from_checkpoint(tmp_path / "one.ckpt")
    assert loaded.quantization == model.quantization == build_quantization(value)
    assert {layer.quantize_mode for layer in loaded.network.layers} == {"after"}
    x = torch.rand(4, 8, 64).round()
    assert torch.equal(loaded.eval()(x).logits, model.eval()(x).logits)
    plain = SpikingClassifier.load_from_checkpoint(tmp_path / "one.ckpt", quantization=None).eval()
    assert not torch.equal(plain(x).logits, loaded(x).logits)


def test_a_module_takes_a_record_a_name_or_a_mapping_and_reaches_layers_anywhere_in_the_network():
    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            inner = SpikingNetwork([SpikingLayer(4, 5, neuron=LIF()), SpikingLayer(5, 3, neuron=LI())], MeanOverTime())
            self.inner = nn.ModuleDict({"net": inner})

        def forward(self, x):
            return self.inner["net"](x)

    for value in (Quantization(weight_bits=8), "modha2023_northpole", {"weight_bits": 8}):
        model = SpikingModule(Nested(), num_classes=3, quantization=value)
        layers = [module for module in model.modules() if isinstance(module, SpikingLayer)]
        assert [layer.quantization for layer in layers] == 2 * [Quantization(weight_bits=8)]
    with pytest.raises(ConfigurationError, match="Linear has no spiking layer in it"):
        SpikingModule(nn.Linear(4, 3), num_classes=3, quantization="davies2018_loihi")


def test_without_the_argument_layers_keep_their_own_precision():
    layers = [
        SpikingLayer(4, 5, neuron=LIF(), quantization=Quantization(weight_bits=4)),
        SpikingLayer(5, 3, neuron=LI()),
    ]
    model = SpikingModule(SpikingNetwork(layers, MeanOverTime()), num_classes=3)
    assert model.quantization is None
    assert [layer.quantization for layer in layers] == [Quantization(weight_bits=4), None]


# Profiles.


def test_the_widths_are_those_of_the_profile():
    assert build_quantization("davies2018_loihi").weight_bits == 9
    assert build_quantization("frenkel2019_odin").weight_bits == 3
    for name in available():
        width = load(name).limit("weight_bits")
        if width is not None and width > 1:
            assert quantization_of(load(name)).weight_bits == width


def test_a_profile_that_knows_the_width_of_state_and_decay_has_them_rounded_too():
    profile = load("bos2024_xylo")
    wide = {
        name: Limit(name, value, "bits", "primary", "rockpool")
        for name, value in (("state_bits", 16), ("decay_bits", 4))
    }
    wider = dataclasses.replace(profile, limits={**profile.limits, **wide})
    assert quantization_of(wider) == Quantization(weight_bits=8, state_bits=16, decay_bits=4)
    assert quantization_of(wider, state_bits=20) == Quantization(weight_bits=8, state_bits=20, decay_bits=4)


def test_arguments_replace_and_complete_those_of_the_profile():
    value = {"profile": "bos2024_xylo", "state_bits": 16, "per_channel": True}
    assert build_quantization(value) == Quantization(weight_bits=8, state_bits=16, per_channel=True)
    assert build_quantization({"profile": "modha2023_northpole", "weight_bits": 4}) == Quantization(weight_bits=4)
    assert build_quantization({"profile": "merolla2014_truenorth", "weight_bits": 4}) == Quantization(weight_bits=4)
    assert build_quantization({"profile": None, "weight_bits": 4}) == Quantization(weight_bits=4)
    assert build_quantization(None) is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("nvidia2020_a100", ConfigurationError, "nvidia2020_a100 does not say how wide a weight is.*give weight_bits"),
        (
            "merolla2014_truenorth",
            ConfigurationError,
            "merolla2014_truenorth has weights of one bit.*bos2024_xylo, boyle",
        ),
        (
            "davies2018_lohi",
            UnknownNameError,
            "no hardware profile named 'davies2018_lohi'; did you mean 'davies2018_loihi'",
        ),
        (
            {"weight_bit": 4},
            ConfigurationError,
            "quantization has no parameter 'weight_bit'; did you mean 'weight_bits'",
        ),
        ({"weight_bits": 1}, ConfigurationError, "weight_bits is 1; symmetric integers of 1 bit"),
        (
            8,
            ConfigurationError,
            r"quantization is 8; the name of a hardware profile, or a mapping such as \{weight_bits: 8\}",
        ),
    ],
    ids=str,
)
def test_what_is_no_precision_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        build_quantization(value)


def test_the_refusal_names_exactly_the_profiles_that_work():
    with pytest.raises(ConfigurationError) as caught:
        build_quantization("nvidia2020_a100")
    named = str(caught.value).rstrip(".").rpartition(": ")[2].split(", ")
    assert named == [name for name in available() if (load(name).limit("weight_bits") or 0) >= 2]
    for name in named:
        build_quantization(name)


# Command line.


@pytest.mark.parametrize("name", ["digits", "digits_by_parts"])
@pytest.mark.parametrize(
    ("arguments", "weight_bits", "mode"),
    [
        (["--model.init_args.quantization=davies2018_loihi", "--model.init_args.quantize=after"], 9, "after"),
        (["--model.init_args.quantization.weight_bits=3"], 3, "aware"),
        (["--model.init_args.quantization={profile: bos2024_xylo, state_bits: 16}"], 8, "aware"),
    ],
    ids=["profile", "width", "both"],
)
def test_fit_takes_a_precision_for_a_ready_model_and_for_one_by_parts(
    name, arguments, weight_bits, mode, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["snnlightning"])
    small = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1"]
    config = str(ROOT / "configs" / "experiments" / f"{name}.yaml")
    seen = []

    def keep(model: SpikingModule) -> None:
        seen.append(model)

    monkeypatch.setattr(SpikingModule, "on_fit_end", keep)
    assert main(["fit", "--config", config, "--trainer.enable_progress_bar=false", *small, *arguments]) == 0
    (model,) = seen
    assert model.quantization.weight_bits == weight_bits
    layers = model.network.layers
    assert [layer.quantization for layer in layers] == len(layers) * [model.quantization]
    assert {layer.quantize_mode for layer in layers} == {mode}
    resolved = yaml.safe_load((tmp_path / f"runs/{name}/version_0/config.yaml").read_text())
    assert resolved["model"]["init_args"]["quantize"] == mode


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("quantization=nvidia2020_a100", r"^error: nvidia2020_a100 does not say how wide a weight is"),
        ("quantization.weight_bits=1", r"^error: weight_bits is 1; symmetric integers"),
        ("quantize=before", r"^error: SpikingClassifier: quantize.*before"),
    ],
)
def test_a_bad_precision_is_one_line_and_nothing_is_written(argument, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["snnlightning"])
    config = str(ROOT / "configs" / "experiments" / "digits.yaml")
    assert main(["fit", "--config", config, f"--model.init_args.{argument}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
    assert list(tmp_path.iterdir()) == []


# Studies.


def test_a_study_searches_widths_and_its_accuracy_is_the_one_at_the_chips_precision(tmp_path):
    directory = tmp_path / "study"
    content = {
        "name": "widths",
        "seed": 1,
        "trials": 3,
        "in_flight": 1,
        "policy": {"name": "plain"},
        "sampler": {"name": "random"},
        "objectives": [{"name": "accuracy", "reference": 0.2}, {"name": "synops", "reference": 100000}],
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
        "data": {"class_path": "DigitsDataModule", "init_args": {"steps": 6, "threshold": 0.1, "batch_size": 100}},
        "model": {
            "class_path": "SpikingClassifier",
            "init_args": {
                "in_features": 64,
                "num_classes": 10,
                "hidden_sizes": [16],
                "readout": "mean_over_time",
                "learning_rate": 0.02,
                "init_gain": 2.0,
                "quantize": "after",
            },
        },
        "space": {"model.quantization.weight_bits": {"type": "int", "low": 2, "high": 8}},
        "start": [{"model.quantization.weight_bits": bits} for bits in (8, 4, 2)],
    }
    Study(StudyConfig.parse(content), directory).run(workers=0)
    reached = {}
    for number, bits in enumerate((8, 4, 2)):
        (checkpoint,) = (directory / "trials" / str(number)).glob("best.ckpt")
        model = SpikingClassifier.load_from_checkpoint(checkpoint)
        assert model.quantization == Quantization(weight_bits=bits)
        with (directory / "trials.csv").open() as file:
            row = next(row for row in csv.DictReader(file) if row["number"] == str(number))
        reached[bits] = float(row["accuracy"])
    assert reached[2] < reached[8] - 0.1


def test_a_study_may_choose_between_chips_and_refuses_one_without_a_width_before_it_starts(tmp_path):
    content = {
        "name": "chips",
        "trials": 1,
        "objectives": [{"name": "accuracy", "reference": 0.2}],
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
        "data": {"class_path": "DigitsDataModule", "init_args": {"steps": 4}},
        "model": {"class_path": "SpikingClassifier", "init_args": {"in_features": 64, "num_classes": 10}},
        "space": {"model.quantization": [None, "davies2018_loihi", "nvidia2020_a100"]},
    }
    with pytest.raises(ConfigurationError, match="nvidia2020_a100 does not say how wide a weight is"):
        Study(StudyConfig.parse(content), tmp_path / "study").run(workers=0)
    assert not (tmp_path / "study" / "trials").exists()


# The page.


def test_the_page_runs_and_its_yaml_is_accepted(tmp_path, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    python = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    yamls = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert python
    assert yamls
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["script.py"])
    names: dict[str, object] = {}
    for number, block in enumerate(python):
        exec(compile(block, f"{PAGE.name}, python block {number}", "exec"), names)
    for block in yamls:
        arguments = yaml.safe_load(block)["model"]
        model = classifier(**arguments.get("init_args", arguments))
        assert isinstance(model.quantization, Quantization)
