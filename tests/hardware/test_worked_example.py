"""Known answers: a 700-256(rec)-20 network, T = 100, 1.5 % input and 8 % hidden activity, priced by hand on every target.

The numbers of ``ANSWERS`` are those of a published-price calculation made outside of this package, to the digits it gives.
The four int8 rows check less than the others: that calculation does not state the widths of state and address, and ours were
chosen to agree with it.
"""

import dataclasses

import pytest

from snnlightning.hardware import Band, Counts, Network, estimate, load, memory_prices
from snnlightning.metrics import SynOpsCounts

NETWORK = Network.chain(700, [256, 20])
BY_CONNECTION = {"hidden_0.w_in": 268_800.0, "hidden_0.w_rec": 524_288.0, "readout.w_in": 40_960.0}
MEASURED = SynOpsCounts(
    samples=1, total=834_048.0, by_layer={}, by_kind={}, by_connection=BY_CONNECTION, macs=0.0, neuron_updates=27_600.0,
    spikes={"hidden_0": 2048.0},
)  # fmt: skip
COUNTS = Counts.of(MEASURED, NETWORK, steps=100)

ANSWERS = (
    # profile, options, what, value, half of the last digit
    ("boyle2025_loihi", {}, "dynamic_uj", 32.6750, 5e-5),
    ("boyle2025_loihi", {}, "latency_ms", 1.616, 5e-4),
    ("boyle2025_loihi", {}, "static_uj", 48.0, 0.5),
    ("boyle2025_loihi", {"dt_ms": 1.0, "paced": True}, "static_uj", 2970.0, 5.0),
    ("davies2018_loihi", {}, "dynamic_uj", 21.93, 5e-3),
    ("davies2018_loihi", {}, "latency_ms", 1.40, 5e-3),
    ("davies2018_loihi", {}, "static_uj", 42.0, 0.5),
    ("kerasspiking_loihi", {}, "dynamic_uj", 24.84, 5e-3),
    ("davies2018_loihi2_bound", {}, "dynamic_uj", 21.93, 5e-3),
    ("davies2018_loihi2_bound", {}, "latency_ms", 0.298, 5e-4),
    ("meszaros2025_loihi2", {}, "all_in_uj", 57.0, 0.5),
    ("merolla2014_truenorth", {}, "all_in_uj", 21.7, 0.05),
    ("merolla2014_truenorth_chip", {"dt_ms": 1.0}, "all_in_uj", 6500.0, 50.0),
    # 11,811 is the sum of 11,093 and 718, each rounded; the sum of the two is 11,810.4.
    ("kerasspiking_spinnaker", {}, "dynamic_uj", 11_810.4, 0.05),
    ("kerasspiking_spinnaker2", {}, "dynamic_uj", 436.0, 0.5),
    ("kerasspiking_spinnaker2", {"dt_ms": 1.0}, "latency_ms", 100.0, 1e-9),
    ("cramer2022_brainscales2", {"dt_ms": 1.0}, "all_in_uj", 20.0, 1e-9),
    ("bos2024_xylo", {"dt_ms": 10.0}, "dynamic_uj", 291.0, 0.5),
    ("bos2024_xylo", {"dt_ms": 10.0}, "priced_uj", 510.0, 0.5),
    ("frenkel2019_odin_incremental", {}, "dynamic_uj", 7.0, 0.05),
    ("frenkel2019_odin", {}, "all_in_uj", 10.6, 0.05),
    ("frenkel2022_reckon", {}, "all_in_uj", 4.4, 0.05),
    ("horowitz2014_cmos45_naive", {}, "dynamic_uj", 0.751, 5e-4),
    ("horowitz2014_cmos45_int8", {}, "dynamic_uj", 4.18, 5e-3),
    ("horowitz2014_cmos45_int8", {"flow": "scatter"}, "dynamic_uj", 8.21, 5e-3),
    ("jouppi2021_cmos7_int8", {}, "dynamic_uj", 1.18, 5e-3),
    ("jouppi2021_cmos7_int8", {"flow": "scatter"}, "dynamic_uj", 4.20, 5e-3),
    ("nano33_cortex_m4", {}, "dynamic_uj", 1260.0, 0.5),
)
TWIN = (
    ("horowitz2014_cmos45_naive", 114.9, 0.05),
    ("horowitz2014_cmos45_int8", 121.6, 0.05),
    ("jouppi2021_cmos7_int8", 32.1, 0.05),
    ("nvidia2022_h100", 35.4, 0.05),
    ("nvidia2020_a100", 64.1, 0.05),
    ("nano33_cortex_m4", 8095.0, 0.5),
)


