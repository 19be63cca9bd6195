"""What every file in ``neurons`` promises, in every reset and every ordering; and Fig. 2 written out once more in NumPy."""

import copy
import dataclasses
import math
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from helpers import dyadic, every, neuron_variants
from numpy.typing import NDArray
from torch import Tensor

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.layers import SpikingLayer
from snnlightning.neurons import ALIF, IF, LI, LIF, AbstractNeuron, AdLIF, CubaLI, CubaLIF
from snnlightning.scan import scan
from snnlightning.surrogates import SuperSpike
from snnlightning.typing import State, Trace

ALL = neuron_variants()
SPIKING = neuron_variants(spiking=True)
all_variants = pytest.mark.parametrize("neuron", ALL)
spiking_variants = pytest.mark.parametrize("neuron", SPIKING)
RUNG = ("subtract", "zero")


def run(
    neuron: AbstractNeuron, x: Tensor, w_in: Tensor, w_rec: Tensor, state: State | None = None, **more: Any
) -> Trace:
    """As a layer runs it: recurrent when it spikes, potentials included."""
    options = {"w_rec": w_rec, "spike": SuperSpike()} if neuron.spiking else {}
    return scan(neuron, x, w_in, state=state, potentials=True, **options, **more)


def halves(neuron: AbstractNeuron) -> dict[str, float | Tensor]:
    """Decays and gains of one half, so that float sums stay exact for about ten steps (half as many with gains)."""
    return dict.fromkeys(neuron.coefficients(), 0.5)


def thresholds(neuron: AbstractNeuron, x: Tensor, w_in: Tensor, w_rec: Tensor, **more: Any) -> Tensor:
    """What each potential of a run has to exceed, [B, T, N], read from the state step by step."""
    found, state = [], tuple(w_in.new_zeros(x.shape[0], w_in.shape[0]) for _ in neuron.state_names)
    for step in x.split(1, dim=1):
        threshold = neuron.threshold(state, more.get("coefficients") or neuron.coefficients())
        found.append(torch.as_tensor(threshold, dtype=w_in.dtype).expand(x.shape[0], w_in.shape[0]))
        state = run(neuron, step, w_in, w_rec, state=state, **more).state
    return torch.stack(found, dim=1)


