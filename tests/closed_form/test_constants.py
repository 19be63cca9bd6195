"""Learned constants between bounds, and thresholds of one's own: the maps, their gradients, their limits."""

import dataclasses
import math

import pytest
import torch
from helpers import single
from torch.autograd import gradcheck

from snnlightning.errors import ConfigurationError
from snnlightning.layers import SpikingLayer
from snnlightning.neurons import ALIF, IF, LI, LIF, AdLIF, CubaLIF
from snnlightning.scan import scan
from snnlightning.surrogates import SuperSpike

EXTREMES = [-math.inf, -1e30, -100.0, -20.0, 0.0, 20.0, 100.0, 1e30, math.inf]
BOUNDED = AdLIF(bounds={"tau_mem_ms": (5.0, 25.0), "a": (-1.0, 1.0)}, learn_tau="per_neuron", learn_gains="per_neuron")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "low", "high"), [("tau_mem_ms", 5.0, 25.0), ("a", -1.0, 1.0)])
def test_no_parameter_leads_out_of_the_bounds_or_to_a_gradient_that_is_none(name, low, high, dtype):
    parameter = torch.tensor(EXTREMES, dtype=dtype, requires_grad=True)
    value = BOUNDED.from_parameter(name, parameter)
    value.sum().backward()
    assert ((value >= low) & (value <= high)).all()
    assert parameter.grad.isfinite().all()
    assert (value[0].item(), value[-1].item()) == pytest.approx((low, high), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_without_bounds_a_decay_stays_within_zero_and_one_and_its_gradient_a_number(dtype):
    neuron = LIF(learn_tau="per_neuron", dt_ms=2.0)
    parameter = torch.tensor(EXTREMES, dtype=dtype, requires_grad=True)
    tau = neuron.from_parameter("tau_mem_ms", parameter)
    decay = neuron.coefficients({"tau_mem_ms": tau})["decay_mem"]
    decay.sum().backward()
    assert ((decay > 0.0) & (decay < 1.0)).all()
    assert parameter.grad.isfinite().all()


def test_the_map_between_bounds_is_the_published_formula_with_its_exact_derivative():
    p = torch.tensor([-1.5, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    part = torch.sigmoid(p)
    assert torch.allclose(BOUNDED.from_parameter("tau_mem_ms", p), 5.0 * 5.0**part, rtol=1e-14)
    assert torch.allclose(BOUNDED.from_parameter("a", p), 2.0 * part - 1.0, rtol=1e-14)
    assert BOUNDED.from_parameter("tau_mem_ms", p)[1].item() == pytest.approx(math.sqrt(5.0 * 25.0), rel=1e-14)
    assert gradcheck(lambda x: BOUNDED.from_parameter("tau_mem_ms", x), (p,))
    assert gradcheck(lambda x: BOUNDED.from_parameter("a", x), (p,))


@pytest.mark.parametrize(("name", "value"), [("tau_mem_ms", 7.0), ("tau_adapt_ms", 180.0), ("a", 0.25), ("b", -3.0)])
def test_a_field_starts_at_the_value_of_the_record(name, value):
    start = BOUNDED.to_parameter(name, torch.tensor(value, dtype=torch.float64))
    assert BOUNDED.from_parameter(name, start).item() == pytest.approx(value, rel=1e-13)


def test_a_start_on_a_bound_begins_a_thousandth_inside_where_the_gradient_is_not_zero():
    neuron = LIF(tau_mem_ms=[5.0, 25.0], bounds={"tau_mem_ms": (5.0, 25.0)}, learn_tau="per_neuron")
    layer = SpikingLayer(3, 2, neuron=neuron).double()
    taus = layer.taus_ms()["tau_mem_ms"]
    assert taus.tolist() == pytest.approx([5.0 * 5.0**0.001, 5.0 * 5.0**0.999], rel=1e-6)
    layer.run(torch.rand(2, 10, 3, dtype=torch.float64), potentials=True).potentials.sum().backward()
    assert layer.logit_tau_mem_ms.grad.all()


def test_training_towards_a_bound_stops_at_it():
    neuron = LI(tau_mem_ms=10.0, bounds={"tau_mem_ms": (5.0, 20.0)}, learn_tau="shared")
    layer = SpikingLayer(1, 1, neuron=neuron)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e3)
    for _ in range(20):
        optimizer.zero_grad()
        (-layer.taus_ms()["tau_mem_ms"]).backward()
        optimizer.step()
    assert layer.taus_ms()["tau_mem_ms"].item() == pytest.approx(20.0, rel=1e-5)
    assert layer.taus_ms()["tau_mem_ms"].item() <= 20.0


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "per_neuron"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_bounded_constants_and_thresholds_of_a_layer_get_the_gradient_of_finite_differences(reset, shared):
    learn = "shared" if shared else "per_neuron"
    bounds = {"tau_mem_ms": (3.0, 30.0), "tau_syn_ms": (1.0, 10.0), "v_th": (0.5, 1.5)}
    neuron = CubaLIF(reset=reset, detach_reset=False, learn_tau=learn, learn_v_th=learn, bounds=bounds)
    torch.manual_seed(0)
    layer = SpikingLayer(3, 4, neuron=neuron, surrogate=SuperSpike(slope=2.0).soft, recurrent=True).double()
    x = torch.rand(2, 8, 3, dtype=torch.float64)
    names = ["logit_tau_mem_ms", "logit_tau_syn_ms", "logit_v_th"]
    leaves = [getattr(layer, name).detach().clone().requires_grad_() for name in names]
    assert all(leaf.shape == (() if shared else (4,)) for leaf in leaves)

    def run(*parameters: torch.Tensor) -> torch.Tensor:
        values = {
            name: neuron.from_parameter(name.removeprefix("logit_"), p)
            for name, p in zip(names, parameters, strict=True)
        }
        coefficients = neuron.coefficients({name.removeprefix("logit_"): value for name, value in values.items()})
        return scan(neuron, x, layer.w_in, layer.w_rec, spike=layer.surrogate, coefficients=coefficients).output

    assert gradcheck(run, leaves, eps=1e-6, atol=1e-6)
    weights = torch.rand(2, 8, 4, dtype=torch.float64)
    (layer(x)[0] * weights).sum().backward()
    for name, mine in zip(names, torch.autograd.grad((run(*leaves) * weights).sum(), leaves), strict=True):
        assert torch.allclose(getattr(layer, name).grad, mine, rtol=1e-12)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("neuron", [IF(), LIF(), CubaLIF(), ALIF(), AdLIF(q=1.0)], ids=lambda n: type(n).__name__)
def test_a_list_of_thresholds_is_that_many_neurons_side_by_side(neuron, reset):
    thresholds = [0.5, 1.0, 1.75]
    w_in = torch.full((3, 1), 0.4, dtype=torch.float64)
    scale = 1.0 if isinstance(neuron, IF | CubaLIF) else 4.0 if isinstance(neuron, LIF) else 40.0
    x = scale * torch.rand(1, 60, 1, generator=torch.Generator().manual_seed(0)).double()
    together = scan(
        dataclasses.replace(neuron, reset=reset, v_th=thresholds), x, w_in, spike=SuperSpike(), potentials=True
    )
    for k, v_th in enumerate(thresholds):
        alone = single(dataclasses.replace(neuron, reset=reset, v_th=v_th), x.flatten(), w_in=0.4)
        assert torch.equal(together.output[..., k], alone.output[..., 0])
        assert torch.equal(together.potentials[..., k], alone.potentials[..., 0])
    assert together.output.sum(dim=(0, 1)).unique().numel() == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LIF(bounds={"tau_syn_ms": (1.0, 2.0)}), r"LIF\.bounds names 'tau_syn_ms'; it can bound tau_mem_ms, v_th"),
        (lambda: LIF(bounds={"tau_mem_ms": (0.0, 2.0)}), r"LIF\.bounds\['tau_mem_ms'\] is \(0.0, 2.0\); finite 0 < low < high"),
        (lambda: LIF(bounds={"tau_mem_ms": (5.0, 2.0)}), "finite 0 < low < high is expected"),
        (lambda: AdLIF(bounds={"a": (1.0, math.inf)}), "finite low < high is expected"),
        (lambda: LIF(bounds={"tau_mem_ms": (5.0,)}), "finite 0 < low < high is expected"),
        (lambda: LIF(bounds={"tau_mem_ms": "wide"}), r"\['tau_mem_ms'\] is 'wide'; a pair of numbers is expected"),
        (lambda: LIF(bounds=["tau_mem_ms"]), r"LIF\.bounds is \['tau_mem_ms'\]; \{'tau_mem_ms': \(5.0, 25.0\)\}"),
        (lambda: LIF(tau_mem_ms=[6.0, 30.0], bounds={"tau_mem_ms": (5, 25)}), r"is 30 and its bounds are 5 and 25; start"),
        (lambda: LIF(learn_v_th="shared"), r"learn_v_th is 'shared' without bounds, .* give bounds=\{'v_th'"),
        (lambda: LIF(learn_v_th="yes"), r"learn_v_th is 'yes'; it must be one of none, shared, per_neuron"),
        (lambda: LIF(v_th=[1.0, -1.0]), r"LIF\.v_th is -1.0; it must be greater than 0"),
        (lambda: LIF(v_th=[1.0, 2.0], learn_v_th="shared", bounds={"v_th": (0.5, 3.0)}), "trains one threshold for the layer"),
        (lambda: SpikingLayer(1, 2, neuron=LIF(v_th=[1.0, 2.0, 3.0])), "v_th lists 3 numbers for a layer of 2"),
        (
            lambda: SpikingLayer(1, 2, neuron=LIF(tau_mem_ms=1e9, learn_tau="shared")),
            r"tau_mem_ms starts at 1e\+09 to 1e\+09 with dt_ms=1; one that is learned has to lie between dt_ms / 50",
        ),
    ],
)  # fmt: skip
def test_bounds_and_thresholds_that_cannot_be_are_refused(make, message):
    with pytest.raises((ConfigurationError, ValueError), match=message):
        make()


def test_bounds_are_the_same_record_however_they_are_written():
    mapping = LIF(bounds={"v_th": [0.5, 1.5], "tau_mem_ms": (5, 25)})
    assert mapping.bounds == (("tau_mem_ms", 5.0, 25.0), ("v_th", 0.5, 1.5))
    assert LIF(bounds=mapping.bounds) == mapping
    assert hash(LIF(bounds=[["tau_mem_ms", 5, 25], ["v_th", 0.5, 1.5]])) == hash(mapping)
