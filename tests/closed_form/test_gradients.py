"""Gradients against fractions that can be worked out by hand, finite differences of the smooth twin, and controls."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from helpers import every, single
from torch import Tensor
from torch.autograd import gradcheck

from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.losses import CrossEntropy
from snnlightning.neurons import IF, LIF, CubaLI, CubaLIF
from snnlightning.readouts import MaxOverTime, MeanOverTime
from snnlightning.regularizers import LowerBound
from snnlightning.scan import scan
from snnlightning.surrogates import ATan, Boxcar, Gaussian, Sigmoid, SuperSpike, Triangle
from snnlightning.typing import SpikeFunction

HALF = {"decay_mem": 0.5, "decay_syn": 0.5}
TWIN = SuperSpike(slope=10.0, scale=5.0).soft


# K6: one neuron, autapse, decays 1/2, w = 3/2, v = 1/2, x = (1, 1, 0, 0, 0), h = 1 / (|x| + 1)², L = sum of S[0..5].


@pytest.mark.parametrize(
    ("reset", "detach_reset", "detach_recurrent", "dw", "dv"),
    [
        ("zero", True, False, Fraction(412, 507), Fraction(64, 169)),
        ("zero", False, False, Fraction(1835, 6084), Fraction(38, 169)),
        ("zero", True, True, Fraction(1108, 1521), Fraction(64, 169)),
        ("zero", False, True, Fraction(1531, 6084), Fraction(38, 169)),
        ("subtract", True, False, Fraction(752041, 246402), Fraction(26816, 13689)),
        ("subtract", False, False, Fraction(165661, 82134), Fraction(22720, 13689)),
        ("subtract", True, True, Fraction(71041, 27378), Fraction(26816, 13689)),
        ("subtract", False, True, Fraction(411511, 246402), Fraction(22720, 13689)),
    ],
)
def test_backpropagation_through_six_steps_gives_the_fractions_of_K6(reset, detach_reset, detach_recurrent, dw, dv):
    w = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    v = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    neuron = CubaLIF(reset=reset, detach_reset=detach_reset, detach_recurrent=detach_recurrent)
    trace = single(
        neuron, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0], w_in=w, w_rec=v, spike=SuperSpike(slope=1.0), coefficients=HALF
    )
    trace.output.sum().backward()
    assert w.grad.item() == pytest.approx(float(dw), rel=1e-12)
    assert v.grad.item() == pytest.approx(float(dv), rel=1e-12)


@pytest.mark.parametrize(
    ("reset", "u", "s", "last"),
    [
        ("zero", [0, 0, 3 / 2, 0, 13 / 8, 0], [0, 0, 1, 0, 1, 0], 29 / 32),
        ("subtract", [0, 0, 3 / 2, 2, 13 / 8, 9 / 8], [0, 0, 1, 1, 1, 1], 37 / 32),
    ],
)
def test_the_forward_pass_has_the_potentials_and_currents_of_K6(reset, u, s, last):
    trace = single(CubaLIF(reset=reset), [1.0, 1.0, 0.0, 0.0, 0.0], w_in=1.5, w_rec=0.5, coefficients=HALF)
    assert trace.potentials.flatten().tolist() == u[:5]
    assert trace.output.flatten().tolist() == s[:5]
    assert (trace.state[0].item(), trace.state[1].item()) == (last, u[5])


# K9: the smooth twin has a true gradient, and it is the formula of the surrogate gradient.


def smooth_case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(2, 12, 3, generator=generator) < 0.5).double()
    w_in = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    w_rec = (0.5 * torch.randn(4, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    return x, w_in, w_rec


NEURONS = [
    pytest.param(cls, {"reset": reset, **more}, id=f"{cls.__name__}-{reset}-{'-'.join(more.values())}")
    for cls, more in (
        (IF, {}),
        (LIF, {}),
        (LIF, {"ordering": "stork"}),
        (CubaLIF, {}),
        (CubaLIF, {"ordering": "stork"}),
        (CubaLIF, {"ordering": "spytorch"}),
    )
    for reset in ("subtract", "zero")
    if not (more.get("ordering") == "spytorch" and reset == "subtract")
]


def smooth_outputs(neuron: Any, x: Tensor, spike: SpikeFunction) -> Callable[..., tuple[Tensor, ...]]:
    def run(w_in: Tensor, w_rec: Tensor, *log_taus: Tensor) -> tuple[Tensor, ...]:
        taus = {name: log_tau.exp() for name, log_tau in zip(neuron.time_constants, log_taus, strict=True)}
        trace = scan(neuron, x, w_in, w_rec, spike=spike, coefficients=neuron.coefficients(taus), potentials=True)
        return (trace.output, trace.potentials, *trace.state)

    return run


def log_taus(neuron: Any, shape: tuple[int, ...]) -> list[Tensor]:
    return [
        torch.full(shape, math.log(getattr(neuron, name)), dtype=torch.float64).requires_grad_()
        for name in neuron.time_constants
    ]


@pytest.mark.parametrize("shape", [(), (4,)], ids=["shared", "per_neuron"])
@pytest.mark.parametrize(("cls", "options"), NEURONS)
def test_the_smooth_twin_with_attached_reset_passes_gradcheck_K9(cls, options, shape):
    neuron = cls(detach_reset=False, **options)
    x, w_in, w_rec = smooth_case()
    assert gradcheck(
        smooth_outputs(neuron, x, TWIN), (w_in, w_rec, *log_taus(neuron, shape)), eps=1e-6, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_the_hard_model_does_not_pass_gradcheck_K9(reset):
    neuron = CubaLIF(reset=reset, detach_reset=False)
    x, w_in, w_rec = smooth_case()
    assert not gradcheck(
        smooth_outputs(neuron, x, SuperSpike(slope=10.0, scale=5.0)),
        (w_in, w_rec, *log_taus(neuron, ())),
        raise_exception=False,
    )


@pytest.mark.parametrize("options", [{}, {"detach_reset": False, "detach_recurrent": True}], ids=["reset", "recurrent"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_what_is_detached_is_not_the_true_gradient_even_of_the_smooth_twin(reset, options):
    x, w_in, w_rec = smooth_case()
    neuron = CubaLIF(reset=reset, **options)
    assert not gradcheck(smooth_outputs(neuron, x, TWIN), (w_in, w_rec, *log_taus(neuron, ())), raise_exception=False)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_a_smooth_network_agrees_with_central_differences_in_every_weight_K9(reset):
    """Relative difference of all of dL/dW, dL/dV, dL/dW_out about 1e-7 at a step of 1e-6."""
    torch.manual_seed(1)
    network = SpikingNetwork(
        [
            SpikingLayer(3, 5, neuron=CubaLIF(reset=reset, detach_reset=False), surrogate=TWIN, recurrent=True),
            SpikingLayer(5, 2, neuron=CubaLI()),
        ],
        MeanOverTime(),
    ).double()
    x = (torch.rand(3, 15, 3) < 0.5).double()
    target = torch.tensor([0, 1, 1])

    def loss() -> Tensor:
        return CrossEntropy()(network(x).logits, target)

    loss().backward()
    for name, parameter in network.named_parameters():
        differences = torch.zeros_like(parameter)
        flat = parameter.data.view(-1)
        for k in range(flat.numel()):
            kept = flat[k].item()
            values = []
            for step in (1e-6, -1e-6):
                flat[k] = kept + step
                with torch.no_grad():
                    values.append(loss().item())
            flat[k] = kept
            differences.view(-1)[k] = (values[0] - values[1]) / 2e-6
        assert (parameter.grad - differences).norm() / differences.norm() < 1e-6, name


@pytest.mark.parametrize("learn_tau", ["shared", "per_neuron"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_learned_time_constants_of_a_layer_get_the_gradient_of_finite_differences(reset, learn_tau):
    torch.manual_seed(2)
    neuron = CubaLIF(reset=reset, detach_reset=False, learn_tau=learn_tau, tau_mem_ms=8.0, tau_syn_ms=3.0)
    layer = SpikingLayer(3, 4, neuron=neuron, surrogate=TWIN, recurrent=True).double()
    x = (torch.rand(2, 15, 3) < 0.5).double()
    weighting = torch.randn(2, 15, 4, dtype=torch.float64)
    (layer(x)[0] * weighting).sum().backward()
    for name in ("log_tau_mem_ms", "log_tau_syn_ms"):
        parameter = getattr(layer, name)
        assert parameter.shape == (() if learn_tau == "shared" else (4,))
        flat = parameter.data.view(-1)
        for k in range(flat.numel()):
            kept = flat[k].item()
            values = []
            for step in (1e-6, -1e-6):
                flat[k] = kept + step
                with torch.no_grad():
                    values.append((layer(x)[0] * weighting).sum().item())
            flat[k] = kept
            assert parameter.grad.view(-1)[k].item() == pytest.approx(
                (values[0] - values[1]) / 2e-6, rel=1e-6, abs=1e-7
            )


# K16: the catalogue of surrogates.


@pytest.mark.parametrize(
    ("surrogate", "peak", "area", "at_tenth"),
    [
        (SuperSpike(slope=10.0), 1.0, 0.2, 0.25),
        (SuperSpike(slope=10.0, scale=10.0), 10.0, 2.0, 2.5),
        (SuperSpike(slope=100.0), 1.0, 0.02, 1.0 / 121.0),
        (Sigmoid(slope=10.0), 0.25, 0.1, 0.19661193324148185),
        (Sigmoid(slope=10.0, scale=10.0), 2.5, 1.0, 1.9661193324148185),
        (Triangle(gamma=1.0, slope=10.0), 1.0, 0.1, 0.0),
        (Triangle(gamma=0.3, slope=1.0), 0.3, 0.3, 0.27),
        (Boxcar(), 1.0, 1.0, 1.0),
        (ATan(alpha=5.0), 2.5, 1.0, 2.5 / (1.0 + (math.pi / 4.0) ** 2)),
        (Gaussian(sigma=0.5), 0.7978845608028654, 1.0, 0.7820853879509118),
    ],
    ids=str,
)
def test_surrogates_have_the_catalogued_peak_area_and_value_K16(surrogate, peak, area, at_tenth):
    at = torch.tensor([0.0, 0.1, -0.1], dtype=torch.float64)
    assert surrogate.derivative(at).tolist() == pytest.approx([peak, at_tenth, at_tenth], rel=1e-12, abs=1e-15)
    assert surrogate.height == pytest.approx(peak, rel=1e-12)
    ends = torch.tensor([1e12, -1e12], dtype=torch.float64)
    assert (surrogate.soft(ends)[0] - surrogate.soft(ends)[1]).item() == pytest.approx(area, rel=1e-9)
    x = torch.linspace(-50.0, 50.0, 1_000_001, dtype=torch.float64)
    tails = area - (surrogate.soft(x[-1]) - surrogate.soft(x[0])).item()
    assert torch.trapezoid(surrogate.derivative(x), x).item() == pytest.approx(area - tails, rel=1e-3)
    assert 0.0 <= tails < 3e-3 * area or abs(tails) < 1e-9


def test_the_area_of_superspike_on_a_finite_interval_is_the_known_one_K16():
    x = torch.linspace(-50.0, 50.0, 2_000_001, dtype=torch.float64)
    assert torch.trapezoid(SuperSpike(slope=10.0).derivative(x), x).item() == pytest.approx(0.1996008, abs=1e-7)


# K17 and K19: controls.


class NoGradient:
    """The step with h = 0: a graph, and zeros on it."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype) + 0.0 * x


