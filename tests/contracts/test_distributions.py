"""What every file in ``distributions`` promises, and what layers make of it: drawn from the seed, bounded, kept, exported."""

import copy
import math
import pickle

import pytest
import torch
from helpers import every
from lightning import Trainer

from snnlightning.distributions import AbstractDistribution, Gamma, LogUniform, Normal, Uniform, UniformDecay
from snnlightning.errors import ConfigurationError
from snnlightning.firing import SigmoidEscape
from snnlightning.layers import ConvolutionalLayer, SpikingLayer, SpikingNetwork
from snnlightning.neurons import ALIF, LIF, AdLIF, CubaLIF
from snnlightning.readouts import LastStep
from snnlightning.scan import scan
from snnlightning.surrogates import SuperSpike
from snnlightning.training import SpikingClassifier

EXAMPLES = {
    Gamma: Gamma(mean=20.0, low=1.6, high=99.0),
    LogUniform: LogUniform(low=1.0, high=100.0),
    Normal: Normal(mean=20.0, std=5.0, low=1.0),
    Uniform: Uniform(low=5.0, high=25.0),
    UniformDecay: UniformDecay(low=5.0, high=25.0),
}
ALL = [pytest.param(distribution, id=type(distribution).__name__) for distribution in EXAMPLES.values()]
all_distributions = pytest.mark.parametrize("distribution", ALL)


def drawn(distribution: AbstractDistribution, count: int = 20_000, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return distribution.draw(count)


def test_every_distribution_of_the_folder_is_met():
    assert {parameter.values[0] for parameter in every("distributions")} == set(EXAMPLES)


@all_distributions
def test_a_seed_decides_what_is_drawn_and_nothing_leaves_the_bounds(distribution):
    first = drawn(distribution)
    assert first.dtype == torch.float64
    assert torch.equal(first, drawn(distribution))
    assert not torch.equal(first, drawn(distribution, seed=1))
    low, high = distribution.support
    assert low <= first.min().item() <= first.max().item() <= high
    assert distribution.draw(0).shape == (0,)


@all_distributions
def test_a_distribution_is_a_frozen_record_that_pickles_compares_and_hashes(distribution):
    assert pickle.loads(pickle.dumps(distribution)) == copy.deepcopy(distribution) == distribution
    assert len({distribution, copy.deepcopy(distribution)}) == 1


@pytest.mark.parametrize(
    ("distribution", "mean", "std"),
    [
        (Gamma(mean=20.0, shape=3.0), 20.0, 20.0 / math.sqrt(3.0)),
        (Gamma(mean=10.0, shape=0.5), 10.0, 10.0 / math.sqrt(0.5)),
        (Normal(mean=20.0, std=5.0), 20.0, 5.0),
        (Uniform(low=5.0, high=25.0), 15.0, 20.0 / math.sqrt(12.0)),
        (LogUniform(low=1.0, high=100.0), 99.0 / math.log(100.0), 29.0),
    ],
    ids=str,
)
def test_mean_and_standard_deviation_are_those_of_the_formula(distribution, mean, std):
    count = 200_000
    found = drawn(distribution, count)
    variance = (100.0**2 - 1.0) / (2.0 * math.log(100.0)) - mean**2 if isinstance(distribution, LogUniform) else std**2
    assert found.mean().item() == pytest.approx(mean, abs=5.0 * math.sqrt(variance / count))
    assert found.std().item() == pytest.approx(math.sqrt(variance), rel=0.03)


def test_the_logarithm_of_a_log_uniform_is_uniform():
    part = drawn(LogUniform(low=1.0, high=100.0)).log() / math.log(100.0)
    quantiles = torch.quantile(part, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    assert quantiles.tolist() == pytest.approx([0.1, 0.5, 0.9], abs=0.015)


def test_the_decays_of_uniform_decays_are_uniform():
    low, high = math.exp(-0.4), math.exp(-0.1)
    part = ((-2.0 / drawn(UniformDecay(low=5.0, high=20.0, dt_ms=2.0))).exp() - low) / (high - low)
    quantiles = torch.quantile(part, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    assert quantiles.tolist() == pytest.approx([0.1, 0.5, 0.9], abs=0.015)


def test_a_bound_holds_the_mass_beyond_it():
    found = drawn(Normal(mean=0.0, std=1.0, low=-1.0, high=0.0))
    assert (found == -1.0).double().mean().item() == pytest.approx(0.158655, abs=0.01)
    assert (found == 0.0).double().mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gamma(mean=0.0), r"Gamma\.mean is 0; it must be greater than 0"),
        (lambda: Gamma(mean=1.0, shape=-1.0), r"Gamma\.shape is -1; it must be greater than 0"),
        (lambda: Normal(mean=1.0, std=-1.0), r"Normal\.std is -1; it must be at least 0"),
        (lambda: Normal(mean=math.inf, std=1.0), r"Normal\.mean is inf; a finite number"),
        (lambda: Normal(mean="x", std=1.0), r"Normal\.mean is 'x'; a number is expected"),
        (lambda: Uniform(low=1.0), r"Uniform has low=1 and high=inf; two finite bounds"),
        (lambda: Uniform(low=2.0, high=1.0), r"Uniform\.low is 2 and high 1; low < high"),
        (lambda: LogUniform(low=0.0, high=1.0), r"LogUniform has low=0 and high=1; 0 < low < high"),
        (lambda: UniformDecay(low=1.0), r"UniformDecay has low=1 and high=inf; 0 < low < high < inf"),
        (lambda: LIF(tau_mem_ms=Normal(mean=20.0, std=5.0)), r"LIF\.tau_mem_ms is Normal.*can draw 0 or less; give it a low"),
        (lambda: LIF(v_th=Uniform(low=0.0, high=1.0)), r"LIF\.v_th is Uniform.*can draw 0 or less"),
        (lambda: LIF(tau_mem_ms=EXAMPLES[Gamma], learn_tau="shared"), r"learn_tau='shared' .* use learn_tau='per_neuron'"),
        (lambda: ALIF(beta=Normal(mean=1.0, std=1.0)), r"ALIF\.beta is -inf; it must not be negative"),
        (lambda: LIF(tau_mem_ms=EXAMPLES[Gamma]).coefficients(), r"LIF\.tau_mem_ms is Gamma.*, from which a layer draws"),
        (
            lambda: scan(LIF(v_th=EXAMPLES[Gamma]), torch.ones(1, 2, 1), torch.ones(1, 1), spike=SuperSpike()),
            r"LIF\.v_th is Gamma.*, from which a layer draws",
        ),
    ],
)  # fmt: skip
def test_numbers_that_make_no_distribution_and_places_that_take_none_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@all_distributions
@pytest.mark.parametrize("learn_tau", ["none", "per_neuron"])
def test_a_layer_draws_its_time_constants_from_the_seed_and_keeps_them(distribution, learn_tau):
    def layer(seed: int) -> SpikingLayer:
        torch.manual_seed(seed)
        neuron = CubaLIF(tau_mem_ms=distribution, tau_syn_ms=[5.0] * 32, learn_tau=learn_tau)
        return SpikingLayer(4, 32, neuron=neuron)

    one, other = layer(0), layer(1)
    x = (torch.rand(2, 20, 4) > 0.5).float() * 4.0
    taus = one.taus_ms()["tau_mem_ms"].clone()
    assert torch.equal(taus, layer(0).taus_ms()["tau_mem_ms"])
    assert taus.unique().numel() > 1
    low, high = distribution.support
    assert ((taus >= low * (1.0 - 1e-6)) & (taus <= high * (1.0 + 1e-6))).all()
    assert not torch.equal(one(x)[0], other(x)[0])
    assert other.load_state_dict(one.state_dict()).missing_keys == []
    assert torch.equal(one(x)[0], other(x)[0])
    one.reset_parameters()
    assert not torch.equal(one.taus_ms()["tau_mem_ms"], taus)


