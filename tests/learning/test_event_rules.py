"""Rules in continuous time: EventProp's exact spike times and gradients, Mostafa's closed form; and the cut surrogate."""

import dataclasses
import math

import pytest
import torch
from learning_cases import batch, gradients, network, step

from snnlightning.errors import ConfigurationError
from snnlightning.firing import SigmoidEscape
from snnlightning.learning import BPTT, EventProp, Mostafa, SparseGradient
from snnlightning.learning._spike_times import Membrane, next_crossing, spike_times
from snnlightning.learning.mostafa import first_spikes
from snnlightning.metrics import SynOps
from snnlightning.neurons import LIF, CubaLI, CubaLIF
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount
from snnlightning.regularizers import TotalCount
from snnlightning.scan import scan
from snnlightning.surrogates import Sparse

F64 = torch.float64


def one_input(w, **options):
    return spike_times(torch.zeros(1, 1, dtype=F64), w.view(1, 1, 1), None, Membrane(20.0, 10.0, 1.0), 200.0, **options)


# K13: one input of weight w at t = 0, tau_mem 20, tau_syn 10: T = -tau_mem ln x*, x* = (1 + sqrt(1 - 4 / w)) / 2.


@pytest.mark.parametrize(
    ("w", "time", "rise", "slope"),
    [
        (5.0, 6.470142623148936, 0.08090169943749473, -2.47213595499958),
        (6.0, 4.748015723032383, 0.13660254037844383, -1.2200846792814626),
    ],
)
def test_the_first_spike_and_its_gradient_are_those_of_K13(w, time, rise, slope):
    weight = torch.tensor(w, dtype=F64, requires_grad=True)
    first = one_input(weight).times[0, 0]
    (gradient,) = torch.autograd.grad(first, weight)
    assert first.item() == pytest.approx(time, abs=1e-9, rel=1e-13)
    assert gradient.item() == pytest.approx(slope, abs=1e-9)
    assert gradient.item() == pytest.approx(-1.0 / (w * rise), rel=1e-9)
    assert first.item() == pytest.approx(-20.0 * math.log((1.0 + math.sqrt(1.0 - 4.0 / w)) / 2.0), rel=1e-13)
    up, down = (one_input(torch.tensor(w + d, dtype=F64)).times[0, 0].item() for d in (1e-5, -1e-5))
    assert gradient.item() == pytest.approx((up - down) / 2e-5, abs=1e-7)


def test_a_weight_of_four_grazes_the_threshold_and_the_slope_grows_without_bound_K13():
    assert one_input(torch.tensor(4.0, dtype=F64)).times.numel() == 0
    weight = torch.tensor(4.0001, dtype=F64, requires_grad=True)
    one_input(weight).times[0, 0].backward()
    assert weight.grad.item() == pytest.approx(-497.494, abs=1e-3)


@pytest.mark.parametrize("taus", [(20.0, 10.0), (10.0, 20.0), (7.0, 5.0)])
def test_a_crossing_is_where_a_fine_grid_sees_it(taus):
    membrane, generator = Membrane(*taus, 1.0), torch.Generator().manual_seed(0)
    v = 2.0 * torch.rand(200, generator=generator, dtype=F64) - 1.0
    i = 12.0 * torch.rand(200, generator=generator, dtype=F64) - 3.0
    found = next_crossing(membrane, v, i)
    t = torch.linspace(0.0, 80.0, 80_001, dtype=F64)
    slow, fast = torch.exp(-t / taus[0]), torch.exp(-t / taus[1])
    above = v.unsqueeze(1) * slow + membrane.ratio * i.unsqueeze(1) * (slow - fast) > 1.0
    first = torch.where(above.any(1), t[above.byte().argmax(1)], math.inf)
    assert 20 < found.isfinite().sum() < 180
    assert torch.equal(found.isfinite(), first.isfinite())
    there = found.isfinite()
    assert bool(((first - found)[there] >= 0.0).all())
    assert bool(((first - found)[there] <= 1e-3 + 1e-9).all())


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("taus", [(8.0, 4.0), (3.0, 6.0)])
def test_compiled_loops_give_the_same_events_and_gradients(taus, recurrent):
    pytest.importorskip("numba")
    generator = torch.Generator().manual_seed(2)
    arrivals = 20.0 * torch.rand(5, 30, generator=generator, dtype=F64).sort(dim=1).values
    arrivals[:, 25:] = math.inf
    jumps = (4.0 * torch.rand(5, 30, 7, generator=generator, dtype=F64) - 1.2).requires_grad_()
    w_rec = (0.3 * torch.randn(7, 7, generator=generator, dtype=F64)).requires_grad_() if recurrent else None
    arrivals.requires_grad_()
    inputs = [arrivals, jumps, *([w_rec] if w_rec is not None else [])]
    found = {}
    for backend in ("reference", "numba"):
        spikes = spike_times(arrivals, jumps, w_rec, Membrane(*taus, 1.0), 22.0, backend=backend)
        there = spikes.times.isfinite()
        upstream = torch.randn(5, 2000, generator=torch.Generator().manual_seed(3), dtype=F64)[:, : there.shape[1]]
        scalar = (torch.where(there, spikes.times, 0.0) * upstream).sum() + spikes.counts.square().sum()
        found[backend] = (spikes, torch.autograd.grad(scalar, inputs))
    (one, by_one), (other, by_other) = found.values()
    assert one.times.isfinite().sum() > 40
    torch.testing.assert_close(one.times, other.times, rtol=1e-12, atol=1e-12)
    assert torch.equal(one.neurons * one.times.isfinite(), other.neurons)
    assert torch.equal(one.counts, other.counts)
    for a, b in zip(by_one, by_other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9 * b.abs().max().item())


