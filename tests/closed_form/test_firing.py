"""Escape noise and the soft threshold: rates, likelihoods and gradients against their formulas, in float64."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from helpers import dyadic, every, neuron_variants
from torch import Tensor
from torch.autograd import gradcheck

from snnlightning.errors import ConfigurationError
from snnlightning.firing import ExponentialEscape, SigmoidEscape, SoftThreshold
from snnlightning.layers import SpikingLayer
from snnlightning.metrics import SynOps
from snnlightning.neurons import IF, LIF, CubaLIF
from snnlightning.scan import scan, supports
from snnlightning.surrogates import SuperSpike
from snnlightning.training import SpikingClassifier

ESCAPES = [SigmoidEscape(width=0.25), ExponentialEscape(rate_hz=100.0, width=0.25)]
escapes = pytest.mark.parametrize("escape", ESCAPES, ids=lambda e: type(e).__name__)
X = torch.linspace(-2.0, 2.0, 41, dtype=torch.float64)


def case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 15, 4, generator=g, dtype=torch.float64)
    return (
        x,
        torch.randn(5, 4, generator=g, dtype=torch.float64),
        0.3 * torch.randn(5, 5, generator=g, dtype=torch.float64),
    )


def bernoulli(p: Tensor, count: int) -> Tensor:
    """Five standard deviations of a mean of ``count`` draws."""
    return 5.0 * (p * (1.0 - p) / count).sqrt() + 1.0 / count


@pytest.mark.parametrize("cls", every("firing"))
def test_every_way_of_firing_is_a_frozen_record_and_keeps_shape_and_dtype(cls):
    firing = cls()
    assert pickle.loads(pickle.dumps(firing)) == copy.deepcopy(firing) == firing
    assert len({firing, copy.deepcopy(firing)}) == 1
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        out = firing(torch.randn(2, 3).to(dtype))
        assert (out.shape, out.dtype) == ((2, 3), dtype)
        assert ((out >= 0.0) & (out <= 1.0)).all()
        assert not cls.binary or ((out == 0.0) | (out == 1.0)).all()
    for name in ("width", "rate_hz", "dt_ms"):
        if hasattr(firing, name):
            for bad in (0.0, -1.0, math.nan, math.inf):
                with pytest.raises(ConfigurationError, match=rf"{cls.__name__}\.{name} is .*(greater than 0|finite)"):
                    cls(**{name: bad})


@escapes
def test_the_rate_of_spikes_is_the_probability(escape):
    torch.manual_seed(0)
    count = 20_000
    p = escape.probability(X)
    rate = escape(X.expand(count, -1)).mean(dim=0)
    assert ((rate - p).abs() <= bernoulli(p, count)).all()


def test_probabilities_are_the_published_formulas():
    assert SigmoidEscape(width=0.5).probability(X).tolist() == pytest.approx((1.0 / (1.0 + (-X / 0.5).exp())).tolist())
    rate = 0.1 * (X / 0.25).exp()
    assert ESCAPES[1].probability(X).tolist() == pytest.approx((1.0 - (-rate).exp()).tolist(), abs=1e-15)


def test_finer_steps_say_the_same_of_the_same_time():
    """Ten steps of 0.1 ms without a spike are as likely as one of 1 ms."""
    fine, coarse = ExponentialEscape(dt_ms=0.1), ExponentialEscape(dt_ms=1.0)
    assert torch.allclose((1.0 - fine.probability(X)) ** 10, 1.0 - coarse.probability(X), rtol=1e-12)


@escapes
def test_a_neuron_without_memory_has_geometric_intervals(escape):
    """Stork's LIF with tau << dt is its input; subtracting 0 spikes leaves it there: hazard p in every step."""
    torch.manual_seed(0)
    neuron = LIF(tau_mem_ms=1e-3, ordering="stork", reset="zero", v_th=1.0)
    x = torch.full((40, 1000, 1), 0.9, dtype=torch.float64)
    spikes = scan(neuron, x, torch.ones(1, 1, dtype=torch.float64), spike=escape).output.squeeze(-1)
    intervals = torch.cat([train.nonzero().flatten().diff() for train in spikes]) - 1.0  # behind a spike v is 0 once
    p, p0 = (escape.probability(torch.tensor(v - 1.0, dtype=torch.float64)).item() for v in (0.9, 0.0))
    expected = (1.0 - p0) / p  # after the step at rest, geometric
    spread = 5.0 * math.sqrt((1.0 - p) / p**2 / intervals.numel())
    assert intervals.mean().item() == pytest.approx(expected, abs=spread)


@escapes
def test_the_gradient_of_one_neuron_is_that_of_its_expected_output(escape):
    x = X.clone().requires_grad_()
    torch.manual_seed(0)
    escape(x).sum().backward()
    p = escape.probability(X)
    exact = p * (1.0 - p) / 0.25 if isinstance(escape, SigmoidEscape) else (1.0 - p) * 0.1 * (X / 0.25).exp() / 0.25
    assert torch.allclose(x.grad, exact, rtol=1e-12, atol=1e-15)