def test_drawn_constants_are_those_of_a_record_that_lists_them():
    torch.manual_seed(0)
    neuron = AdLIF(
        tau_mem_ms=Uniform(low=5.0, high=25.0), tau_adapt_ms=LogUniform(low=60.0, high=300.0), a=Uniform(low=0.0, high=1.0),
        b=Normal(mean=1.0, std=0.1), v_th=Uniform(low=0.5, high=1.5), q=1.0,
    )  # fmt: skip
    layer = SpikingLayer(3, 16, neuron=neuron, recurrent=True).double()
    listed = layer.settled_neuron()
    assert listed.drawn == ()
    assert all(isinstance(getattr(listed, name), tuple) for name in neuron.drawn)
    assert set(neuron.drawn) == {"tau_mem_ms", "tau_adapt_ms", "a", "b", "v_th"}
    same = SpikingLayer(3, 16, neuron=listed, recurrent=True).double()
    same.load_state_dict({name: value for name, value in layer.state_dict().items() if name not in neuron.drawn})
    x = 30.0 * torch.rand(2, 40, 3, dtype=torch.float64)
    assert layer(x)[0].any()
    assert torch.equal(layer(x)[0], same(x)[0])
    for mine, theirs in zip(layer(x)[1], same(x)[1], strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-10)  # exp of a list and of a tensor differ in the last digit


def test_weights_do_not_change_when_a_constant_is_drawn():
    torch.manual_seed(0)
    plain = SpikingLayer(4, 8, neuron=LIF(), recurrent=True)
    torch.manual_seed(0)
    mixed = SpikingLayer(4, 8, neuron=LIF(tau_mem_ms=EXAMPLES[Gamma]), recurrent=True)
    assert torch.equal(plain.w_in, mixed.w_in)
    assert torch.equal(plain.w_rec, mixed.w_rec)


def test_drawn_constants_are_no_parameters_and_follow_the_layers_precision():
    layer = SpikingLayer(4, 8, neuron=LIF(tau_mem_ms=EXAMPLES[Gamma]))
    assert [name for name, _ in layer.named_parameters()] == ["w_in"]
    assert layer.double().taus_ms()["tau_mem_ms"].dtype == torch.float64