def two_layers(surrogate: SpikeFunction, readout: Any = None, seed: int = 4, gain: float = 3.0) -> SpikingNetwork:
    torch.manual_seed(seed)
    network = SpikingNetwork(
        [
            SpikingLayer(6, 8, neuron=CubaLIF(), surrogate=surrogate, recurrent=True),
            SpikingLayer(8, 3, neuron=CubaLI()),
        ],
        readout or MeanOverTime(),
    ).double()
    with torch.no_grad():
        network.layers[0].w_in.mul_(gain)
    return network


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    return (torch.rand(5, 20, 6, generator=generator) < 0.4).double(), torch.tensor([0, 1, 2, 1, 0])


def gradients(network: SpikingNetwork) -> dict[str, Tensor]:
    x, target = batch()
    out = network(x)
    assert out.records[0].output.sum() > 20
    CrossEntropy()(out.logits, target).backward()
    return {name: parameter.grad.clone() for name, parameter in network.named_parameters()}


def test_without_surrogate_only_the_readout_learns_and_learns_the_same_K17():
    with_h, without_h = gradients(two_layers(SuperSpike())), gradients(two_layers(NoGradient()))
    assert torch.equal(without_h["layers.1.w_in"], with_h["layers.1.w_in"])
    assert with_h["layers.1.w_in"].abs().sum() > 0
    for name in ("layers.0.w_in", "layers.0.w_rec"):
        assert not without_h[name].any()
        assert with_h[name].abs().sum() > 0