def test_counts_are_those_of_the_example():
    assert COUNTS.synops_total == 834_048
    assert COUNTS.input_events == 1050
    assert COUNTS.neuron_updates == COUNTS.active == 27_600
    assert NETWORK.synapses_total == 249_856
    assert COUNTS.dense_twin().macs == 24_985_600
    assert COUNTS.synops_total / NETWORK.synapses_total == pytest.approx(3.34, abs=5e-3)


@pytest.mark.parametrize(("profile", "options", "what", "value", "digit"), ANSWERS)
def test_every_row_to_its_digits(profile, options, what, value, digit):
    assert getattr(estimate(COUNTS, profile, **options), what).nominal == pytest.approx(value, rel=0, abs=digit)


@pytest.mark.parametrize(("profile", "value", "digit"), TWIN)
def test_the_dense_twin_to_its_digits(profile, value, digit):
    assert estimate(COUNTS.dense_twin(), profile).dynamic_uj.nominal == pytest.approx(value, rel=0, abs=digit)


@pytest.mark.parametrize(
    ("profile", "flow", "ratio", "digit"),
    [
        ("horowitz2014_cmos45_naive", "row", 153, 0.5),
        ("horowitz2014_cmos45_int8", "row", 29, 0.5),
        ("horowitz2014_cmos45_int8", "scatter", 15, 0.5),
        ("jouppi2021_cmos7_int8", "row", 27, 0.5),
        # 7.6 is 32.1 / 4.20, both rounded; unrounded 7.65.
        ("jouppi2021_cmos7_int8", "scatter", 7.64, 0.02),
    ],
)
def test_the_ratio_falls_from_153_to_8_with_memory(profile, flow, ratio, digit):
    twin = estimate(COUNTS.dense_twin(), profile, flow=flow).dynamic_uj.nominal
    assert twin / estimate(COUNTS, profile, flow=flow).dynamic_uj.nominal == pytest.approx(ratio, abs=digit)


def test_fitted_loihi_terms():
    terms = {term.name: term for term in estimate(COUNTS, "boyle2025_loihi").terms}
    assert terms["synop_pj"].energy_uj.nominal == pytest.approx(29.61, abs=5e-3)
    neurons = ("neuron_access_pj", "neuron_update_pj", "spike_pj")
    assert sum(terms[name].energy_uj.nominal for name in neurons) == pytest.approx(2.15, abs=5e-3)
    assert terms["message_pj"].count == 8244
    assert terms["message_pj"].energy_uj.nominal == pytest.approx(0.915, abs=5e-4)
    assert terms["hop_ew_pj"].count == terms["hop_ns_pj"].count == 0


def test_loihi_placement():
    placement = estimate(COUNTS, "boyle2025_loihi").placement
    assert [(core.layer, core.neurons) for core in placement.cores] == [
        ("input", 700), ("hidden_0", 128), ("hidden_0", 128), ("readout", 20),
    ]  # fmt: skip
    assert placement.tiles == 1
    assert placement.memory_bits["hidden_0"] / 1_048_576 == pytest.approx(0.992, abs=5e-4)


def test_the_terms_before_silicon():
    terms = {term.name: term.energy_uj.nominal for term in estimate(COUNTS, "davies2018_loihi").terms}
    assert terms["synop_pj"] == pytest.approx(19.68, abs=5e-3)
    assert terms["neuron_access_pj"] + terms["neuron_update_pj"] == pytest.approx(2.24, abs=5e-3)
    assert terms["message_pj"] == pytest.approx(0.014, abs=5e-4)


def test_odin_at_biological_rates_is_the_upper_end_of_its_band():
    assert estimate(COUNTS, "frenkel2019_odin").all_in_uj.high == pytest.approx(45.0, abs=0.5)