def test_a_convolution_draws_one_number_per_map():
    layer = ConvolutionalLayer(1, 3, [3], neuron=LIF(tau_mem_ms=EXAMPLES[Uniform]))
    assert layer.taus_ms()["tau_mem_ms"].shape == (3,)
    assert layer.run(torch.ones(1, 4, 1, 6)).output.shape == (1, 4, 3, 4)


def test_a_network_with_drawn_constants_goes_to_nir_and_back_to_the_bit():
    pytest.importorskip("nir", minversion="1.0.6")
    from snnlightning.interop import from_nir, to_nir

    torch.manual_seed(0)
    neuron = CubaLIF(
        tau_mem_ms=EXAMPLES[Gamma], tau_syn_ms=EXAMPLES[Uniform], v_th=Uniform(low=0.5, high=1.5), learn_tau="per_neuron",
        bounds={"tau_mem_ms": (1.0, 50.0)},
    )  # fmt: skip
    net = SpikingNetwork([SpikingLayer(4, 8, neuron=neuron, recurrent=True)], LastStep())
    again = from_nir(to_nir(net))
    x = (torch.rand(2, 30, 4) > 0.5).float() * 4.0
    assert net(x).records[0].output.any()
    assert torch.equal(net(x).records[0].output, again(x).records[0].output)
    assert torch.equal(net(x).records[0].state[1], again(x).records[0].state[1])
    assert again.layers[0].neuron.bounds == neuron.bounds


def test_a_classifier_takes_distributions_and_options_from_plain_values():
    torch.manual_seed(0)
    model = SpikingClassifier(
        in_features=4, num_classes=2, hidden_sizes=[8], neuron="ad_lif", reset="zero",
        tau_mem_ms={"distribution": "uniform", "low": 5.0, "high": 25.0}, learn_tau="per_neuron",
        neuron_options={"tau_adapt_ms": {"distribution": "log_uniform", "low": 60.0, "high": 300.0}, "a": 0.25,
                        "bounds": {"tau_mem_ms": [4.0, 30.0]}},
    )  # fmt: skip
    hidden, last = model.network.layers
    assert hidden.neuron.a == 0.25
    assert set(dict(hidden.named_parameters())) == {"w_in", "w_rec", "logit_tau_mem_ms", "log_tau_adapt_ms"}
    assert last.neuron.tau_mem_ms == 15.0  # the centre of what hidden neurons draw from
    groups = model.configure_optimizers()
    assert model(torch.ones(1, 3, 4)).logits.shape == (1, 2)
    assert groups is not None
    with pytest.raises(ConfigurationError, match="neuron_options names learn_tau, which is an argument of its own"):
        SpikingClassifier(in_features=4, num_classes=2, neuron_options={"learn_tau": "none"})
    with pytest.raises(
        ConfigurationError, match=r"CubaLIF has no parameter 'refractory'.* did you mean 'refractory_ms'"
    ):
        SpikingClassifier(in_features=4, num_classes=2, neuron_options={"refractory": 2.0})


@pytest.mark.parametrize("layer", [SpikingLayer, ConvolutionalLayer])
def test_a_configuration_by_parts_names_distributions_and_ways_of_firing_by_class(layer):
    jsonargparse = pytest.importorskip("jsonargparse")
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(layer, "layer")
    sizes = (
        {"in_features": 4, "out_features": 8}
        if layer is SpikingLayer
        else {"in_channels": 4, "out_channels": 8, "kernel_size": [3]}
    )
    gamma = {"class_path": "snnlightning.distributions.Gamma", "init_args": {"mean": 12.0, "low": 1.0}}
    neuron = {"tau_mem_ms": gamma, "v_th": [1.0] * 8, "learn_tau": "per_neuron", "bounds": {"tau_mem_ms": [1.0, 50.0]}}
    parsed = parser.parse_object({"layer": {"class_path": f"snnlightning.layers.{layer.__name__}", "init_args": {
        **sizes,
        "neuron": {"class_path": "snnlightning.neurons.LIF", "init_args": neuron},
        "surrogate": {"class_path": "snnlightning.firing.SigmoidEscape", "init_args": {"width": 0.3}},
    }}})  # fmt: skip
    built = parser.instantiate(parsed).layer
    assert built.neuron.tau_mem_ms == Gamma(mean=12.0, low=1.0)
    assert built.neuron.limits("tau_mem_ms") == (1.0, 50.0)
    assert built.surrogate == SigmoidEscape(width=0.3)


def test_a_checkpoint_brings_the_drawn_constants_back(tmp_path):
    torch.manual_seed(0)
    options = {
        "tau_mem_ms": {"distribution": "gamma", "mean": 20.0},
        "v_th": {"distribution": "uniform", "low": 0.5, "high": 1.5},
    }
    model = SpikingClassifier(in_features=4, num_classes=2, hidden_sizes=[8], **options)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    again = SpikingClassifier.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    one, other = model.network.layers[0], again.network.layers[0]
    assert torch.equal(one.taus_ms()["tau_mem_ms"], other.taus_ms()["tau_mem_ms"])
    assert torch.equal(one.values()["v_th"], other.values()["v_th"])
    x = torch.rand(3, 20, 4)
    assert torch.equal(model(x).logits, again(x).logits)
