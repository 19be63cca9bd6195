"""The dynamics against closed forms: decays, impulse responses, kernels, constant currents, intervals."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from helpers import single
from torch import Tensor

from snnlightning.neurons import IF, LI, LIF, AbstractNeuron, CubaLI, CubaLIF
from snnlightning.scan import scan
from snnlightning.surrogates import SuperSpike
from snnlightning.typing import Trace

EXACT: dict[str, Any] = {"rel": 1e-12, "abs": 1e-15}
NEVER = 1e12
"""A threshold that nothing reaches."""


def impulse(steps: int) -> list[float]:
    return [1.0] + [0.0] * (steps - 1)


def potentials(trace: Trace) -> Tensor:
    assert trace.potentials is not None
    return trace.potentials.flatten()


def spike_steps(trace: Trace) -> list[int]:
    return trace.output.flatten().nonzero().flatten().tolist()


def intervals(steps: list[int]) -> list[int]:
    return [after - before for before, after in itertools.pairwise(steps)]


@pytest.mark.parametrize(
    ("tau_syn_ms", "tau_mem_ms", "dt_ms", "decay_syn", "decay_mem"),
    [
        (5.0, 10.0, 1.0, 0.8187307530779818, 0.9048374180359595),
        (10.0, 20.0, 1.0, 0.9048374180359595, 0.951229424500714),
        (5.0, 10.0, 1400.0 / 99.0, 0.05911427592751333, 0.24313427550946684),
        (math.inf, math.inf, 1.0, 1.0, 1.0),
    ],
)
@pytest.mark.parametrize("cls", [CubaLIF, CubaLI])
def test_decays_are_exponentials_of_the_time_step_K1(cls, tau_syn_ms, tau_mem_ms, dt_ms, decay_syn, decay_mem):
    found = cls(tau_mem_ms=tau_mem_ms, tau_syn_ms=tau_syn_ms, dt_ms=dt_ms).coefficients()
    assert found == {"decay_mem": pytest.approx(decay_mem, **EXACT), "decay_syn": pytest.approx(decay_syn, **EXACT)}


@pytest.mark.parametrize("cls", [LIF, LI])
def test_a_neuron_without_synaptic_current_has_one_decay_K1(cls):
    assert cls(tau_mem_ms=20.0).coefficients() == {"decay_mem": pytest.approx(0.951229424500714, **EXACT)}


@pytest.mark.parametrize("neuron", [CubaLI(), CubaLIF(v_th=NEVER), CubaLIF(v_th=NEVER, reset="zero")], ids=str)
def test_impulse_response_is_the_difference_of_two_exponentials_K2(neuron):
    u = potentials(single(neuron, impulse(400)))
    a, b = math.exp(-1.0 / 5.0), math.exp(-1.0 / 10.0)
    assert u[:6].tolist() == pytest.approx(
        [0.0, 0.0, 1.0, 1.7235681711139414, 2.229869019795339, 2.566480562524017], **EXACT
    )
    closed = [0.0] + [(b ** (n - 1) - a ** (n - 1)) / (b - a) for n in range(1, 400)]
    assert u.tolist() == pytest.approx(closed, **EXACT)
    assert (int(u.argmax()), float(u.max())) == (8, pytest.approx(2.9032403005249803, **EXACT))
    assert float(u.sum()) == pytest.approx(57.97084791385334, rel=1e-12)


@pytest.mark.parametrize(("dt_ms", "steps"), [(1.0, 8), (0.1, 70), (0.01, 694)])
def test_the_peak_of_the_impulse_response_converges_to_the_continuous_one_K2(dt_ms, steps):
    """tau_m tau_s / (tau_m - tau_s) ln(tau_m / tau_s) = 6.93 ms, to within the two steps by which the ordering is late."""
    peak_ms = 10.0 * 5.0 / (10.0 - 5.0) * math.log(10.0 / 5.0)
    assert peak_ms == pytest.approx(6.931471805599453, rel=1e-15)
    found = int(potentials(single(CubaLI(dt_ms=dt_ms), impulse(round(20.0 / dt_ms)))).argmax())
    assert found == steps
    assert 0.0 <= found * dt_ms - peak_ms <= 2.0 * dt_ms


@pytest.mark.parametrize("neuron", [LI(), LIF(v_th=NEVER)], ids=str)
def test_impulse_response_without_synaptic_current_starts_one_step_later(neuron):
    u = potentials(single(neuron, impulse(50)))
    b = math.exp(-1.0 / 10.0)
    assert u.tolist() == pytest.approx([0.0] + [b ** (n - 1) for n in range(1, 50)], **EXACT)


def test_impulse_response_without_leak_stays():
    assert potentials(single(IF(v_th=2.0), impulse(6))).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_a_recurrent_spike_reaches_the_potential_two_steps_later_and_three_in_spytorchs_ordering():
    """Trap 1 of the orderings: a spike at n moves U[n + 2] (seed, stork) or U[n + 3] (SpyTorch tutorial 4)."""
    start = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    w_rec = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    first = {}
    for ordering in ("seed", "stork", "spytorch"):
        neuron = CubaLIF(ordering=ordering, reset="zero")
        state = (*start, torch.zeros(1, 2, dtype=torch.float64)) if ordering == "spytorch" else start
        trace = scan(
            neuron,
            torch.zeros(1, 6, 1, dtype=torch.float64),
            torch.zeros(2, 1, dtype=torch.float64),
            w_rec,
            state=state,
            spike=SuperSpike(),
            potentials=True,
        )
        assert trace.output[0, :, 0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        first[ordering] = int(trace.potentials[0, :, 1].nonzero()[0])
    assert first == {"seed": 2, "stork": 2, "spytorch": 3}


@pytest.mark.parametrize(
    ("tau_syn_ms", "tau_mem_ms", "dt_ms", "steps", "area", "square"),
    [
        (10.0, 20.0, 1.0, 200, 10.507353352192265, 1.841948059032449),
        (5.0, 10.0, 1.0, 100, 5.516128326479262, 1.0178053118486472),
        (10.0, 20.0, 2.0, 100, 11.032256652958525, 2.0356106236972944),
    ],
)
@pytest.mark.parametrize("cls", [CubaLI, CubaLIF])
def test_kernels_of_the_scaled_ordering_have_the_known_areas_K3(
    cls, tau_syn_ms, tau_mem_ms, dt_ms, steps, area, square
):
    threshold = {"v_th": NEVER} if cls.spiking else {}
    neuron = cls(tau_mem_ms=tau_mem_ms, tau_syn_ms=tau_syn_ms, dt_ms=dt_ms, ordering="stork", **threshold)
    u = potentials(single(neuron, impulse(1 + steps)))  # U[0] = 0 is read before the impulse
    assert float(u.sum()) * dt_ms == pytest.approx(area, rel=1e-12)
    assert float(u.square().sum()) * dt_ms == pytest.approx(square, rel=1e-12)
    whole = potentials(single(neuron, impulse(1500)))
    assert float(whole.sum()) * dt_ms == pytest.approx(dt_ms / (1.0 - math.exp(-dt_ms / tau_syn_ms)), rel=1e-12)


def constant_current(kind: str, reset: str, i0: float, steps: int = 400) -> Trace:
    """A current I0 from the first step on: as drive of a LIF, or as the state of a CubaLIF whose drive keeps it there."""
    if kind == "lif":
        return single(LIF(ordering="stork", reset=reset), [i0] * steps)
    neuron = CubaLIF(ordering="stork", reset=reset, tau_syn_ms=math.inf)
    current = torch.full((1, 1), i0, dtype=torch.float64)
    return single(neuron, [0.0] * steps, state=(current, torch.zeros(1, 1, dtype=torch.float64)))


@pytest.mark.parametrize("kind", ["lif", "cuba_lif"])
@pytest.mark.parametrize(("i0", "first", "count"), [(1.1, 24, 16), (1.5, 11, 33), (2.0, 7, 50), (5.0, 3, 100)])
def test_constant_current_with_reset_to_zero_has_the_known_spikes_K4(kind, i0, first, count):
    trace = constant_current(kind, "zero", i0)
    steps = spike_steps(trace)
    b = math.exp(-1.0 / 10.0)
    assert first == math.floor(math.log(1.0 - 1.0 / i0) / math.log(b)) + 1
    assert potentials(trace)[: first + 1].tolist() == pytest.approx(
        [i0 * (1 - b**n) for n in range(first + 1)], **EXACT
    )
    assert (steps[0], len(steps), set(intervals(steps))) == (first, count, {first + 1})


@pytest.mark.parametrize("kind", ["lif", "cuba_lif"])
@pytest.mark.parametrize(
    ("i0", "first", "start", "count"), [(2.0, 7, [8, 8, 8, 8, 7, 8], 51), (5.0, 3, [2, 3, 2, 3], 157)]
)
def test_constant_current_with_subtraction_has_the_known_spikes_K4(kind, i0, first, start, count):
    steps = spike_steps(constant_current(kind, "subtract", i0))
    assert (steps[0], intervals(steps)[: len(start)], len(steps)) == (first, start, count)


@pytest.mark.parametrize("kind", ["lif", "cuba_lif"])
@pytest.mark.parametrize(("reset", "interval"), [("zero", 2), ("subtract", 1)])
def test_strong_drive_shows_the_minimum_interval_K5(kind, reset, interval):
    assert set(intervals(spike_steps(constant_current(kind, reset, 50.0, steps=100)))) == {interval}


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_the_rate_rises_with_the_current_and_is_zero_at_rheobase(reset):
    currents = torch.linspace(0.5, 6.0, 45, dtype=torch.float64)
    trace = scan(
        LIF(ordering="stork", reset=reset),
        currents.repeat(1, 300, 1),
        torch.eye(45, dtype=torch.float64),
        spike=SuperSpike(),
    )
    counts = trace.output.sum(dim=1)[0]
    assert (counts.diff() >= 0).all()
    assert (counts[currents <= 1.0] == 0).all()
    assert (counts[currents >= 1.1] > 0).all()


@pytest.mark.parametrize(("dt_ms", "t_ms"), [(1.0, 6.0), (0.1, 6.5), (0.01, 6.47)])
def test_the_first_spike_converges_to_the_continuous_time_K13(dt_ms, t_ms):
    """tau_mem 20, tau_syn 10, w = 5: V = 1 at 6.470142623148936 ms in continuous time."""
    neuron = CubaLIF(tau_mem_ms=20.0, tau_syn_ms=10.0, dt_ms=dt_ms, ordering="stork", reset="zero")
    first = spike_steps(single(neuron, impulse(round(10.0 / dt_ms)), w_in=5.0))[0]
    assert (first - 1) * dt_ms == pytest.approx(t_ms, abs=1e-9)  # U[n] is read before input n acts: one step


@pytest.mark.parametrize("neuron", [IF(), LIF(), LIF(tau_mem_ms=2.0, ordering="stork"), CubaLIF()], ids=str)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_doubling_threshold_and_weights_changes_no_spike(neuron: AbstractNeuron, reset):
    """The unit of v is free; a reset that subtracts 1 instead of v_th would show here."""
    generator = torch.Generator().manual_seed(3)
    x = (torch.rand(4, 40, 6, generator=generator) < 0.3).double()
    w_in = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    w_rec = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    small = dataclasses.replace(neuron, reset=reset)
    large = dataclasses.replace(small, v_th=2.0 * small.v_th)
    one = scan(small, x, w_in, w_rec, spike=SuperSpike()).output
    two = scan(large, x, 2.0 * w_in, 2.0 * w_rec, spike=SuperSpike()).output
    assert one.sum() > 20
    assert torch.equal(one, two)
