"""Adaptive neurons against closed forms: thresholds that rise and decay, eigenvalues, published loops written out again."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import single
from torch import Tensor
from torch.autograd import gradcheck

from snnlightning.errors import ConfigurationError
from snnlightning.layers import Quantization, SpikingLayer
from snnlightning.neurons import ALIF, LIF, AbstractSpikingNeuron, AdLIF, CubaLIF
from snnlightning.scan import initial_state, scan
from snnlightning.surrogates import SuperSpike, Triangle

EXACT: dict[str, Any] = {"rel": 1e-12, "abs": 1e-15}
NEVER = 1e12
"""A threshold that nothing reaches."""
FORMS = ("lsnn", "yin", "eprop")


def random_case(seed: int = 0, n: int = 6, steps: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(2, steps, 4, generator=generator) < 0.3).double()
    w_in = 8.0 * torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return x, w_in, 4.0 * torch.randn(n, n, generator=generator, dtype=torch.float64)


# ALIF.


@pytest.mark.parametrize("form", ["lsnn", "yin"])
def test_the_threshold_jumps_with_a_spike_and_decays_K25(form):
    """tau_a 700, beta 1.8, b0 0.01: a jump of (1 - r) beta, and after 700 steps a factor of 1/e of it."""
    neuron = ALIF(tau_adapt_ms=700.0, beta=1.8, v_th=0.01, form=form, reset="zero")
    coefficients = neuron.coefficients()
    state = (torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    assert neuron.threshold(state, coefficients).item() == 0.01
    after = single(neuron, [0.0], state=state)
    assert after.output.item() == 1.0
    jump = neuron.threshold(after.state, coefficients).item() - 0.01
    assert jump == pytest.approx(0.0025695927110580773, **EXACT)
    later = single(neuron, [0.0] * 700, state=after.state)
    assert not later.output.any()
    assert neuron.threshold(later.state, coefficients).item() == pytest.approx(0.010945300330582221, rel=1e-12)


@pytest.mark.parametrize(
    ("form", "subtracted"), [("lsnn", 1.5), ("yin", 1.5 + 2.0 * (0.5 * 0.25 - 0.25 + 0.5)), ("eprop", 1.0)]
)
def test_each_form_subtracts_its_own_threshold(form, subtracted):
    """A = 1/4, beta = 2, decays 1/2: B[0] = 1.5 is crossed by U = 4, and A[1] = 1/8 + 1/2 (1/8 + 1 in e-prop's)."""
    neuron = ALIF(beta=2.0, form=form)
    half = {"decay_mem": 0.5, "decay_adapt": 0.5, "beta": 2.0}
    state = tuple(torch.tensor([[value]], dtype=torch.float64) for value in (0.25, 4.0))
    a, v = single(neuron, [0.0], state=state, coefficients=half).state
    assert a.item() == (0.125 + 1.0 if form == "eprop" else 0.125 + 0.5)
    assert v.item() == 2.0 - subtracted


def published_alif(
    form: str, reset: str, x: np.ndarray, w: np.ndarray, v: np.ndarray, *, beta: float
) -> np.ndarray:  # fmt: skip
    """The published loops, neuron by neuron and in their own order: first the new state, then the spike from it."""
    alpha, rho, v_th = math.exp(-1.0 / 20.0), math.exp(-1.0 / 50.0), 1.0
    n = w.shape[0]
    spikes = np.zeros((x.shape[0] + 1, n))
    mem, b = np.zeros(n), np.zeros(n)
    for t in range(x.shape[0]):
        for k in range(n):
            fired, crossed = spikes[t, k], v_th + beta * b[k]
            b[k] = rho * b[k] + (fired if form == "eprop" else (1.0 - rho) * fired)
            raised = v_th + beta * b[k]
            current = w[k] @ x[t] + v[k] @ spikes[t]
            moved = alpha * mem[k] + (current if form == "eprop" else (1.0 - alpha) * current)
            if reset == "zero":
                mem[k] = 0.0 if fired else moved
            else:
                mem[k] = moved - fired * {"lsnn": crossed, "yin": raised, "eprop": v_th}[form]
        spikes[t + 1] = mem > v_th + beta * b
    return spikes[:-1]


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("form", FORMS)
def test_alif_is_the_published_loop(form, reset):
    x, w_in, w_rec = random_case()
    gain = 0.1 if form == "eprop" else 1.0
    neuron = ALIF(tau_mem_ms=20.0, tau_adapt_ms=50.0, beta=1.5, form=form, reset=reset)
    found = scan(neuron, x, gain * w_in, gain * w_rec, spike=SuperSpike()).output
    assert 0.02 < found.mean() < 0.6
    for b in range(2):
        expected = published_alif(form, reset, x[b].numpy(), gain * w_in.numpy(), gain * w_rec.numpy(), beta=1.5)
        assert np.array_equal(found[b].numpy(), expected)


def test_without_adaptation_the_alif_is_the_lif():
    x, w_in, w_rec = random_case()
    for reset in ("subtract", "zero"):
        for form, ordering in (("lsnn", "stork"), ("yin", "stork"), ("eprop", "seed")):
            plain = scan(LIF(tau_mem_ms=20.0, ordering=ordering, reset=reset), x, w_in, w_rec, spike=SuperSpike())
            adaptive = scan(ALIF(beta=0.0, form=form, reset=reset), x, w_in, w_rec, spike=SuperSpike())
            assert torch.equal(plain.output, adaptive.output)


def test_adaptation_lowers_the_rate_of_a_constant_current_to_the_mean_field_one():
    """Slow adaptation: A settles at the rate f, so that f is the LIF's rate at the threshold v_th + beta f."""
    neuron = ALIF(tau_adapt_ms=5000.0, beta=20.0, reset="zero", dt_ms=0.1)
    i0, f = 3.0, 0.0
    for _ in range(200):  # ISI = n* + 1 steps, n* as in K4, at the threshold v_th + beta f
        n = math.log(1.0 - (1.0 + 20.0 * f) / i0) / (-0.1 / 20.0)
        f = 0.5 * f + 0.5 / (n + 1.5)  # n* = floor(n) + 1, on average n + 1/2
    state = (torch.full((1, 1), f, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64))
    trace = single(neuron, [i0] * 6_000, state=state)
    assert trace.output.mean().item() == pytest.approx(f, rel=0.03)


@pytest.mark.parametrize("argument", ["difference", "relative", "baseline", "published"])
@pytest.mark.parametrize("form", FORMS)
def test_the_argument_of_the_surrogate_sets_the_gradient_and_not_the_spikes(form, argument):
    """U = 0.9, A = 1/2, beta = 0.8, v_th = 2: B = 2.4, and dS/dU = h(x) dx/dU, dS/dA = -beta h(x) ... by hand."""
    h = Triangle(gamma=1.0, slope=0.25)
    kind = {"lsnn": "relative", "yin": "difference", "eprop": "baseline"}[form] if argument == "published" else argument
    neuron = ALIF(beta=0.8, v_th=2.0, form=form, surrogate_argument=argument)
    a = torch.tensor([[0.5]], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([[0.9]], dtype=torch.float64, requires_grad=True)
    trace = single(neuron, [0.0], state=(a, v), spike=h)
    assert trace.output.item() == 0.0
    trace.output.sum().backward()
    unit = {"difference": 1.0, "relative": 2.4, "baseline": 2.0}[kind]
    slope = 1.0 - 0.25 * abs(0.9 - 2.4) / unit
    assert v.grad.item() == pytest.approx(slope / unit, **EXACT)
    by_threshold = 0.9 / 2.4**2 if kind == "relative" else 1.0 / unit
    assert a.grad.item() == pytest.approx(-0.8 * slope * by_threshold, **EXACT)


# AdLIF.


def jacobian(neuron: AdLIF) -> Tensor:
    """d(w, v)[n+1] / d(w, v)[n] below threshold."""
    coefficients = neuron.coefficients()
    z = torch.zeros(1, 1, dtype=torch.float64)

    def step(state: Tensor) -> Tensor:
        w, v = neuron.update((state[:1, None], state[1:, None]), z, z, None, coefficients)
        return torch.cat([w, v]).flatten()

    found: Tensor = torch.autograd.functional.jacobian(step, torch.tensor([0.3, 0.2], dtype=torch.float64))
    return found


def test_the_symplectic_form_has_the_eigenvalues_of_continuous_time_and_euler_diverges_K24():
    """tau_u 25, tau_w 60, a q = 120: |λ| = 0.97206429 = √(c r) against 1.01127653."""
    options = {"tau_mem_ms": 25.0, "tau_adapt_ms": 60.0, "a": 1.0, "q": 120.0}
    symplectic = torch.linalg.eigvals(jacobian(AdLIF(**options)))
    assert symplectic.abs().tolist() == pytest.approx([0.97206429] * 2, abs=5e-9)
    assert symplectic.abs()[0].item() == pytest.approx(math.exp(-0.5 / 25.0 - 0.5 / 60.0), rel=1e-12)
    assert symplectic.angle().abs().max().item() == pytest.approx(0.28356214, abs=5e-9)
    flow = torch.tensor([[-1.0 / 25.0, -1.0 / 25.0], [120.0 / 60.0, -1.0 / 60.0]], dtype=torch.float64)
    continuous = torch.linalg.eigvals(torch.linalg.matrix_exp(flow))
    assert continuous.abs().tolist() == pytest.approx(symplectic.abs().tolist(), rel=1e-12)
    assert continuous.angle().abs().max().item() == pytest.approx(0.282602, abs=5e-7)
    euler = torch.linalg.eigvals(jacobian(AdLIF(form="euler_forward", **options)))
    assert euler.abs().tolist() == pytest.approx([1.01127653] * 2, abs=5e-9)


@pytest.mark.parametrize(("form", "diverges"), [("symplectic", False), ("euler_forward", True)])
def test_an_impulse_rings_down_or_up_as_the_eigenvalues_say_K24(form, diverges):
    neuron = AdLIF(tau_mem_ms=25.0, tau_adapt_ms=60.0, a=1.0, v_th=NEVER, form=form)
    v = single(neuron, [1.0] + [0.0] * 400).potentials.flatten().abs()
    late, early = v[300:400].max().item(), v[100:200].max().item()
    assert (late / early) == pytest.approx((1.01127653 if diverges else 0.97206429) ** 200, rel=0.1)


@pytest.mark.parametrize("a", [0.3, 1.0, 10.0, 40.0])
def test_the_modulus_of_the_symplectic_form_does_not_depend_on_a(a):
    values = torch.linalg.eigvals(jacobian(AdLIF(tau_mem_ms=5.0, tau_adapt_ms=300.0, a=a)))
    assert values.imag.abs().min() > 0
    assert values.abs().tolist() == pytest.approx([math.exp(-0.5 / 5.0 - 0.5 / 300.0)] * 2, rel=1e-9)


def published_adlif(form: str, reset: str, x: np.ndarray, w_in: np.ndarray, v_rec: np.ndarray) -> np.ndarray:
    """The published loops in their own order: potential, spike, adaptation (RadLIF: adaptation first)."""
    c, r, a, b, q = math.exp(-1.0 / 15.0), math.exp(-1.0 / 60.0), 0.4, 0.7, 3.0
    n = w_in.shape[0]
    u, w, s = np.zeros(n), np.zeros(n), np.zeros(n)
    spikes = [s]
    for row in x:
        drive = w_in @ row + v_rec @ s
        if form == "radlif":
            w = r * w + a * u + b * s
            u = c * (u - s if reset == "subtract" else u * (1.0 - s)) + (1.0 - c) * (drive - w)
            s = (u > 1.0).astype(float)
        else:
            left = u - s if reset == "subtract" else u * (1.0 - s)
            u_new = c * left + (1.0 - c) * (drive - w)
            s_new = (u_new > 1.0).astype(float)
            if form == "symplectic":
                left = u_new - s_new if reset == "subtract" else u_new * (1.0 - s_new)
                w = r * w + (1.0 - r) * q * (a * left + b * s_new)
            else:
                w = r * w + (1.0 - r) * q * (a * left + b * s)
            u, s = u_new, s_new
        spikes.append(s)
    return np.array(spikes[:-1])


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("form", ["symplectic", "euler_forward", "radlif"])
def test_adlif_is_the_published_loop(form, reset):
    x, w_in, w_rec = random_case(seed=3)
    neuron = AdLIF(tau_mem_ms=15.0, tau_adapt_ms=60.0, a=0.4, b=0.7, q=3.0, form=form, reset=reset)
    found = scan(neuron, x, 2.0 * w_in, w_rec, spike=SuperSpike()).output
    assert 0.02 < found.mean() < 0.6
    for k in range(2):
        expected = published_adlif(form, reset, x[k].numpy(), 2.0 * w_in.numpy(), w_rec.numpy())
        assert np.array_equal(found[k].numpy(), expected)


def test_a_current_that_the_adaptation_balances_settles_at_the_known_potential():
    """Without spikes U = I0 - q a U, so that U = I0 / (1 + q a) in every scaled form."""
    for form in ("symplectic", "euler_forward"):
        neuron = AdLIF(tau_mem_ms=10.0, tau_adapt_ms=40.0, a=0.05, q=10.0, v_th=NEVER, form=form)
        v = single(neuron, [6.0] * 3000).potentials.flatten()[-1].item()
        assert v == pytest.approx(6.0 / 1.5, rel=1e-9)


# The gradient, for both.


@pytest.mark.parametrize("shape", [(), (4,)], ids=["shared", "per_neuron"])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize(
    ("cls", "form"),
    [(ALIF, form) for form in FORMS] + [(AdLIF, form) for form in ("symplectic", "euler_forward", "radlif")],
)
def test_the_smooth_twin_passes_gradcheck_in_weights_time_constants_gains_and_state_K9(cls, form, reset, shape):
    neuron = cls(form=form, reset=reset, detach_reset=False)
    names = (*neuron.time_constants, *neuron.gains)
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(2, 8, 3, generator=generator) < 0.5).double()
    w_in, w_rec = (torch.randn(4, k, generator=generator, dtype=torch.float64).requires_grad_() for k in (3, 4))
    values = [
        torch.full(shape, math.log(getattr(neuron, name)), dtype=torch.float64, requires_grad=True) for name in names
    ]
    state = [0.2 * torch.rand(2, 4, generator=generator, dtype=torch.float64) for _ in range(2)]

    def run(w_in: Tensor, w_rec: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        logs, start = rest[: len(names)], rest[len(names) :]
        coefficients = neuron.coefficients({name: log.exp() for name, log in zip(names, logs, strict=True)})
        soft = SuperSpike(slope=10.0, scale=5.0).soft
        trace = scan(neuron, x, w_in, w_rec, state=start, spike=soft, coefficients=coefficients, potentials=True)
        return trace.output, trace.potentials, *trace.state

    inputs = (w_in, w_rec, *values, *(tensor.requires_grad_() for tensor in state))
    assert gradcheck(run, inputs, eps=1e-6, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("learn_gains", "shape"), [("shared", ()), ("per_neuron", (5,))])
def test_a_layer_learns_a_and_b_from_where_the_record_says(learn_gains, shape):
    torch.manual_seed(0)
    neuron = AdLIF(a=0.25, b=0.75, learn_gains=learn_gains, learn_tau="shared")
    layer = SpikingLayer(4, 5, neuron=neuron, recurrent=True)
    assert {name: tuple(p.shape) for name, p in layer.named_parameters() if name not in ("w_in", "w_rec")} == {
        "log_tau_mem_ms": (), "log_tau_adapt_ms": (), "a": shape, "b": shape,
    }  # fmt: skip
    assert set(layer.taus_ms()) == {"tau_mem_ms", "tau_adapt_ms"}
    assert torch.equal(layer.learned_values()["a"], torch.full(shape, 0.25))
    with torch.no_grad():
        layer.w_in.mul_(50.0)
    output = layer((torch.rand(3, 30, 4) < 0.3).float())[0]
    assert output.any()
    output.sum().backward()
    assert layer.a.grad.abs().sum() > 0
    assert layer.b.grad.abs().sum() > 0


# Refractory period.

CLASSES = (ALIF, AdLIF, CubaLIF, LIF)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize(("refractory_ms", "dt_ms", "interval"), [(1.0, 1.0, 2), (2.0, 0.5, 5), (3.4, 1.0, 4)])
def test_strong_drive_shows_the_refractory_period_as_the_shortest_interval_K5(reset, refractory_ms, dt_ms, interval):
    """R + 1 steps with R = round(refractory / dt)."""
    neuron = LIF(reset=reset, refractory_ms=refractory_ms, dt_ms=dt_ms)
    spikes = single(neuron, [1000.0] * 60).output.flatten().nonzero().flatten()
    assert set(spikes.diff().tolist()) == {interval}
    assert len(spikes) > 10


@pytest.mark.parametrize("cls", CLASSES)
def test_a_refractory_neuron_integrates_on_and_keeps_its_counter_in_the_state(cls):
    neuron = cls(refractory_ms=3.0)
    assert neuron.state_names == (*cls().state_names, "refractory")
    x, w_in, w_rec = random_case()
    options = {"spike": SuperSpike(), "potentials": True}
    whole = scan(neuron, x, w_in, w_rec, **options)
    one = scan(neuron, x[:, :23], w_in, w_rec, **options)
    two = scan(neuron, x[:, 23:], w_in, w_rec, state=one.state, **options)
    assert torch.equal(torch.cat([one.output, two.output], dim=1), whole.output)
    assert whole.output.sum() > 20
    windows = whole.output.unfold(1, 4, 1).sum(dim=-1)
    assert windows.max() == 1
    free = scan(cls(), x, w_in, w_rec, **options)
    first = int(whole.output.sum(dim=(0, 2)).nonzero()[0])
    assert torch.equal(free.potentials[:, : first + 2], whole.potentials[:, : first + 2])
    assert free.output.sum() > whole.output.sum()


def test_in_the_refractory_period_the_derivative_of_the_step_is_zero():
    """Bellec et al. 2020: psi = 0 while refractory. The potential is above threshold and still has no gradient."""
    neuron = LIF(refractory_ms=2.0, tau_mem_ms=math.inf)
    for left, expected in ((1.0, 0.0), (0.0, SuperSpike().derivative(torch.tensor(0.5)).item())):
        v = torch.tensor([[1.5]], dtype=torch.float64, requires_grad=True)
        trace = single(neuron, [0.0], state=(v, torch.tensor([[left]], dtype=torch.float64)))
        trace.output.sum().backward()
        assert trace.output.item() == (left == 0.0)
        assert v.grad.item() == pytest.approx(expected, rel=1e-6)
        assert trace.state[1].item() == (2.0 if left == 0.0 else 0.0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, r"LIF\.refractory_ms is -1.0; a finite number of at least 0"),
        (math.nan, "is nan; a finite number of at least 0"),
        ("2", "is '2'; a finite number of at least 0"),
        (0.2, "is 0.2 and less than half a step of dt_ms=1.0; use 0, or a finer dt_ms"),
    ],
)
def test_a_refractory_period_that_cannot_be_is_refused(value, message):
    with pytest.raises(ConfigurationError, match=message):
        LIF(refractory_ms=value)


def test_a_chips_decay_bits_round_decays_and_leave_gains_alone():
    rounded = Quantization(decay_bits=2).coefficients({"decay_mem": 0.9, "beta": 1.8, "a": torch.tensor(0.3)})
    assert rounded == {"decay_mem": 1.0, "beta": 1.8, "a": torch.tensor(0.3)}


def test_a_rounded_state_leaves_the_refractory_counter_alone():
    torch.manual_seed(0)
    quantization = Quantization(weight_bits=4, state_bits=8)
    layer = SpikingLayer(4, 6, neuron=ALIF(refractory_ms=3.0), quantization=quantization).double()
    with torch.no_grad():
        layer.w_in.mul_(60.0)
    x, _, _ = random_case()
    left = torch.cat([layer(x[:, :k])[1][-1] for k in (20, 30, 40)])
    assert set(left.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert left.any()


def test_a_zero_refractory_period_is_none():
    neuron: AbstractSpikingNeuron = LIF(refractory_ms=0.0)
    assert len(initial_state(neuron, 1, 1, torch.zeros(1))) == 1