@pytest.mark.parametrize("surrogate", every("surrogates"))
def test_a_readout_of_zeros_gives_hidden_weights_exactly_no_gradient_K17(surrogate):
    network = two_layers(surrogate())
    with torch.no_grad():
        network.layers[1].w_in.zero_()
    found = gradients(network)
    assert not found["layers.0.w_in"].any()
    assert not found["layers.0.w_rec"].any()
    assert found["layers.1.w_in"].abs().sum() > 0


@pytest.mark.parametrize(
    ("classes", "loss"), [(10, 2.302585092994046), (20, 2.995732273553991), (35, 3.55534806148941)]
)
@pytest.mark.parametrize("readout", every("readouts"))
def test_a_readout_of_zeros_starts_at_the_logarithm_of_the_number_of_classes_K19(readout, classes, loss):
    torch.manual_seed(0)
    layers = [SpikingLayer(6, 8, neuron=CubaLIF(), recurrent=True), SpikingLayer(8, classes, neuron=CubaLI())]
    network = SpikingNetwork(layers, readout()).double()
    with torch.no_grad():
        network.layers[1].w_in.zero_()
    x, target = batch()
    assert CrossEntropy()(network(x).logits, target).item() == pytest.approx(loss, rel=1e-12)


def test_a_dead_network_learns_nothing_from_the_maximum_over_time_K19():
    network = two_layers(SuperSpike(), MaxOverTime(), gain=0.0)
    with torch.no_grad():
        network.layers[0].w_rec.zero_()
    x, target = batch()
    out = network(x)
    assert not out.records[0].output.any()
    CrossEntropy()(out.logits, target).backward()
    assert not any(parameter.grad.any() for parameter in network.parameters())