def test_spinnaker_holds_it_on_two_to_four_cores_as_far_as_its_limits_are_known():
    result = estimate(COUNTS, "kerasspiking_spinnaker", dt_ms=1.0)
    assert 2 <= len(result.placement.cores) <= 4
    assert not result.walls
    assert result.fits is None
    assert "synapses" in result.unchecked


def test_dynap_se_by_hand():
    """834,048 x 26 + 2,048 x (260 + 507) + (1,050 + 2 x 2,048) x (2,200 + 78) pJ: 34.98 uJ.

    Differs: 37.7 uJ elsewhere, from the same recalled prices with a split of events that is not stated.
    """
    assert estimate(COUNTS, "moradi2018_dynapse").dynamic_uj.nominal == pytest.approx(34.979, abs=5e-4)


WALLS = {
    "merolla2014_truenorth": {"fan_in", "weight_bits"},
    "cramer2022_brainscales2": {"fan_in", "weight_bits"},
    "bos2024_xylo": {"inputs"},
    "moradi2018_dynapse": {"fan_in"},
    "frenkel2019_odin": {"inputs", "fan_in", "weight_bits"},
    "frenkel2022_reckon": {"inputs", "outputs"},
    "yao2024_speck": {"recurrent_connections"},
}


@pytest.mark.parametrize("profile", WALLS)
def test_what_does_not_fit(profile):
    result = estimate(COUNTS, profile)
    assert result.fits is False
    assert {wall.name for wall in result.walls} == WALLS[profile]
    # 700 inputs and 256 recurrent neurons come into each neuron of the layer.
    needed = {"fan_in": 956, "inputs": 700, "outputs": 20}
    assert all(wall.needed == needed[wall.name] for wall in result.walls if wall.name in needed)


@pytest.mark.parametrize(
    "profile", ["boyle2025_loihi", "davies2018_loihi", "kerasspiking_loihi", "davies2018_loihi2_bound"]
)
def test_what_fits(profile):
    assert estimate(COUNTS, profile).fits is True


def test_what_is_unchecked_does_not_pass():
    result = estimate(COUNTS, "ma2024_darwin3")
    assert result.fits is None
    assert {"fan_in", "neurons", "synapses"} <= set(result.unchecked)


def test_speck_has_no_price_and_says_so():
    result = estimate(COUNTS, "yao2024_speck")
    assert result.dynamic_uj is None
    assert "dynamic" in result.not_priced


def test_host_is_reported_apart():
    result = estimate(COUNTS, "boyle2025_loihi")
    assert result.host_uj.nominal == pytest.approx(66.6 * result.latency_ms.nominal)
    parts = [result.dynamic_uj, result.static_uj, result.host_uj]
    assert result.priced_uj == Band.sum(parts)


def test_bands_follow_the_error_of_the_set():
    dynamic = estimate(COUNTS, "boyle2025_loihi").dynamic_uj
    assert dynamic.low / dynamic.nominal == pytest.approx(1 - 0.117, abs=1e-5)
    assert dynamic.high / dynamic.nominal == pytest.approx(1 + 0.117, abs=1e-5)


def test_memory_prices_are_the_formula():
    prices = memory_prices(load("horowitz2014_cmos45_int8"), NETWORK, "scatter")
    weight_pj = (20 + 80 * (244 - 32) / (1024 - 32)) / 8
    assert prices["synop"].nominal == pytest.approx(0.03 + weight_pj + 2 * 2.5)
    assert prices["mac"].nominal == pytest.approx(0.23 + weight_pj)


def test_by_layer_adds_up_to_the_terms():
    for profile in ("boyle2025_loihi", "frenkel2019_odin", "horowitz2014_cmos45_int8"):
        result = estimate(COUNTS, profile)
        total = result.all_in_uj or result.dynamic_uj
        assert sum(band.nominal for band in result.by_layer_uj.values()) == pytest.approx(total.nominal, rel=1e-12)


def test_fewer_active_neurons_cost_less():
    half = dataclasses.replace(COUNTS, active_updates=13_800.0)
    saved = (
        estimate(COUNTS, "davies2018_loihi").dynamic_uj.nominal - estimate(half, "davies2018_loihi").dynamic_uj.nominal
    )
    assert saved == pytest.approx(13_800 * 29e-6)