@escapes
def test_a_surrogate_may_stand_in_the_backward_pass_and_changes_no_spike(escape):
    surrogate = SuperSpike(slope=3.0)
    x = X.clone().requires_grad_()
    torch.manual_seed(0)
    spikes = dataclasses.replace(escape, surrogate=surrogate)(x)
    torch.manual_seed(0)
    assert torch.equal(spikes, escape(X))
    spikes.sum().backward()
    assert torch.equal(x.grad, surrogate.derivative(X))


@escapes
def test_the_log_likelihood_is_that_of_independent_draws_and_its_score_has_mean_zero(escape):
    p = escape.probability(X)
    for spike in (0.0, 1.0):
        found = escape.log_likelihood(X, torch.full_like(X, spike))
        assert torch.allclose(found.exp(), p if spike else 1.0 - p, rtol=1e-11, atol=1e-15)
    x = X.clone().requires_grad_()
    scores = [torch.autograd.grad(escape.log_likelihood(x, torch.full_like(X, s)).sum(), x)[0] for s in (0.0, 1.0)]
    assert torch.allclose((1.0 - p) * scores[0] + p * scores[1], torch.zeros_like(p), atol=1e-12)
    if isinstance(escape, SigmoidEscape):
        assert torch.allclose(scores[1], (1.0 - p) / 0.25, rtol=1e-12)
        assert torch.allclose(scores[0], -p / 0.25, rtol=1e-12)
    else:
        rate = 0.1 * (X / 0.25).exp()
        assert torch.allclose(scores[1], (1.0 / p - 1.0) * rate / 0.25, rtol=1e-10)


@escapes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_far_from_threshold_likelihoods_and_gradients_are_numbers(escape, dtype):
    x = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype, requires_grad=True)
    for spikes in (torch.zeros_like(x), torch.ones_like(x)):
        (grad,) = torch.autograd.grad(escape.log_likelihood(x, spikes).sum(), x)
        assert grad.isfinite().all()
        assert escape.log_likelihood(x, spikes).isfinite().all()
    (grad,) = torch.autograd.grad(escape(x).sum(), x)
    assert grad.isfinite().all()


def test_the_gradient_of_the_likelihood_is_pfisters_sum_over_steps():
    """d log P / dw = sum_n (S[n] - p[n]) / width dU[n]/dw, for the neuron that its own spikes reset."""
    escape, neuron = SigmoidEscape(width=0.3), LIF(reset="zero")
    torch.manual_seed(0)
    x = torch.rand(1, 12, 2, dtype=torch.float64)
    w = torch.tensor([[0.5, 0.4]], dtype=torch.float64, requires_grad=True)
    trace = scan(neuron, x, w, spike=escape, potentials=True)
    spikes = trace.output.detach()
    assert 0 < spikes.sum() < 12
    forced = iter(spikes.unbind(1))
    v = scan(neuron, x, w, spike=lambda _: next(forced), potentials=True).potentials
    (found,) = torch.autograd.grad(escape.log_likelihood(v - 1.0, spikes).sum(), w)
    total, trace_u = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for n in range(12):
        p = escape.probability(v[0, n, 0] - 1.0).detach()
        total += (spikes[0, n, 0] - p) / 0.3 * trace_u
        trace_u = (math.exp(-0.1) * trace_u + x[0, n]) * (1.0 - spikes[0, n, 0])
    assert torch.allclose(found.flatten(), total, rtol=1e-12)