def test_a_dead_network_is_woken_by_a_lower_bound_K19():
    network = two_layers(SuperSpike(), MaxOverTime(), gain=0.0)
    x, target = batch()
    out = network(x)
    (CrossEntropy()(out.logits, target) + LowerBound(strength=100.0)(out.records[0].output)).backward()
    gradient = network.layers[0].w_in.grad
    assert (gradient < 0).any()
    assert not (gradient > 0).any()


def test_the_maximum_of_an_all_zero_trace_sends_its_gradient_to_the_first_step_only_K19():
    y = torch.zeros(2, 7, 3, dtype=torch.float64, requires_grad=True)
    MaxOverTime()(y).sum().backward()
    assert torch.equal(y.grad[:, 0], torch.ones(2, 3, dtype=torch.float64))
    assert not y.grad[:, 1:].any()


# K23: what surrogates hand back is no gradient of anything; around a closed path it does work.


def work(field: Callable[[Tensor, Tensor], Tensor], kinks: tuple[list[float], list[float]]) -> float:
    """The integral of a field (d/dw, d/dv) counter-clockwise around w, v in [1/2, 3/2], smooth between the kinks."""
    nodes, weights = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(24))
    total = 0.0
    for axis, fixed, sign in ((0, 0.5, 1.0), (1, 1.5, 1.0), (0, 1.5, -1.0), (1, 0.5, -1.0)):
        ends = sorted({0.5, 1.5, *kinks[axis]})
        for low, high in itertools.pairwise(ends):
            at = (low + high) / 2.0 + (high - low) / 2.0 * nodes
            place = (at, torch.full_like(at, fixed))
            along = field(*place)[0] if axis == 0 else field(*place[::-1])[1]
            total += sign * (high - low) / 2.0 * float((weights * along).sum())
    return total


def gradient_of(out: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def field(w: Tensor, v: Tensor) -> Tensor:
        w, v = w.clone().requires_grad_(), v.clone().requires_grad_()
        return torch.stack(torch.autograd.grad(out(w, v).sum(), (w, v)))

    return field


def test_two_stacked_units_do_work_around_a_closed_path_K23():
    """h(v S - 1) (v h(w - 1), S) with h = 1/(1 + |x|)²: 47/108, where a gradient gives 0."""
    step = SuperSpike(slope=1.0)
    stacked = gradient_of(lambda w, v: step(v * step(w - 1.0) - 1.0))
    assert work(stacked, ([1.0], [1.0])) == pytest.approx(47.0 / 108.0, rel=1e-12)


def test_one_unit_and_the_smooth_twin_of_two_do_none_K23():
    step = SuperSpike(slope=1.0)
    alone = gradient_of(lambda w, v: step(0.75 * w + 0.5 * v - 1.125))
    assert work(alone, ([0.5, 7.0 / 6.0], [1.5])) == pytest.approx(0.0, abs=1e-12)
    soft = Gaussian(sigma=0.5).soft
    twin = gradient_of(lambda w, v: soft(v * soft(w - 1.0) - 1.0))
    assert work(twin, ([], [])) == pytest.approx(0.0, abs=1e-12)