def test_compiled_loops_refuse_single_precision_by_name():
    pytest.importorskip("numba")
    with pytest.raises(ConfigurationError, match=r"take float64 on the CPU, and jumps are torch\.float32"):
        spike_times(torch.zeros(1, 1), torch.ones(1, 1, 1), None, Membrane(2.0, 1.0, 1.0), 1.0, backend="numba")


# EventProp in networks: the gradient is that of central differences, through layers, recurrence and readouts.


def continuous(last=None, readout=None, *, sizes=(5, 6, 3), gain=9.0, recurrent=True, seed=0):
    neuron = CubaLIF(tau_mem_ms=8.0, tau_syn_ms=4.0, ordering="stork", reset="zero")
    last = last or CubaLI(tau_mem_ms=9.0, tau_syn_ms=5.0, ordering="stork")
    return network(sizes, neuron=neuron, last=last, readout=readout, gain=gain, recurrent=recurrent, seed=seed)


SPIKING_OUTPUT = {
    "last": CubaLIF(tau_mem_ms=8.0, tau_syn_ms=4.0, ordering="stork", reset="zero"),
    "readout": SpikeCount(),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"readout": MeanOverTime()}, id="mean"),
        pytest.param({"readout": MaxOverTime(), "sizes": (5, 6, 4, 3), "recurrent": False}, id="max-deep"),
        pytest.param({"readout": LastStep(), "sizes": (5, 6, 4, 3), "seed": 3}, id="last-deep"),
        pytest.param(SPIKING_OUTPUT, id="first-spike"),
    ],
)
def test_eventprop_is_the_derivative_that_central_differences_find(case):
    net, (x, y) = continuous(**{"gain": 6.0} | case), batch(samples=2, steps=14)
    found = gradients(EventProp(), net, x, y)

    def loss():
        return step(EventProp(), net, x, y).loss.item()

    generator = torch.Generator().manual_seed(5)
    for name, parameter in net.named_parameters():
        assert found[name].abs().max() > 1e-4, name
        for k in torch.randperm(parameter.numel(), generator=generator)[:4].tolist():
            flat = parameter.data.view(-1)
            kept = flat[k].item()
            sides = []
            for d in (1e-6, -1e-6):
                flat[k] = kept + d
                sides.append(loss())
            flat[k] = kept
            assert found[name].view(-1)[k].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-4, abs=2e-8), (
                name
            )


def test_eventprop_is_the_limit_of_the_discrete_network_for_small_steps():
    """The potentials of the output approach those of continuous time as dt does 0, to first order."""
    net, (x, _) = continuous(recurrent=False, gain=4.0), batch()
    exact, distances = EventProp().run(net, x), []
    for factor in (64, 256):
        fine = torch.zeros(4, 20 * factor, 5, dtype=F64)
        fine[:, ::factor] = x
        for layer in net.layers:
            fine, _ = scan_at(layer, fine, 1.0 / factor)
        distances.append((fine[:, ::factor] - exact.records[1].output).abs().max().item())
    assert exact.records[0].output.sum() > 20
    assert distances[0] > 3.0 * distances[1]
    assert distances[1] < 0.02 * exact.records[1].output.abs().max()


def scan_at(layer, x, dt_ms):
    """A layer's weights and time constants at another dt."""
    neuron = dataclasses.replace(layer.neuron, dt_ms=dt_ms)
    trace = scan(neuron, x, layer.w_in, layer.w_rec, spike=layer.surrogate)
    return trace.output.detach(), trace.state


