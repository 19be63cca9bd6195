"""Baselines: the worked example's ratios to their digits, static inputs, and what is not priced is not compared."""

import json

import pytest

from snnlightning.errors import ConfigurationError
from snnlightning.hardware import YARDSTICKS, Counts, Network, baselines, quantised_bits

SYNOPS = {"hidden_0.w_in": 268_800.0, "hidden_0.w_rec": 524_288.0, "readout.w_in": 40_960.0}
NETWORK = Network.chain(700, [256, 20])
COUNTS = Counts(100, SYNOPS, 27_600.0, {"hidden_0": 2048.0}, 0.0, 1050.0, None, NETWORK)
ROWS = {(row.profile, row.flow): row for row in baselines(COUNTS)}
ANSWERS = (
    # profile, flow, spiking, artificial, half of the last digit of each, ratio, its last digit
    ("horowitz2014_cmos45_naive", "", 0.751, 114.9, 5e-4, 0.05, 153, 0.5),
    ("horowitz2014_cmos45_int8", "row", 4.18, 121.6, 5e-3, 0.05, 29, 0.5),
    ("horowitz2014_cmos45_int8", "scatter", 8.21, 121.6, 5e-3, 0.05, 15, 0.5),
    ("jouppi2021_cmos7_int8", "row", 1.18, 32.1, 5e-3, 0.05, 27, 0.5),
    # 7.6 is 32.1 / 4.20, both rounded; unrounded 7.65.
    ("jouppi2021_cmos7_int8", "scatter", 4.20, 32.1, 5e-3, 0.05, 7.64, 0.02),
    ("nano33_cortex_m4", "", 1260.0, 8095.0, 0.5, 0.5, 6.43, 0.01),
)


@pytest.mark.parametrize(("profile", "flow", "snn", "ann", "snn_digit", "ann_digit", "ratio", "digit"), ANSWERS)
def test_every_yardstick_to_its_digits(profile, flow, snn, ann, snn_digit, ann_digit, ratio, digit):
    row = ROWS[profile, flow]
    assert row.snn_uj.nominal == pytest.approx(snn, abs=snn_digit)
    assert row.ann_uj.nominal == pytest.approx(ann, abs=ann_digit)
    assert row.ratio == pytest.approx(ratio, abs=digit)
    assert (row.network, row.activation_bits, row.macs) == ("RNN", 8, 24_985_600)


@pytest.mark.parametrize(("profile", "floor"), [("nvidia2022_h100", 35.4), ("nvidia2020_a100", 64.1)])
def test_a_gpu_is_a_floor_without_a_ratio(profile, floor):
    """Nobody publishes what a spike costs on it, so there is no ratio."""
    row = ROWS[profile, ""]
    assert row.ann_uj.nominal == pytest.approx(floor, abs=0.05)
    assert row.snn_uj is None
    assert row.ratio is None


def test_all_yardsticks_are_there_and_go_into_json():
    assert {profile for profile, _ in ROWS} == set(YARDSTICKS)
    plain = json.loads(json.dumps([row.as_dict() for row in ROWS.values()]))
    assert plain[0]["ratio"] == pytest.approx(153, abs=0.5)


def test_a_static_input_needs_one_pass_and_few_bits():
    rows = baselines(COUNTS, static_input=True, profiles=["horowitz2014_cmos45_int8"])
    quantised = [row for row in rows if row.network == "QNN"]
    assert [row.activation_bits for row in quantised] == [7, 7]
    assert [row.macs for row in quantised] == [249_856.0] * 2
    whole = next(row for row in rows if row.network == "RNN")
    assert whole.ann_uj.nominal == pytest.approx(100 * quantised[0].ann_uj.nominal)


@pytest.mark.parametrize(("steps", "bits"), [(1, 1), (3, 2), (4, 3), (6, 3), (16, 5), (255, 8), (256, 9)])
def test_a_quantised_activation_carries_as_much_as_the_steps(steps, bits):
    assert quantised_bits(steps) == bits


def test_fewer_artificial_steps_cost_less_in_proportion():
    """A baseline that needs 20 frames where the spiking network takes 100 steps."""
    (few,) = baselines(COUNTS, ann_steps=20, profiles=["horowitz2014_cmos45_naive"])
    assert few.ann_uj.nominal == pytest.approx(ROWS["horowitz2014_cmos45_naive", ""].ann_uj.nominal / 5)
    assert few.snn_uj == ROWS["horowitz2014_cmos45_naive", ""].snn_uj


def test_a_silent_network_has_no_ratio():
    silent = Counts(100, dict.fromkeys(SYNOPS, 0.0), 27_600.0, {}, 0.0, 0.0, None, NETWORK)
    (row,) = baselines(silent, profiles=["horowitz2014_cmos45_naive"])
    assert row.ratio is None


def test_what_is_no_yardstick_is_refused():
    with pytest.raises(
        ConfigurationError, match="davies2018_loihi prices no multiply-accumulates, so it is no yardstick"
    ):
        baselines(COUNTS, profiles=["davies2018_loihi"])
    with pytest.raises(ConfigurationError, match="merolla2014_truenorth prices no multiply-accumulates"):
        baselines(COUNTS, profiles=["merolla2014_truenorth"])
    with pytest.raises(ConfigurationError, match="give Counts a network"):
        baselines(Counts(1, {"a": 1.0}, 1.0))
    with pytest.raises(ConfigurationError, match="steps is 0"):
        baselines(COUNTS, ann_steps=0)


def test_operations_per_synapse_are_those_that_break_even_points_are_given_in():
    assert COUNTS.spikes_per_synapse == pytest.approx(3.34, abs=5e-3)
    assert COUNTS.spikes_per_synapse / COUNTS.steps == pytest.approx(0.033, abs=5e-4)
    assert Counts(1, {"a": 1.0}, 1.0).spikes_per_synapse is None
