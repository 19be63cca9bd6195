"""Where weights start: fluctuation-driven moments against their table and against simulation, and the published recipes."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from helpers import every

from snnlightning import recipes
from snnlightning.distributions import Gamma, Normal, Uniform, UniformDecay
from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.initializers import (
    FluctuationDriven,
    GlorotUniform,
    Orthogonal,
    ScaledNormal,
    ScaledUniform,
    WithoutAutapses,
)
from snnlightning.layers import SpikingLayer
from snnlightning.neurons import ALIF, IF, LI, LIF, CubaLI, CubaLIF
from snnlightning.scan import scan
from snnlightning.training import SpikingClassifier

NEURON = CubaLIF(tau_mem_ms=20.0, tau_syn_ms=10.0, ordering="stork")


@pytest.mark.parametrize(
    ("neuron", "area_ms", "square_ms"),
    [
        (NEURON, 10.507353352192265, 1.841948059032449),
        (CubaLI(tau_mem_ms=20.0, tau_syn_ms=10.0, ordering="stork"), 10.507353352192265, 1.841948059032449),
        (CubaLIF(tau_mem_ms=10.0, tau_syn_ms=5.0, ordering="stork"), 5.516128326479262, 1.0178053118486472),
        (dataclasses.replace(NEURON, dt_ms=2.0), 11.032256652958525, 2.0356106236972944),
    ],
    ids=["20/10", "readout", "10/5", "20/10-2ms"],
)
def test_kernels_are_those_of_the_neurons_own_steps_K3(neuron, area_ms, square_ms):
    area, square = FluctuationDriven(neuron).kernel_integrals_s()
    assert 1000.0 * area.item() == pytest.approx(area_ms, rel=1e-12)
    assert 1000.0 * square.item() == pytest.approx(square_ms, rel=1e-12)


@pytest.mark.parametrize(
    ("inputs", "rate_hz", "share", "deviation"),
    [
        (20, 5.0, 1.0, 2.330029),
        (100, 10.0, 1.0, 0.736820),
        (700, 15.0, 1.0, 0.227388),
        (100, 10.0, 0.9, 0.699009),
        (128, 10.0, 0.1, 0.205947),
    ],
)
def test_deviations_are_those_of_the_table(inputs, rate_hz, share, deviation):
    mean, found = FluctuationDriven(NEURON, rate_hz, share=share).moments(inputs)
    assert mean.item() == 0.0
    assert found.item() == pytest.approx(deviation, abs=5e-7)


def test_a_mean_moves_the_weights_by_the_formula_and_takes_its_part_of_the_variance():
    start = FluctuationDriven(NEURON, 10.0, xi=2.0, mu_u=0.4, share=0.9, sources=228)
    area, square = (moment.item() for moment in start.kernel_integrals_s())
    mean, deviation = (moment.item() for moment in start.moments(100))
    assert mean == pytest.approx(0.4 / (228 * 10.0 * area), rel=1e-14)
    assert deviation == pytest.approx(math.sqrt(0.9 * 0.3**2 / (100 * 10.0 * square) - mean**2), rel=1e-14)


@pytest.mark.parametrize(
    "neuron",
    [NEURON, LIF(tau_mem_ms=10.0), CubaLIF(v_th=0.5), LI(tau_mem_ms=15.0, ordering="stork")],
    ids=lambda n: type(n).__name__,
)
def test_poisson_inputs_make_the_potential_fluctuate_as_asked(neuron):
    """Mean and deviation in time below threshold, of 300 neurons; the process is Bernoulli in steps, so p (1 - p) for p."""
    torch.manual_seed(0)
    n, rate_hz, mu_u, xi = 200, 10.0, 0.2, 2.5
    quiet = dataclasses.replace(neuron, v_th=1e9) if neuron.spiking else neuron
    v_th = getattr(neuron, "v_th", 1.0)
    w_in = FluctuationDriven(neuron, rate_hz, xi=xi, mu_u=mu_u)(torch.empty(300, n, dtype=torch.float64))
    x = (torch.rand(1, 1200, n) < rate_hz / 1000.0).double()
    v = scan(quiet, x, w_in, spike=torch.zeros_like if neuron.spiking else None, potentials=True).potentials[0, 200:]
    expected = math.sqrt(1.0 - rate_hz / 1000.0) * (v_th - mu_u) / xi
    assert v.mean().item() == pytest.approx(mu_u, abs=0.05 * expected + 0.02)
    assert v.var(dim=0).mean().sqrt().item() == pytest.approx(expected, rel=0.05)


def test_each_neuron_of_a_list_gets_the_deviation_of_its_own_time_constants():
    start = FluctuationDriven(dataclasses.replace(NEURON, tau_mem_ms=[20.0, 50.0], v_th=[1.0, 2.0]), 10.0)
    mean, deviation = start.moments(100)
    assert mean.shape == deviation.shape == (2,)
    assert deviation[0].item() == pytest.approx(0.736820, abs=1e-5)
    assert deviation[1] > 2.0 * deviation[0]
    torch.manual_seed(0)
    weight = start(torch.empty(2, 20_000))
    assert (weight.std(dim=1) / start.moments(20_000)[1]).tolist() == pytest.approx([1.0, 1.0], abs=0.03)


def test_a_kernel_of_a_convolution_and_a_layer_without_inputs_are_filled_too():
    torch.manual_seed(0)
    weight = FluctuationDriven(NEURON)(torch.empty(50, 8, 5, 5))
    assert weight.std().item() == pytest.approx(FluctuationDriven(NEURON).moments(200)[1].item(), rel=0.03)
    assert FluctuationDriven(NEURON)(torch.empty(3, 0)).shape == (3, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FluctuationDriven(NEURON, 0.0), r"FluctuationDriven\.rate_hz is 0.0; it must be greater than 0"),
        (lambda: FluctuationDriven(NEURON, xi=-1.0), r"FluctuationDriven\.xi is -1.0"),
        (lambda: FluctuationDriven(NEURON, share=1.5), "share is 1.5; a part of the variance is at most 1"),
        (lambda: FluctuationDriven(NEURON, mu_u=1.0), "mu_u is 1.0; a mean below the threshold is expected"),
        (lambda: FluctuationDriven(NEURON, sources=0), r"FluctuationDriven\.sources is 0"),
        (
            lambda: FluctuationDriven(NEURON, mu_u=0.9, xi=50.0).moments(3),
            "fluctuate more than xi=50 allows; take a smaller",
        ),
        (lambda: FluctuationDriven(IF()).moments(3), "IF never forgets a spike .* use ScaledNormal"),
        (lambda: FluctuationDriven(LIF(tau_mem_ms=math.inf)).moments(3), "LIF never forgets a spike"),
        (lambda: FluctuationDriven(LIF(tau_mem_ms=Gamma(mean=9.0))).moments(3), r"LIF\.tau_mem_ms is Gamma"),
    ],
)
def test_fluctuations_that_cannot_be_are_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (5, 2, 3)], ids=str)
def test_orthogonal_weights_have_one_singular_value(shape):
    weight = Orthogonal(1.5)(torch.empty(*shape, dtype=torch.float64)).flatten(1)
    assert torch.allclose(torch.linalg.svdvals(weight), torch.full((min(weight.shape),), 1.5, dtype=torch.float64))


def test_autapses_are_zero_and_nothing_else_is_and_other_shapes_are_refused():
    torch.manual_seed(0)
    weight = WithoutAutapses(Orthogonal())(torch.empty(7, 7))
    torch.manual_seed(0)
    whole = Orthogonal()(torch.empty(7, 7))
    assert weight.diagonal().tolist() == [0.0] * 7
    assert torch.equal(weight + torch.diag(whole.diagonal()), whole)
    with pytest.raises(ShapeError, match=r"weights are \[2, 3\]; autapses are the diagonal"):
        WithoutAutapses()(torch.empty(2, 3))


def test_glorots_bound_takes_inputs_and_outputs():
    torch.manual_seed(0)
    weight = GlorotUniform(2.0)(torch.empty(100, 200, 3))
    bound = 2.0 * math.sqrt(6.0 / 900.0)
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3.0), rel=0.02)


@pytest.mark.parametrize("cls", every("initializers"))
def test_every_initializer_is_a_frozen_record_that_fills_from_the_seed(cls):
    start = cls(NEURON) if cls is FluctuationDriven else cls()
    assert pickle.loads(pickle.dumps(start)) == copy.deepcopy(start) == start
    assert len({start, copy.deepcopy(start)}) == 1
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(start(torch.nn.Parameter(torch.empty(5, 5))))
    assert torch.equal(*weights)
    assert weights[0].requires_grad
    assert weights[0].unique().numel() > 10


# Recipes.

RECIPES = every("recipes")


@pytest.mark.parametrize("cls", RECIPES)
@pytest.mark.parametrize("dt_ms", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("recurrent", [False, True])
def test_every_recipe_makes_a_layer_that_runs_and_learns(cls, dt_ms, recurrent):
    torch.manual_seed(0)
    recipe = cls()
    neuron = recipe.neuron(dt_ms)
    assert neuron.dt_ms == dt_ms
    layer = SpikingLayer(
        9, 16, neuron=neuron, recurrent=recurrent, initializer=recipe.initializer(neuron, recurrent=recurrent),
        rec_initializer=recipe.rec_initializer(neuron),
    )  # fmt: skip
    x = (torch.rand(4, 50, 9) < 0.3).float()
    record = layer.run(x, potentials=True)
    assert record.potentials.isfinite().all()
    record.potentials.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
    assert recipe.neuron(dt_ms, detach_reset=False).detach_reset is False
    with pytest.raises(ConfigurationError, match="has no parameter 'tau_mem'; did you mean 'tau_mem_ms'"):
        recipe.neuron(dt_ms, tau_mem=3.0)


def test_recipes_say_what_the_publications_say():
    spytorch = recipes.SpyTorch()
    assert spytorch.neuron() == CubaLIF(tau_mem_ms=10.0, tau_syn_ms=5.0, ordering="spytorch", reset="zero")
    assert spytorch.rec_initializer(spytorch.neuron()) == ScaledNormal(0.2)
    sparch = recipes.Sparch()
    neuron = sparch.neuron(dt_ms=2.0)
    assert (neuron.form, neuron.reset, neuron.learn_tau) == ("radlif", "subtract", "per_neuron")
    assert neuron.tau_mem_ms == UniformDecay(low=10.0, high=50.0, dt_ms=2.0)
    assert neuron.limits("tau_adapt_ms") == (60.0, 240.0)
    assert (neuron.limits("a"), neuron.limits("b")) == ((-1.0, 1.0), (0.0, 2.0))
    assert sparch.rec_initializer(neuron) == WithoutAutapses(Orthogonal())
    baronig = recipes.Baronig().neuron()
    assert (baronig.form, baronig.q, baronig.tau_adapt_ms) == ("symplectic", 120.0, Uniform(low=60.0, high=300.0))
    yin = recipes.Yin().neuron()
    assert (yin.v_th, yin.beta, yin.tau_adapt_ms) == (0.01, 1.8, Normal(mean=150.0, std=10.0, low=1.0))
    many = recipes.PerezNieves().neuron(dt_ms=0.5)
    bounds = many.limits("tau_mem_ms")
    assert [math.exp(-0.5 / tau) for tau in bounds] == pytest.approx([2.0 / math.e, 0.995], rel=1e-12)
    assert (many.tau_mem_ms.mean, many.tau_syn_ms.mean, many.tau_mem_ms.shape) == (20.0, 10.0, 3.0)
    assert isinstance(recipes.LSNN().neuron(), ALIF)


def test_a_classifier_is_built_by_recipe():
    torch.manual_seed(0)
    model = SpikingClassifier(
        in_features=100, num_classes=4, hidden_sizes=[128], recipe={"recipe": "stork", "rate_hz": 10.0},
        neuron_options={"tau_mem_ms": 20.0},
    )  # fmt: skip
    hidden, last = model.network.layers
    assert hidden.neuron == recipes.Stork().neuron(1.0)
    assert hidden.w_in.std().item() == pytest.approx(0.699009, rel=0.03)
    assert hidden.w_rec.std().item() == pytest.approx(0.205947, rel=0.03)
    assert isinstance(last.neuron, CubaLI)
    assert model.hparams.recipe == {"recipe": "stork", "rate_hz": 10.0}
    with pytest.raises(ConfigurationError, match=r"recipe says what hidden neurons are .* and reset, neuron came"):
        SpikingClassifier(in_features=4, num_classes=2, recipe="sparch", neuron="lif", reset="zero")


def test_a_classifier_takes_initializers_by_name():
    torch.manual_seed(0)
    model = SpikingClassifier(
        in_features=100, num_classes=4, hidden_sizes=[128], tau_mem_ms=20.0, tau_syn_ms=10.0, ordering="stork",
        initializer={"initializer": "fluctuation_driven", "rate_hz": 10.0},
    )  # fmt: skip
    hidden, last = model.network.layers
    assert hidden.w_in.std().item() == pytest.approx(0.699009, rel=0.03)
    assert hidden.w_rec.std().item() == pytest.approx(0.205947, rel=0.03)
    assert last.initializer.share == 1.0
    other = SpikingClassifier(
        in_features=8, num_classes=2, hidden_sizes=[6], initializer="scaled_uniform", init_gain=2.0,
        rec_initializer={"initializer": "without_autapses", "of": "orthogonal"}, init_gain_rec=0.5,
    )  # fmt: skip
    assert other.network.layers[0].initializer == ScaledUniform(2.0)
    assert other.network.layers[0].rec_initializer == WithoutAutapses(Orthogonal(0.5))
    assert other.network.layers[1].initializer == ScaledUniform(2.0)