@pytest.mark.parametrize(
    "escape", [SigmoidEscape(width=1.0), ExponentialEscape(rate_hz=500.0, width=1.0)], ids=["s", "e"]
)
@pytest.mark.parametrize("neuron", neuron_variants(spiking=True))
@pytest.mark.parametrize("first", [0, 4, 15])
def test_the_seed_repeats_a_noisy_run_and_two_runs_draw_what_one_draws(neuron, escape, first):
    x = (dyadic(3, 15, 4) > 0.25).double()
    w_in, w_rec = dyadic(5, 4, seed=1), dyadic(5, 5, seed=2)  # products sum exactly, whatever T is

    def run(*pieces: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        torch.manual_seed(3)
        outputs, state = [], None
        for piece in pieces:
            trace = scan(neuron, piece, w_in, w_rec, spike=escape, state=state)
            outputs.append(trace.output)
            state = trace.state
        return torch.cat(outputs, dim=1), state

    once, state = run(x)
    again, last = run(x[:, :first], x[:, first:])
    assert torch.equal(once, again)
    assert all(torch.equal(a, b) for a, b in zip(state, last, strict=True))
    torch.manual_seed(4)
    assert not torch.equal(once, scan(neuron, x, w_in, w_rec, spike=escape).output)


@pytest.mark.parametrize("firing", [SigmoidEscape(width=1e-6), SoftThreshold(width=1e-9)], ids=str)
def test_without_width_every_way_of_firing_is_the_step(firing):
    x, w_in, w_rec = case()
    step = scan(CubaLIF(), x, w_in, w_rec, spike=SuperSpike())
    assert step.output.any()
    assert torch.equal(scan(CubaLIF(), x, w_in, w_rec, spike=firing).output, step.output)


def test_the_gate_has_area_one_is_closed_outside_and_half_open_at_threshold():
    soft = SoftThreshold(width=0.4)
    x = torch.linspace(-1.0, 1.0, 200_001, dtype=torch.float64, requires_grad=True)
    out = soft(x)
    (gate,) = torch.autograd.grad(out.sum(), x)
    assert torch.trapezoid(gate, x).item() == pytest.approx(1.0, abs=1e-8)
    assert gate.max().item() == pytest.approx(3.0 / (4.0 * 0.4), rel=1e-12)
    assert gate[x.abs() > 0.4001].abs().max().item() == 0.0
    assert out[100_000].item() == pytest.approx(0.5, abs=1e-15)
    assert out[0].item() == 0.0
    assert out[-1].item() == 1.0


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("cls", [IF, LIF, CubaLIF])
def test_a_network_with_a_soft_threshold_passes_gradcheck_with_its_reset_attached_K9(cls, reset):
    x, w_in, w_rec = (tensor[:1] if tensor.ndim == 3 else tensor for tensor in case())
    neuron = cls(reset=reset, detach_reset=False)
    state = tuple(torch.zeros(1, 5, dtype=torch.float64) for _ in neuron.state_names)

    def run(w_in: Tensor, w_rec: Tensor) -> Tensor:
        return scan(neuron, x[:, :8], w_in, w_rec, state=state, spike=SoftThreshold(width=0.8)).output

    output = run(w_in, w_rec)
    assert ((output > 0.0) & (output < 1.0)).any()
    assert gradcheck(run, (w_in.requires_grad_(), w_rec.requires_grad_()), eps=1e-6, atol=1e-6)


def test_graded_output_is_counted_as_multiplications_and_noisy_spikes_as_accumulates():
    x = torch.ones(2, 10, 4)
    for firing, graded in ((SoftThreshold(), True), (SigmoidEscape(), False)):
        torch.manual_seed(0)
        layer = SpikingLayer(4, 3, neuron=LIF(), surrogate=firing, initializer=torch.nn.init.ones_)
        record = layer.run(0.05 * x)
        assert record.output.any()
        assert record.binary is not graded
        counter = SynOps()
        after = SpikingLayer(3, 2, neuron=LIF()).run(record.output, name="last", kind="readout", binary=record.binary)
        counter.update((record, after))
        assert (counter.compute().macs > 10 * 4 * 3) is graded  # those of the graded input, and no more


@pytest.mark.parametrize("firing", [*ESCAPES, SoftThreshold()], ids=lambda f: type(f).__name__)
def test_what_knows_the_step_alone_says_so(firing):
    x = torch.ones(1, 2, 3)
    reason = supports("numba", LIF(), x, torch.ones(2, 3), firing)
    assert reason is not None
    assert "is not a surrogate's step" in reason
    pytest.importorskip("nir", minversion="1.0.6")
    from snnlightning.interop import to_nir
    from snnlightning.layers import SpikingNetwork
    from snnlightning.readouts import LastStep

    net = SpikingNetwork([SpikingLayer(3, 2, neuron=LIF(), surrogate=firing)], LastStep())
    with pytest.raises(ConfigurationError, match=rf"layer .*its surrogate is {type(firing).__name__}"):
        to_nir(net)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sigmoid_escape", SigmoidEscape()),
        ({"firing": "SoftThreshold", "width": 0.3}, SoftThreshold(width=0.3)),
        ({"firing": "exponential_escape", "rate_hz": 20.0}, ExponentialEscape(rate_hz=20.0, dt_ms=2.0)),
    ],
    ids=str,
)
def test_a_classifier_fires_as_its_configuration_says(given, expected):
    torch.manual_seed(0)
    model = SpikingClassifier(
        in_features=4, num_classes=2, hidden_sizes=[8], dt_ms=2.0, firing=given, readout="mean_over_time", init_gain=4.0
    )
    assert model.network.layers[0].surrogate == expected
    loss = model(torch.rand(2, 20, 4)).logits.square().sum()
    loss.backward()
    assert model.network.layers[0].w_in.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"firing": "step", "width": 1.0}, "the step has no parameter 'width'"),
        (
            {"firing": "sigmoid_escape", "gradient": "score"},
            "gradient of sigmoid_escape is 'score'; it must be one of exp",
        ),
        ({"firing": "soft_threshold", "gradient": "expected"}, "SoftThreshold has no parameter 'gradient'"),
    ],
)
def test_ways_of_firing_that_there_are_not_are_refused(given, message):
    with pytest.raises(ConfigurationError, match=message):
        SpikingClassifier(in_features=4, num_classes=2, firing=given)