def test_records_of_eventprop_are_counted_like_those_of_any_network():
    net, (x, _) = continuous(), batch()
    out = EventProp().run(net, x)
    metric = SynOps()
    metric.update(out)
    counts = metric.compute()
    spikes = out.records[0].output.detach().sum().item() / 4
    assert counts.by_kind["input"] == pytest.approx(x.sum().item() / 4 * 6)
    assert counts.by_kind["recurrent"] == pytest.approx(spikes * 6)
    assert counts.by_kind["readout"] == pytest.approx(spikes * 3)


def test_a_penalty_on_counts_lowers_weights_that_make_spikes():
    """lambda_V -= dL/dcount at each spike: for one input, -tau_s lambda_I(0) with lambda_V(T) = -1."""
    w = torch.tensor(5.0, dtype=F64, requires_grad=True)
    spikes = one_input(w)
    spikes.counts.sum().backward()
    t = spikes.times[0, 0].item()
    k = 20.0 / (10.0 - 20.0)
    lambda_i = -k * (math.exp(-t / 10.0) - math.exp(-t / 20.0))
    assert w.grad.item() == pytest.approx(-10.0 * lambda_i, rel=1e-12)
    assert w.grad > 0.0
    net, (x, y) = continuous(), batch()

    def penalty(records):
        return TotalCount(strength=0.1)(records[0].output)

    with_penalty = gradients(EventProp(), net, x, y, penalty=penalty)["layers.0.w_in"]
    assert not torch.allclose(with_penalty, gradients(EventProp(), net, x, y)["layers.0.w_in"], rtol=1e-2)


# K14: Mostafa's closed form, t = (.2, .5, .9, 1.4), w = (.9, .8, -.3, .7), all four in the causal set.


def test_the_closed_form_and_its_gradients_are_those_of_K14():
    z = torch.exp(torch.tensor([[0.2, 0.5, 0.9, 1.4]], dtype=F64)).requires_grad_()
    w = torch.tensor([[0.9, 0.8, -0.3, 0.7]], dtype=F64, requires_grad=True)
    out = first_spikes(z, w)
    out.backward()
    assert out.item() == pytest.approx(4.108180493044038, rel=1e-14)
    assert math.log(out.item()) == pytest.approx(1.4129802280641202, rel=1e-14)
    potential = (w * (1.0 - z / out)).sum().item()
    assert potential == pytest.approx(1.0, rel=1e-14)
    expected = [-2.6243433953489714, -2.2358720203126454, -1.498706710806444, -0.04816411472669444]
    torch.testing.assert_close(w.grad, torch.tensor([expected], dtype=F64), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(z.grad, w.detach() / 1.1, rtol=1e-12, atol=0.0)
    two = first_spikes(z.detach(), torch.tensor([[1.5, 0.8, -0.3, 0.7]], dtype=F64))  # the third comes a moment later
    assert two.item() == pytest.approx((1.5 * math.exp(0.2) + 0.8 * math.exp(0.5)) / 1.3, rel=1e-14)
    assert two.item() < math.exp(0.9)
    assert first_spikes(z.detach(), torch.tensor([[0.9, 0.05, -0.3, 0.2]], dtype=F64)).item() == math.inf


def timed(sizes=(5, 6, 3), seed=0, gain=1.5, **neuron):
    torch.manual_seed(seed)
    neuron = CubaLIF(tau_mem_ms=math.inf, tau_syn_ms=6.0, **neuron)
    net = network(sizes, neuron=neuron, last=neuron, readout=SpikeCount(), recurrent=False, gain=gain)
    for layer in net.layers:
        layer.w_in.data.abs_().sub_(0.05)
    return net


def test_mostafas_network_is_the_discrete_one_up_to_first_spikes_for_small_steps():
    (x, _), distances = batch(samples=6), []
    out = Mostafa().run(timed(), x)
    exact = 6.0 * torch.log(-out.logits)
    assert exact.max() < 20.0
    for factor in (8, 64):
        net = timed(dt_ms=1.0 / factor)
        for layer, own in zip(net.layers, timed().layers, strict=True):
            layer.w_in.data.copy_(own.w_in / factor)
        fine = torch.zeros(6, 20 * factor, 5, dtype=F64)
        fine[:, ::factor] = x * (x.cumsum(1) == 1)  # an input counts once
        hidden = net.layers[0](fine)[0]
        hidden = hidden * (hidden.cumsum(1) == 1)
        output = net.layers[1](hidden)[0]
        first = output.argmax(1) / factor
        distances.append((first - exact).abs().max().item())
    assert distances[0] > 4.0 * distances[1]
    assert distances[1] < 0.2


def test_mostafas_gradient_is_the_derivative_that_central_differences_find():
    net, (x, y) = timed((5, 6, 4, 3)), batch()
    found = gradients(Mostafa(weight_sum_penalty=0.3), net, x, y)
    for name, parameter in net.named_parameters():
        assert found[name].any(), name
        for k in range(0, parameter.numel(), 3):
            flat, sides = parameter.data.view(-1), []
            kept = flat[k].item()
            for d in (1e-6, -1e-6):
                flat[k] = kept + d
                sides.append(step(Mostafa(weight_sum_penalty=0.3), net, x, y).total.item())
            flat[k] = kept
            assert found[name].view(-1)[k].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-7)