def case(batch: int = 3, steps: int = 12, n_in: int = 4, n: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and weights whose products sum exactly, so that what is compared is our code and not the BLAS."""
    x = (dyadic(batch, steps, n_in, seed=seed) > 0.25).double()
    return x, dyadic(n, n_in, seed=seed + 1) * 8.0, dyadic(n, n, seed=seed + 2) * 2.0


def test_every_neuron_of_the_folder_is_met_in_every_reset_and_ordering():
    ids = {parameter.id for parameter in ALL}
    assert {
        "cuba_lif-subtract-seed",
        "cuba_lif-zero-spytorch",
        "lif-zero-stork",
        "integrate_fire-zero",
        "li-seed",
    } <= ids
    assert "cuba_lif-subtract-spytorch" not in ids


@all_variants
@pytest.mark.parametrize("first", [0, 1, 5, 11, 12])
def test_state_hand_over_equals_one_run(neuron, first):
    x, w_in, w_rec = case()
    whole = run(neuron, x, w_in, w_rec)
    one = run(neuron, x[:, :first], w_in, w_rec)
    two = run(neuron, x[:, first:], w_in, w_rec, state=one.state)
    assert torch.equal(torch.cat([one.output, two.output], dim=1), whole.output)
    assert torch.equal(torch.cat([one.potentials, two.potentials], dim=1), whole.potentials)
    assert whole.output.abs().sum() > 0
    assert len(two.state) == len(neuron.state_names)
    for mine, theirs in zip(two.state, whole.state, strict=True):
        assert torch.equal(mine, theirs)


@all_variants
@pytest.mark.parametrize("first", [0, 1, 5, 12])
def test_gradients_through_a_handed_over_state_equal_those_of_one_run(neuron, first):
    generator = torch.Generator().manual_seed(5)
    upstream = torch.randn(3, 12, 5, generator=generator, dtype=torch.float64)

    def gradients(cut: int | None) -> dict[str, Tensor]:
        x, w_in, w_rec = (tensor.clone().requires_grad_() for tensor in case())
        if cut is None:
            trace = run(neuron, x, w_in, w_rec)
            output, state = trace.output, trace.state
        else:
            one = run(neuron, x[:, :cut], w_in, w_rec)
            two = run(neuron, x[:, cut:], w_in, w_rec, state=one.state)
            output, state = torch.cat([one.output, two.output], dim=1), two.state
        ((output * upstream).sum() + sum(s.sin().sum() for s in state)).backward()
        names = ("x", "w_in", "w_rec") if neuron.spiking else ("x", "w_in")
        return {name: tensor.grad for name, tensor in zip(names, (x, w_in, w_rec), strict=False)}

    whole, cut = gradients(None), gradients(first)
    for name, gradient in whole.items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(cut[name], gradient, rtol=1e-12, atol=1e-12, msg=name)


@all_variants
def test_samples_do_not_see_each_other(neuron):
    x, w_in, w_rec = case(batch=6)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    whole, permuted = run(neuron, x, w_in, w_rec), run(neuron, x[order], w_in, w_rec)
    assert torch.equal(permuted.output, whole.output[order])
    for b in range(6):
        alone = run(neuron, x[b : b + 1], w_in, w_rec)
        assert torch.equal(alone.output, whole.output[b : b + 1])
        for mine, theirs in zip(alone.state, whole.state, strict=True):
            assert torch.equal(mine, theirs[b : b + 1])


@all_variants
def test_neurons_without_recurrence_do_not_see_each_other(neuron):
    x, w_in, _ = case()
    spike = {"spike": SuperSpike()} if neuron.spiking else {}
    whole = scan(neuron, x, w_in, **spike)
    for k in range(5):
        assert torch.equal(scan(neuron, x, w_in[k : k + 1], **spike).output, whole.output[..., k : k + 1])


@all_variants
@pytest.mark.parametrize("shift", [1, 4])
def test_silence_before_the_first_input_only_shifts_what_follows(neuron, shift):
    x, w_in, w_rec = case()
    later = torch.cat([torch.zeros(3, shift, 4, dtype=torch.float64), x], dim=1)
    here, there = run(neuron, x, w_in, w_rec), run(neuron, later, w_in, w_rec)
    assert not there.output[:, :shift].any()
    assert torch.equal(there.output[:, shift:], here.output)
    assert torch.equal(there.potentials[:, shift:], here.potentials)


@all_variants
def test_without_drive_nothing_happens(neuron):
    trace = run(neuron, torch.zeros(2, 30, 4), torch.randn(5, 4), torch.randn(5, 5))
    assert not trace.output.any()
    assert not any(variable.any() for variable in trace.state)


@all_variants
def test_the_output_at_a_step_depends_on_earlier_inputs_only(neuron):
    x, w_in, w_rec = case()
    changed = x.clone()
    changed[:, 6:] = 1.0 - changed[:, 6:]
    before, after = run(neuron, x, w_in, w_rec), run(neuron, changed, w_in, w_rec)
    assert torch.equal(before.output[:, :7], after.output[:, :7])
    assert not torch.equal(before.potentials[:, 7:], after.potentials[:, 7:])


@all_variants
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("n", [1, 7, 33])
def test_every_size_gives_its_shapes(neuron, batch, steps, n):
    x, w_in, w_rec = torch.ones(batch, steps, 2), torch.ones(n, 2, requires_grad=True), torch.ones(n, n)
    trace = run(neuron, x, w_in, w_rec)
    assert trace.output.shape == trace.potentials.shape == (batch, steps, n)
    assert [tuple(variable.shape) for variable in trace.state] == [(batch, n)] * len(neuron.state_names)
    assert {tensor.dtype for tensor in (trace.output, *trace.state)} == {torch.float32}


@all_variants
def test_no_step_at_all_gives_back_the_state_that_came(neuron):
    state = tuple(torch.randn(2, 3) for _ in neuron.state_names)
    trace = run(neuron, torch.zeros(2, 0, 4), torch.ones(3, 4), torch.ones(3, 3), state=state)
    for mine, theirs in zip(trace.state, state, strict=True):
        assert torch.equal(mine, theirs)


@all_variants
def test_the_first_output_is_read_from_the_state_that_came(neuron):
    """U[0] = 0 without one, and the input of the same step does not change it."""
    x, w_in, w_rec = case()
    assert not run(neuron, 100.0 * x, w_in, w_rec).output[:, 0].any()
    state = tuple(dyadic(3, 5, seed=40 + k) for k in range(len(neuron.state_names)))
    if isinstance(neuron, ALIF):
        state = (state[0].abs(), state[1])  # a threshold is never below v_th
    trace = run(neuron, x, w_in, w_rec, state=state)
    v = state[neuron.state_names.index("v")]
    assert torch.equal(trace.potentials[:, 0], v)
    threshold = neuron.threshold(state, neuron.coefficients()) if neuron.spiking else 0.0
    assert torch.equal(trace.output[:, 0], (v > threshold).double() if neuron.spiking else v)


@all_variants
def test_calls_leave_nothing_behind_and_change_no_argument(neuron):
    x, w_in, w_rec = case()
    state = tuple(dyadic(3, 5, seed=50 + k) for k in range(len(neuron.state_names)))
    kept = [tensor.clone() for tensor in (x, w_in, w_rec, *state)]
    before = pickle.dumps(neuron)
    first = run(neuron, x, w_in, w_rec)
    with_state = run(neuron, x, w_in, w_rec, state=state)
    again = run(neuron, x, w_in, w_rec)
    assert torch.equal(first.output, again.output)
    assert not torch.equal(first.potentials, with_state.potentials)
    assert all(torch.equal(a, b) for a, b in zip((x, w_in, w_rec, *state), kept, strict=True))
    assert pickle.dumps(neuron) == before


@spiking_variants
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_potential_exactly_on_threshold_does_not_spike(neuron, dtype):
    """Dyadic numbers and decays of one half: sums are exact, some potentials sit on v_th, and none of those spikes."""
    x = dyadic(16, 10, 6, seed=7, low=0, dtype=dtype)
    w_in, w_rec = dyadic(8, 6, seed=8, dtype=dtype) * 2.0, dyadic(8, 8, seed=9, dtype=dtype)
    trace = run(neuron, x, w_in, w_rec, coefficients=halves(neuron))
    v_th = thresholds(neuron, x, w_in, w_rec, coefficients=halves(neuron))
    on = trace.potentials == v_th
    assert on.any()
    assert not trace.output[on].any()
    assert torch.equal(trace.output, (trace.potentials > v_th).to(dtype))
    assert trace.output.sum() > 50


@spiking_variants
def test_exact_sums_spike_alike_in_single_and_double_precision(neuron):
    neuron = dataclasses.replace(neuron, q=1.0) if isinstance(neuron, AdLIF) else neuron
    traces = [
        run(
            neuron,
            dyadic(8, 5 if neuron.gains else 10, 6, seed=7, low=0, dtype=dtype),
            dyadic(8, 6, seed=8, dtype=dtype),
            dyadic(8, 8, seed=9, dtype=dtype),
            coefficients=halves(neuron),
        )
        for dtype in (torch.float32, torch.float64)
    ]
    assert torch.equal(traces[0].output.double(), traces[1].output)
    assert torch.equal(traces[0].potentials.double(), traces[1].potentials)


@all_variants
def test_single_precision_is_close_to_double_below_threshold(neuron):
    quiet = dataclasses.replace(neuron, v_th=1e9) if neuron.spiking else neuron
    generator = torch.Generator().manual_seed(0)
    x, w_in = torch.rand(3, 60, 5, generator=generator), torch.randn(7, 5, generator=generator)
    w_rec = torch.randn(7, 7, generator=generator)
    single = run(quiet, x, w_in, w_rec)
    double = run(quiet, x.double(), w_in.double(), w_rec.double())
    assert single.potentials.dtype == torch.float32
    torch.testing.assert_close(single.potentials.double(), double.potentials, rtol=1e-4, atol=1e-4)


TIMED = [parameter for parameter in ALL if parameter.values[0].time_constants]
TAUS = (2.0, 5.0, 11.0, 30.0, math.inf)


@pytest.mark.parametrize("neuron", TIMED)
def test_a_list_of_time_constants_is_that_many_neurons_side_by_side(neuron):
    x, w_in, _ = case()
    spike = {"spike": SuperSpike()} if neuron.spiking else {}
    lists = {name: TAUS[k:] + TAUS[:k] for k, name in enumerate(neuron.time_constants)}
    together = scan(dataclasses.replace(neuron, **lists), x, w_in, potentials=True, **spike)
    for k in range(5):
        alone_neuron = dataclasses.replace(neuron, **{name: values[k] for name, values in lists.items()})
        alone = scan(alone_neuron, x, w_in[k : k + 1], potentials=True, **spike)
        assert torch.equal(together.potentials[..., k : k + 1], alone.potentials)
        assert torch.equal(together.output[..., k : k + 1], alone.output)


@pytest.mark.parametrize("neuron", TIMED)
def test_every_time_constant_has_its_own_effect(neuron):
    """Which also shows when membrane and synapse are exchanged: tau_mem acts on v alone, tau_syn on the current."""
    x, w_in, w_rec = case()
    quiet = dataclasses.replace(neuron, v_th=1e9) if neuron.spiking else neuron
    for name in neuron.time_constants:
        still = neuron if isinstance(neuron, ALIF) and name == "tau_adapt_ms" else quiet  # it adapts to spikes alone
        base = run(still, x, w_in, w_rec)
        slow = run(dataclasses.replace(still, **{name: 40.0}), x, w_in, w_rec)
        changed = (slow.state[0], base.state[0]) if still is not quiet else (slow.potentials, base.potentials)
        assert not torch.equal(*changed)
        if "i" in neuron.state_names:
            same_current = torch.equal(slow.state[0], base.state[0])
            assert same_current == (name == "tau_mem_ms")


@pytest.mark.parametrize("neuron", TIMED)
def test_given_time_constants_replace_the_records_own_and_carry_gradients(neuron):
    taus = {
        name: torch.tensor(float(3 + k), dtype=torch.float64, requires_grad=True)
        for k, name in enumerate(neuron.time_constants)
    }
    same = dataclasses.replace(neuron, **{name: tau.item() for name, tau in taus.items()})
    found = neuron.coefficients(taus)
    assert {k: float(v.detach() if isinstance(v, Tensor) else v) for k, v in found.items()} == pytest.approx(
        same.coefficients(), rel=1e-15
    )
    sum(found.values()).backward()
    for tau in taus.values():
        assert tau.grad.item() == pytest.approx(math.exp(-1.0 / tau.item()) / tau.item() ** 2, rel=1e-12)


@spiking_variants
@pytest.mark.parametrize("name", ["detach_reset", "detach_recurrent"])
def test_what_is_detached_changes_the_gradient_and_never_the_spikes(neuron, name):
    def result(value: bool) -> tuple[Tensor, Tensor]:
        x, w_in, w_rec = case()
        w_in.requires_grad_()
        trace = run(dataclasses.replace(neuron, **{name: value}), x, w_in, w_rec)
        trace.output.sum().backward()
        return trace.output, w_in.grad

    (on, on_gradient), (off, off_gradient) = result(True), result(False)
    assert torch.equal(on, off)
    assert not torch.equal(on_gradient, off_gradient)


# The oracle: Fig. 2 and its two relatives, one neuron and one step at a time.


def fig_2(
    x: NDArray[np.float64],
    w: NDArray[np.float64],
    v: NDArray[np.float64],
    *,
    alpha: float,
    beta: float,
    theta: float,
    reset: str,
    ordering: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spikes and potentials [T, N] of one sample x [T, N_in]."""
    steps, neurons = len(x), len(w)
    current, potential, sent = np.zeros(neurons), np.zeros(neurons), np.zeros(neurons)
    spikes, potentials = np.zeros((steps, neurons)), np.zeros((steps, neurons))
    for n in range(steps):
        fired = np.where(potential > theta, 1.0, 0.0)
        spikes[n], potentials[n] = fired, potential
        travelling = sent if ordering == "spytorch" else fired
        new_current, new_potential = np.zeros(neurons), np.zeros(neurons)
        for i in range(neurons):
            new_current[i] = alpha * current[i]
            for j in range(x.shape[1]):
                new_current[i] += w[i, j] * x[n, j]
            for k in range(neurons):
                new_current[i] += v[i, k] * travelling[k]
            gain = 1.0 - beta if ordering == "stork" else 1.0
            new_potential[i] = beta * potential[i] + gain * current[i]
            if reset == "subtract":
                new_potential[i] -= theta * fired[i]
            elif fired[i]:
                new_potential[i] = 0.0
        current, potential, sent = new_current, new_potential, fired
    return spikes, potentials


@pytest.mark.parametrize("theta", [1.0, 0.7])
@pytest.mark.parametrize(
    ("ordering", "reset"), [("seed", "subtract"), ("seed", "zero"), ("stork", "subtract"), ("stork", "zero"), ("spytorch", "zero")]
)  # fmt: skip
def test_a_recurrent_layer_does_what_the_figure_says(ordering, reset, theta):
    generator = torch.Generator().manual_seed(11)
    x = (torch.rand(4, 40, 6, generator=generator) < 0.3).double()
    gain = 8.0 if ordering == "stork" else 1.0
    w_in = gain * torch.randn(9, 6, generator=generator, dtype=torch.float64)
    w_rec = gain * 0.5 * torch.randn(9, 9, generator=generator, dtype=torch.float64)
    neuron = CubaLIF(tau_mem_ms=7.0, tau_syn_ms=3.0, dt_ms=0.5, v_th=theta, reset=reset, ordering=ordering)
    trace = scan(neuron, x, w_in, w_rec, spike=SuperSpike(), potentials=True)
    numbers = {"alpha": math.exp(-0.5 / 3.0), "beta": math.exp(-0.5 / 7.0), "theta": theta}
    assert trace.output.mean() > 0.02
    for b in range(4):
        spikes, potentials = fig_2(x[b].numpy(), w_in.numpy(), w_rec.numpy(), reset=reset, ordering=ordering, **numbers)
        assert np.array_equal(trace.output[b].numpy(), spikes)
        np.testing.assert_allclose(trace.potentials[b].numpy(), potentials, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reset", RUNG)
@pytest.mark.parametrize("ordering", ["seed", "stork"])
def test_without_synaptic_memory_the_current_based_neuron_is_the_simple_one_a_step_later(reset, ordering):
    """CubaLIF with decay_syn = 0 delays its input by one step; recurrence off."""
    x, w_in, _ = case()
    simple = scan(LIF(reset=reset, ordering=ordering), x, w_in, spike=SuperSpike(), potentials=True)
    neuron = CubaLIF(reset=reset, ordering=ordering)
    decays = {**neuron.coefficients(), "decay_syn": 0.0}
    delayed = scan(neuron, x, w_in, spike=SuperSpike(), coefficients=decays, potentials=True)
    assert torch.equal(delayed.potentials[:, 1:], simple.potentials[:, :-1])


@pytest.mark.parametrize("reset", RUNG)
def test_a_lif_that_does_not_leak_is_the_if_neuron(reset):
    x, w_in, w_rec = case()
    leaky = run(LIF(tau_mem_ms=math.inf, reset=reset), x, w_in, w_rec)
    assert torch.equal(leaky.potentials, run(IF(reset=reset), x, w_in, w_rec).potentials)


def test_a_readout_neuron_is_the_spiking_one_below_threshold():
    x, w_in, _ = case()
    for reader, spiker in ((LI, LIF), (CubaLI, CubaLIF)):
        for ordering in ("seed", "stork"):
            quiet = scan(spiker(ordering=ordering, v_th=1e9), x, w_in, spike=SuperSpike(), potentials=True)
            assert torch.equal(scan(reader(ordering=ordering), x, w_in).output, quiet.potentials)


# Records and their mistakes.


@all_variants
def test_a_neuron_is_a_frozen_record_that_pickles_compares_and_hashes(neuron):
    for twin in (pickle.loads(pickle.dumps(neuron)), copy.deepcopy(neuron), dataclasses.replace(neuron)):
        assert twin == neuron
        assert hash(twin) == hash(neuron)
    assert dataclasses.replace(neuron, dt_ms=0.5) != neuron
    with pytest.raises(dataclasses.FrozenInstanceError):
        neuron.dt_ms = 2.0


@all_variants
def test_copies_of_a_record_that_was_used_hold_its_fields_and_compute_the_rest_again(neuron):
    fresh = dataclasses.replace(neuron)
    asked = (neuron.coefficients(), neuron.state_names, neuron.coefficient_names, neuron.learned, neuron.drawn)
    for twin in (pickle.loads(pickle.dumps(neuron)), copy.deepcopy(neuron), copy.copy(neuron)):
        assert vars(twin) == vars(fresh)
        assert (twin.coefficients(), twin.state_names, twin.coefficient_names, twin.learned, twin.drawn) == asked
    faster = dataclasses.replace(neuron, dt_ms=0.5)
    for name in (name for name in asked[0] if name.startswith("decay")):
        assert math.isclose(faster.coefficients()[name], asked[0][name] ** 0.5)


def test_coefficients_belong_to_whoever_asked():
    neuron = CubaLIF()
    neuron.coefficients()["decay_mem"] = 0.0
    assert neuron.coefficients()["decay_mem"] == math.exp(-0.1)


def test_a_neuron_of_ones_own_is_asked_for_its_coefficients_in_every_call():
    asked = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Ageing(LIF):
        def coefficients(self, values: Any = None) -> dict[str, float | Tensor]:
            asked.append(1)
            return {"decay_mem": 0.5 ** len(asked)}

    layer = SpikingLayer(4, 5, neuron=Ageing())
    used = [layer.effective().coefficients["decay_mem"] for _ in range(3)]
    assert used == [0.5, 0.25, 0.125]


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_without_a_step_each_variable_of_the_state_is_zero_in_a_memory_of_its_own(backend):
    state = scan(CubaLIF(), torch.ones(2, 0, 4), torch.ones(5, 4), spike=SuperSpike(), backend=backend).state
    state[0].add_(1.0)
    assert state[1].eq(0.0).all()


@pytest.mark.parametrize("cls", every("neurons"))
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_numbers_that_are_not_positive_are_refused_by_name(cls, bad):
    names = ["dt_ms", *cls.time_constants, *(["v_th"] if cls.spiking else [])]
    for name in names:
        with pytest.raises(ConfigurationError, match=rf"{cls.__name__}\.{name} is {bad}; it must be greater than 0"):
            cls(**{name: bad})
    for name in cls.time_constants:
        with pytest.raises(ConfigurationError, match=rf"{cls.__name__}\.{name} is {bad}"):
            cls(**{name: [5.0, bad]})
        with pytest.raises(ConfigurationError, match=rf"{cls.__name__}\.{name} is empty"):
            cls(**{name: []})


@pytest.mark.parametrize("cls", every("neurons"))
def test_options_that_do_not_exist_are_refused_with_the_list(cls):
    for name, bad, listed in (
        ("reset", "soft", "subtract, zero"),
        ("ordering", "norse", "seed, stork"),
        ("learn_tau", "yes", "none, shared, per_neuron"),
        ("form", "hodgkin", {"ALIF": "lsnn, yin, eprop"}.get(cls.__name__, "symplectic, euler_forward, radlif")),
    ):
        if name in cls.__dataclass_fields__:
            with pytest.raises(ConfigurationError, match=rf"{cls.__name__}\.{name} is '{bad}'; .* {listed}"):
                cls(**{name: bad})


def test_gains_that_make_no_sense_are_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"ALIF\.beta is -1.0; it must not be negative"):
        ALIF(beta=[0.5, -1.0])
    for bad in (math.inf, math.nan):
        with pytest.raises(ConfigurationError, match=rf"AdLIF\.a is {bad}; a finite number is expected"):
            AdLIF(a=bad)
    with pytest.raises(ConfigurationError, match=r"AdLIF\.b is 'x'; a number, or a list with one per neuron"):
        AdLIF(b="x")
    with pytest.raises(ConfigurationError, match=r"AdLIF\.q is 0.0; it must be greater than 0"):
        AdLIF(q=0.0)
    with pytest.raises(ConfigurationError, match="learn_gains='shared' trains one number for the layer"):
        AdLIF(a=[0.1, 0.2], learn_gains="shared")


def test_an_infinite_threshold_and_contradictions_are_refused():
    with pytest.raises(ConfigurationError, match=r"LIF\.v_th is inf; a finite threshold is expected"):
        LIF(v_th=math.inf)
    with pytest.raises(ConfigurationError, match="ordering='spytorch' is published with reset='zero'"):
        CubaLIF(ordering="spytorch", reset="subtract")
    with pytest.raises(ConfigurationError, match="IF has no time constant to learn"):
        IF(learn_tau="shared")
    with pytest.raises(ConfigurationError, match="learn_tau='shared' trains one time constant"):
        LIF(tau_mem_ms=[1.0, 2.0], learn_tau="shared")


def test_a_list_of_time_constants_is_kept_as_a_tuple_and_needs_one_per_neuron():
    neuron = LIF(tau_mem_ms=[3.0, 4.0])
    assert neuron.tau_mem_ms == (3.0, 4.0)
    with pytest.raises(ShapeError, match=r"decay_mem has shape \[2\]; one value, or one per neuron \[3\]"):
        scan(neuron, torch.zeros(1, 2, 1), torch.ones(3, 1), spike=SuperSpike())


@pytest.mark.parametrize("bad", ["10", "ten", None, [[1.0, 2.0]]], ids=repr)
def test_time_constants_that_are_no_numbers_are_refused_by_name(bad):
    with pytest.raises(ConfigurationError, match=r"LIF\.tau_mem_ms"):
        LIF(tau_mem_ms=bad)


@pytest.mark.parametrize("values", [np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])], ids=["numpy", "torch"])
def test_arrays_of_time_constants_are_a_list_or_refused_by_name(values):
    def outcome() -> object:
        try:
            return LIF(tau_mem_ms=values).tau_mem_ms
        except ConfigurationError as error:
            return "LIF.tau_mem_ms" in str(error)

    assert outcome() in ((1.0, 2.0), True)


