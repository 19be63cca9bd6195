"""Properties of estimates: linear in counts, bands in order, gaps named, latency and limits as the formulas say."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnlightning.errors import ConfigurationError
from snnlightning.hardware import Counts, Network, available, estimate, load, place

NETWORK = Network.chain(40, [64, 32, 10], [True, False, False])
TERMS = tuple(
    name for name in available() if load(name).price("dynamic_mw") is None and load(name).price("chip_mw") is None
)
whole = st.integers(0, 10**6)


@st.composite
def counted(draw):
    """Counts that the network could have made."""
    events = {"input": draw(whole), "hidden_0": draw(whole), "hidden_1": draw(whole)}
    synops = {m.name: float(events[m.source] * NETWORK.size(m.target)) for m in NETWORK.synapses}
    spikes = {name: float(events[name]) for name in ("hidden_0", "hidden_1")}
    return Counts(
        50, synops, float(50 * NETWORK.neurons), spikes, float(draw(whole)), float(events["input"]), None, NETWORK
    )


def combined(one, other, factor):
    """one + factor x other, without the checks that belong to one network over T steps."""
    add = lambda a, b: a + factor * b  # noqa: E731
    return dataclasses.replace(
        one,
        synops={k: add(one.synops[k], other.synops[k]) for k in one.synops},
        spikes={k: add(one.spikes[k], other.spikes[k]) for k in one.spikes},
        macs=add(one.macs, other.macs),
        input_events=add(one.input_events, other.input_events),
        steps=one.steps * (1 + factor),
        neuron_updates=add(one.neuron_updates, other.neuron_updates),
    )


def energy(counts, profile):
    result = estimate(counts, profile)
    band = result.all_in_uj if result.all_in_uj is not None else result.dynamic_uj
    return 0.0 if band is None else band.nominal


@pytest.mark.parametrize("profile", TERMS)
@given(one=counted(), other=counted(), factor=st.integers(1, 9))
def test_energy_is_linear_in_the_counts(profile, one, other, factor):
    expected = energy(one, profile) + factor * energy(other, profile)
    assert energy(combined(one, other, factor), profile) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("profile", [name for name in TERMS if not load(name).has_memory])
def test_twice_the_counts_cost_exactly_twice(profile):
    one = Counts(50, {"a": 12_345.0}, 0.0, {"a": 77.0}, 31.0)
    two = Counts(50, {"a": 24_690.0}, 0.0, {"a": 154.0}, 62.0)
    assert energy(two, profile) == 2 * energy(one, profile)


@pytest.mark.parametrize("profile", available())
@given(counts=counted())
def test_bands_are_in_order_and_results_go_into_json(profile, counts):
    result = estimate(counts, profile, dt_ms=1.0)
    for band in (result.all_in_uj, result.dynamic_uj, result.static_uj, result.host_uj, result.latency_ms):
        assert band is None or 0 <= band.low <= band.nominal <= band.high
    assert (result.all_in_uj is None) or (result.dynamic_uj is result.static_uj is result.host_uj is None)
    assert json.loads(json.dumps(result.as_dict()))["profile"] == profile


@pytest.mark.parametrize("profile", available())
def test_whatever_has_no_price_is_named(profile):
    """Each energy is there, or not_priced says that it is not."""
    counts = Counts(50, {"a": 100.0}, 50.0, {"a": 5.0}, 7.0)
    if load(profile).has_memory:
        with pytest.raises(ConfigurationError, match="prices memory by its size; give Counts a network"):
            estimate(counts, profile)
        return
    result = estimate(counts, profile)
    prices = load(profile)
    if not prices.is_all_in:
        for part in ("dynamic", "static", "host"):
            assert getattr(result, f"{part}_uj") is not None or any(g.startswith(part) for g in result.not_priced), part
    if prices.price("mac_pj") is None and prices.price("dynamic_mw") is None and prices.price("chip_mw") is None:
        assert any(gap.startswith("mac_pj") for gap in result.not_priced)
    assert result.fits is not True or set(prices.unlimited) >= {"fan_in", "neurons"}


def test_latency_is_the_slowest_core_and_not_the_sum():
    synops = {"hidden_0.w_in": 0.0, "hidden_1.w_in": 6400.0, "readout.w_in": 0.0, "hidden_0.w_rec": 12_800.0}
    counts = Counts(50, synops, 50.0 * 106, {"hidden_0": 200.0, "hidden_1": 0.0}, 0.0, 0.0, None, NETWORK)
    slowest = estimate(counts, "boyle2025_loihi").latency_ms.nominal
    step_ns = 600 + (200 * 16 + 12_800 * 3.8) / 50
    assert slowest == pytest.approx(50 * step_ns * 1e-6)


def test_a_paced_chip_waits_and_one_that_is_too_slow_misses_the_deadline():
    counts = Counts(10, {"readout.w_in": 1e6}, 100.0, {}, 0.0, 1e5, None, Network.chain(10, [10]))
    free = estimate(counts, "davies2018_loihi")
    assert estimate(counts, "davies2018_loihi", dt_ms=1.0, paced=True).latency_ms.nominal == pytest.approx(10.0)
    late = estimate(counts, "davies2018_loihi", dt_ms=0.1, paced=True)
    assert late.latency_ms == free.latency_ms
    assert [budget.name for budget in late.budgets] == ["deadline"]


def test_a_measured_latency_replaces_the_model():
    counts = Counts(10, {"a": 1.0}, 10.0)
    result = estimate(counts, "blouw2019_loihi_system", latency_ms=6.65)
    assert result.static_uj.nominal == pytest.approx(29.7 * 6.65)
    assert result.host_uj.nominal == pytest.approx(66.6 * 6.65)


def test_neurons_that_listen_to_too_much_are_a_wall_and_too_many_are_a_budget():
    wide = Network.chain(5000, [10])
    counts = Counts(1, {"readout.w_in": 0.0}, 10.0, {}, 0.0, 0.0, None, wide)
    result = estimate(counts, "davies2018_loihi")
    assert [wall.name for wall in result.walls] == ["in_axons_per_core"]
    many = Network.chain(4000, [40_000, 10], [False, False])
    counts = Counts(1, {"hidden_0.w_in": 0.0, "readout.w_in": 0.0}, 40_010.0, {"hidden_0": 0.0}, 0.0, 0.0, None, many)
    assert "cores" in [budget.name for budget in estimate(counts, "davies2018_loihi").budgets]


def test_messages_cross_tiles():
    """Nine cores on three tiles in a square of two by two: hops are Manhattan distances."""
    network = Network.chain(10, [1024, 512], [False, False])
    placement = place(network, load("davies2018_loihi"))
    assert placement.tiles == -(-len(placement.cores) // 4)
    counts = Counts(
        1, {"hidden_0.w_in": 0.0, "readout.w_in": 512.0}, 1536.0, {"hidden_0": 1.0}, 0.0, 0.0, None, network
    )
    terms = {term.name: term.count for term in estimate(counts, "davies2018_loihi").terms}
    here, there = placement.of("hidden_0"), placement.of("readout")
    by_hand = sum(abs(a.x - b.x) * a.neurons / 1024 for a in here for b in there)
    assert terms["message_pj"] == len(there)
    assert terms["hop_ew_pj"] == pytest.approx(by_hand)


def test_unknown_input_events_leave_messages_unpriced():
    counts = Counts(1, {"readout.w_in": 5.0}, 10.0, network=Network.chain(10, [10]))
    result = estimate(counts, "boyle2025_loihi")
    assert any(gap.startswith("message_pj") for gap in result.not_priced)
    assert result.latency_ms is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt_ms": 0.0}, "dt_ms is 0.0; it must be greater than 0"),
        ({"dt_ms": float("nan")}, "dt_ms is nan"),
        ({"latency_ms": float("inf")}, "latency_ms is inf; a finite number is expected"),
        ({"paced": True}, "paced without dt_ms"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        estimate(Counts(10, {"a": 1.0}, 10.0), "davies2018_loihi", **options)


def test_an_unknown_flow_is_refused():
    counts = Counts(1, {"readout.w_in": 5.0}, 10.0, network=Network.chain(10, [10]))
    with pytest.raises(ConfigurationError, match="flow is 'column'; row or scatter"):
        estimate(counts, "horowitz2014_cmos45_int8", flow="column")
