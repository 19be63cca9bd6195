"""Laws of every neuron, for any constants, refractory period, thresholds, sizes and inputs that hypothesis comes up with."""

import dataclasses
from typing import Any

import pytest
import torch
from helpers import dyadic, neuron_variants
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snnlightning.neurons import AbstractNeuron
from snnlightning.scan import scan
from snnlightning.surrogates import SuperSpike
from snnlightning.typing import State, Trace

N, N_IN = 4, 3
laws = settings(max_examples=10, derandomize=True)
every_neuron = pytest.mark.parametrize("neuron", neuron_variants())


@st.composite
def cases(draw: Any, neuron: AbstractNeuron) -> tuple[AbstractNeuron, Tensor, Tensor, Tensor | None]:
    """A neuron with constants of any kind, binary inputs [B, T, 3], and weights whose products with them sum exactly."""
    changes: dict[str, Any] = {"dt_ms": draw(st.sampled_from([0.5, 1.0, 4.0]))}
    taus = st.floats(0.5, 300.0)
    for name in neuron.time_constants:
        changes[name] = draw(taus | st.lists(taus, min_size=N, max_size=N))
    if neuron.spiking:
        levels = st.floats(0.25, 2.0)
        changes["v_th"] = draw(levels | st.lists(levels, min_size=N, max_size=N))
        changes["refractory_ms"] = draw(st.sampled_from([0.0, 4.0, 9.0]))
    seed = draw(st.integers(0, 10_000))
    batch, steps = draw(st.integers(1, 4)), draw(st.sampled_from([14, 13, 3, 1, 0]))
    x = (dyadic(batch, steps, N_IN, seed=seed) > draw(st.sampled_from([-0.5, 0.25]))).double()
    w_in = dyadic(N, N_IN, seed=seed + 1) * draw(st.sampled_from([64.0, 8.0]))
    w_rec = dyadic(N, N, seed=seed + 2) * 2.0 if neuron.spiking and draw(st.booleans()) else None
    return dataclasses.replace(neuron, **changes), x, w_in, w_rec


def run(neuron: AbstractNeuron, x: Tensor, w_in: Tensor, w_rec: Tensor | None, state: State | None = None) -> Trace:
    return scan(
        neuron, x, w_in, w_rec, state=state, spike=SuperSpike() if neuron.spiking else None, potentials=True,
        backend="reference",
    )  # fmt: skip


def same(one: Trace, other: Trace) -> None:
    assert torch.equal(one.output, other.output)
    assert torch.equal(one.potentials, other.potentials)
    assert all(torch.equal(a, b) for a, b in zip(one.state, other.state, strict=True))


@every_neuron
@laws
@given(st.data())
def test_a_run_is_the_run_of_its_parts(neuron, data):
    neuron, x, w_in, w_rec = data.draw(cases(neuron))
    cut = data.draw(st.integers(0, x.shape[1]))
    whole = run(neuron, x, w_in, w_rec)
    first = run(neuron, x[:, :cut], w_in, w_rec)
    second = run(neuron, x[:, cut:], w_in, w_rec, state=first.state)
    same(
        whole,
        Trace(
            *(
                torch.cat(pair, 1) if isinstance(pair[0], Tensor) else pair[1]
                for pair in zip(first, second, strict=True)
            )
        ),
    )


@every_neuron
@laws
@given(st.data())
def test_samples_may_come_in_any_order(neuron, data):
    neuron, x, w_in, w_rec = data.draw(cases(neuron))
    order = data.draw(st.permutations(range(x.shape[0])))
    straight, shuffled = run(neuron, x, w_in, w_rec), run(neuron, x[order], w_in, w_rec)
    same(Trace(straight.output[order], tuple(s[order] for s in straight.state), straight.potentials[order]), shuffled)


@every_neuron
@laws
@given(st.data())
def test_silence_before_the_first_input_shifts_everything(neuron, data):
    neuron, x, w_in, w_rec = data.draw(cases(neuron))
    shift = data.draw(st.integers(1, 6))
    straight = run(neuron, x, w_in, w_rec)
    later = run(neuron, torch.cat([x.new_zeros(x.shape[0], shift, N_IN), x], dim=1), w_in, w_rec)
    assert not later.potentials[:, :shift].any()
    same(straight, Trace(later.output[:, shift:], later.state, later.potentials[:, shift:]))


@every_neuron
@laws
@given(st.data())
def test_without_drive_nothing_happens_at_all(neuron, data):
    neuron, x, w_in, w_rec = data.draw(cases(neuron))
    trace = run(neuron, torch.zeros_like(x), w_in, w_rec)
    assert not trace.output.any()
    assert not any(variable.any() for variable in trace.state)


@every_neuron
@laws
@given(st.data())
def test_a_spike_is_a_potential_above_its_threshold_and_a_refractory_neuron_waits(neuron, data):
    neuron, x, w_in, w_rec = data.draw(cases(neuron))
    trace = run(neuron, x, w_in, w_rec)
    assert trace.potentials.isfinite().all()
    if not neuron.spiking:
        assert torch.equal(trace.output, trace.potentials)
        return
    assert ((trace.output == 0.0) | (trace.output == 1.0)).all()
    if "a" not in neuron.variables:
        above = trace.potentials > torch.tensor(neuron.v_th, dtype=torch.float64)
        assert (trace.output.bool() <= above).all()
        assert neuron.refractory_steps or torch.equal(trace.output.bool(), above)
    for step in range(1, neuron.refractory_steps + 1):
        assert not (trace.output[:, step:] * trace.output[:, : max(0, x.shape[1] - step)]).any()


@pytest.mark.parametrize("neuron", neuron_variants(spiking=True))
def test_the_cases_of_the_laws_spike(neuron):
    """Laws of silent neurons would prove little."""
    counts: list[float] = []

    @laws
    @given(cases(neuron))
    def look(case: tuple[AbstractNeuron, Tensor, Tensor, Tensor | None]) -> None:
        counts.append(float(run(*case).output.sum()))

    look()
    assert sum(count > 0.0 for count in counts) >= 2


@pytest.mark.parametrize("neuron", neuron_variants(spiking=True))
def test_a_list_of_equal_thresholds_is_one_threshold(neuron):
    x, w_in = (dyadic(2, 12, N_IN) > 0.0).double(), dyadic(N, N_IN, seed=1) * 8.0
    same(
        run(dataclasses.replace(neuron, v_th=0.75), x, w_in, None),
        run(dataclasses.replace(neuron, v_th=[0.75] * N), x, w_in, None),
    )