def mistakes() -> Sequence[Any]:
    x, w = torch.zeros(2, 3, 4), torch.zeros(5, 4)
    state = (torch.zeros(2, 5),)
    return [
        pytest.param({"x": x[0]}, ShapeError, r"x is \[3, 4\]; a batch of sequences \[B, T, N_in\]", id="axes"),
        pytest.param({"w_in": w[0]}, ShapeError, r"w_in is \[4\]; input weights are \[N, N_in\]", id="w_in"),
        pytest.param({"x": x[..., :3]}, ShapeError, r"has 3 features; w_in \[5, 4\] takes 4", id="features"),
        pytest.param({"x": x.cfloat()}, ShapeError, "x is complex", id="complex"),
        pytest.param({"w_rec": w}, ShapeError, r"w_rec is \[5, 4\]; a recurrent matrix is \[N, N\].* N = 5", id="rec"),
        pytest.param({"bias": w[0]}, ShapeError, r"bias is \[4\]; one per neuron is expected, \[5\]", id="bias"),
        pytest.param({"state": state * 2}, ShapeError, r"the state has 2 tensors; LIF has 1: v", id="variables"),
        pytest.param({"state": (w,)}, ShapeError, r"state v is \[5, 4\]; \[B, N\] = \[2, 5\]", id="state"),
        pytest.param({"backend": "magic"}, ConfigurationError, "no backend named 'magic'; available: auto", id="backend"),
        pytest.param({"spike": None}, ConfigurationError, "LIF spikes and needs a surrogate", id="surrogate"),
        pytest.param({"neuron": LI()}, ConfigurationError, "LI has no threshold.*a surrogate", id="no-surrogate"),
        pytest.param(
            {"neuron": LI(), "spike": None, "w_rec": torch.zeros(5, 5)},
            ConfigurationError, "LI has no threshold.*recurrent weights", id="no-recurrence",
        ),
        pytest.param({"coefficients": {}}, ConfigurationError, "decay_mem", id="decays"),
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), mistakes())
def test_scan_says_what_came_and_what_was_expected(change, error, message):
    arguments = {"neuron": LIF(), "x": torch.zeros(2, 3, 4), "w_in": torch.zeros(5, 4), "spike": SuperSpike(), **change}
    with pytest.raises(error, match=message):
        scan(**arguments)


def test_integer_and_boolean_inputs_are_taken_to_the_dtype_of_the_weights():
    x, w_in, w_rec = case()
    expected = run(LIF(), x, w_in, w_rec)
    for dtype in (torch.bool, torch.int64, torch.uint8, torch.float32):
        assert torch.equal(run(LIF(), x.to(dtype), w_in, w_rec).output, expected.output)


def test_a_bias_is_a_constant_input():
    x, w_in, w_rec = case()
    bias = dyadic(5, seed=6)
    ones = torch.ones(3, 12, 1, dtype=torch.float64)
    as_input = run(LIF(), torch.cat([x, ones], dim=2), torch.cat([w_in, bias[:, None]], dim=1), w_rec)
    assert torch.equal(run(LIF(), x, w_in, w_rec, bias=bias).potentials, as_input.potentials)