def test_a_silent_neuron_is_raised_by_the_penalty_on_weight_sums_alone():
    net, (x, y) = timed(gain=1e-3), batch()
    assert torch.equal(Mostafa().run(net, x).logits, torch.full((4, 3), -math.exp(20 / 6.0), dtype=F64))
    found = gradients(Mostafa(weight_sum_penalty=2.0), net, x, y)
    for name, gradient in found.items():  # weights are in units of v_th dt / tau_syn
        torch.testing.assert_close(gradient, torch.full_like(gradient, -2.0 * 6.0), msg=name)
    assert not gradients(Mostafa(weight_sum_penalty=0.0), net, x, y)["layers.0.w_in"].any()


# K26: the cut surrogate gradient.


def test_a_far_bound_is_backpropagation_and_a_near_one_leaves_the_readout_K26():
    net, (x, y) = network(), batch()
    exact = gradients(BPTT(), net, x, y)
    for name, gradient in gradients(SparseGradient(bound=1e6), net, x, y).items():
        torch.testing.assert_close(gradient, exact[name], rtol=1e-12, atol=1e-15)
    near = gradients(SparseGradient(bound=1e-9), net, x, y)
    assert not near["layers.0.w_in"].any()
    torch.testing.assert_close(near["layers.1.w_in"], exact["layers.1.w_in"], rtol=1e-12, atol=1e-15)
    cut = gradients(SparseGradient(bound=0.4), net, x, y)
    net.layers[0].surrogate = Sparse(net.layers[0].surrogate, 0.4)
    for name, gradient in gradients(BPTT(), net, x, y).items():
        torch.testing.assert_close(gradient, cut[name], rtol=1e-12, atol=1e-15)
    assert not torch.allclose(cut["layers.0.w_in"], exact["layers.0.w_in"], rtol=1e-2)


# Refusals.


def stork(**options):
    return {
        "neuron": CubaLIF(tau_mem_ms=8.0, ordering="stork", reset="zero", **options),
        "last": CubaLI(ordering="stork"),
    }


@pytest.mark.parametrize(
    ("rule", "build", "message"),
    [
        (EventProp(), network, "layer 0: a LIF has no continuous time here; use CubaLIF"),
        (EventProp(), lambda: network(neuron=CubaLIF()), "ordering='seed' is another scaling"),
        (EventProp(), lambda: network(**stork(refractory_ms=2.0)), "without refractory period"),
        (EventProp(), lambda: network(**stork(tau_syn_ms=8.0)), "finite and differ, and they are 8.0 and 8.0 ms"),
        (EventProp(), lambda: network(**stork(learn_tau="shared")), "one number for the layer, and fixed"),
        (EventProp(), lambda: network(**stork(v_th=(1.0,) * 6)), "one number for the layer, and fixed"),
        (EventProp(), lambda: network(**stork(), surrogate=SigmoidEscape()), "those of SigmoidEscape, and no crossings"),
        (EventProp(), lambda: network(**stork(), bias=True), "it has a bias"),
        (EventProp(), lambda: network(neuron=stork()["neuron"]), r"layer 1: a LI has .* CubaLI\(ordering='stork'\) at the out"),
        (Mostafa(), lambda: network(neuron=CubaLIF()), "the closed form has no leak"),
        (Mostafa(), lambda: network(neuron=CubaLIF(tau_mem_ms=math.inf)), "recurrent, and every neuron spikes once"),
        (Mostafa(), lambda: network(neuron=LIF()), "a LIF is not the neuron"),
        (SparseGradient(), lambda: network(surrogate=lambda v: (v > 0).to(v)), "that of layer 0 is a function"),
    ],
)  # fmt: skip
def test_what_a_rule_of_events_cannot_train_is_refused_with_the_way_out(rule, build, message):
    with pytest.raises(ConfigurationError, match=message):
        rule.check(build())


def test_weights_that_explode_and_sequences_that_are_too_long_are_refused():
    net, (x, y) = continuous(gain=3e3), batch()
    with pytest.raises(ConfigurationError, match=r"more than 50 spikes in 20.0 ms; the weights have exploded"):
        step(EventProp(max_spikes=50), net, x, y)
    with pytest.raises(ConfigurationError, match="are 501 tau_syn; 500 are the most"):
        step(Mostafa(), timed(), torch.zeros(1, 3006, 5, dtype=F64), y[:1])
