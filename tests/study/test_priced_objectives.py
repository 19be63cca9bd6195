"""Objectives on named hardware: energy, latency and footprint in a study, and networks that do not fit a chip."""

import re
from pathlib import Path
from typing import Any

import pytest

from snnlightning.errors import ConfigurationError, UnknownNameError
from snnlightning.study import Study, StudyConfig
from snnlightning.study.objectives import EnergyPj, LatencyMs

from .conftest import config, front, outcomes, tiny

PRICED = [
    {"name": "accuracy", "reference": 0.2},
    {"name": "energy_pj@davies2018_loihi", "reference": 1e9},
    {"name": "latency_ms@davies2018_loihi"},
    {"name": "footprint_bytes"},
]


def run(directory: Path, workers: int = 0, **changes: Any) -> dict[str, Any]:
    return Study(config(**changes), directory).run(workers)


def test_a_study_reads_energy_latency_and_footprint_of_every_trial(tmp_path: Path) -> None:
    found = run(tmp_path / "s", objectives=PRICED, trials=3)
    names = [item["name"] for item in PRICED]
    for row in outcomes(tmp_path / "s"):
        assert row["state"] in ("complete", "infeasible")
        assert all(float(row[name]) > 0 for name in names[1:])
    assert list(found["directions"]) == names
    assert found["directions"]["energy_pj@davies2018_loihi"] == "minimize"
    for point in found["points"]:
        assert point["test"]["energy_pj@davies2018_loihi"] > 0
        assert point["test"]["footprint_bytes"] == point["values"]["footprint_bytes"]


def test_two_workers_and_none_price_alike_and_a_study_is_taken_up_again(tmp_path: Path) -> None:
    run(tmp_path / "a", objectives=PRICED, trials=4)
    run(tmp_path / "b", workers=2, objectives=PRICED, trials=2)
    again = Study.open(tmp_path / "b")
    assert again.config.raw["objectives"][1]["name"] == "energy_pj@davies2018_loihi"
    run(tmp_path / "b", workers=2, objectives=PRICED, trials=4)
    assert outcomes(tmp_path / "a")[:2] == outcomes(tmp_path / "b")[:2]
    assert len(outcomes(tmp_path / "b")) == 4


def test_a_network_that_does_not_fit_the_chip_is_infeasible_with_the_limits_it_passes(tmp_path: Path) -> None:
    objectives = [{"name": "accuracy"}, {"name": "energy_pj@merolla2014_truenorth"}]
    assert run(tmp_path / "s", objectives=objectives, trials=2, chance_margin=0.0)["points"] == []
    for row in outcomes(tmp_path / "s"):
        assert row["state"] == "infeasible"
        assert re.search(r"does not fit merolla2014_truenorth: weight_bits 8 > 1", row["reason"]), row["reason"]
    assert front(tmp_path / "s")["points"] == []


def test_the_precision_of_the_chip_lets_a_network_fit(tmp_path: Path) -> None:
    model = tiny()["model"]
    wide = [{"name": "accuracy"}, {"name": "energy_pj@frenkel2019_odin"}]
    reasons = []
    for bits in (8, 3):
        arguments = {**model["init_args"], "quantization": {"weight_bits": bits}}
        run(tmp_path / str(bits), objectives=wide, trials=1, model={**model, "init_args": arguments})
        reasons.append(outcomes(tmp_path / str(bits))[0]["reason"])
    assert "weight_bits 8 > " in reasons[0]
    assert "weight_bits" not in reasons[1]


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ([{"name": "energy_pj"}], r"energy_pj needs a chip: write energy_pj@PROFILE, such as energy_pj@davies2018_loihi"),
        ([{"name": "energy_pj@"}], r"energy_pj needs a chip"),
        ([{"name": "accuracy@davies2018_loihi"}], r"accuracy does not depend on a chip.*energy_pj, latency_ms"),
        ([{"name": "energy@davies2018_loihi"}], r"no objective named 'energy'.*energy_pj"),
        ([{"name": "energy_pj@davies2018_loihi", "profile": "x"}], r"unknown key 'objectives\.energy_pj@davies2018_loihi\.profile'"),
        ([{"name": "energy_pj@davies2018_loihi", "reference": "many"}], r"objective energy_pj@davies2018_loihi: reference is 'many'"),
        ([{"name": "accuracy", "at_least": 90}], r"objective accuracy: at_least is 90; a share from 0 to 1 is expected, 0\.9 for 90 %"),
    ],
)  # fmt: skip
def test_objectives_that_cannot_be_are_said_in_one_sentence(objectives: list[dict[str, Any]], message: str) -> None:
    with pytest.raises((ConfigurationError, UnknownNameError), match=message):
        StudyConfig.parse(tiny(objectives=objectives))


def test_a_reference_may_be_written_as_yaml_does_not_read_it() -> None:
    """1.0e8 is text to YAML, which asks for a sign; the number is meant."""
    study = StudyConfig.parse(tiny(objectives=[{"name": "accuracy"}, {"name": "synops", "reference": "1.0e8"}]))
    assert study.objectives["synops"].reference == 1e8


def test_a_profile_that_there_is_not_names_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"davies2018_lohi.*davies2018_loihi"):
        StudyConfig.parse(tiny(objectives=[{"name": "accuracy"}, {"name": "energy_pj@davies2018_lohi"}]))


def test_a_quantity_that_the_profile_does_not_give_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    objectives = [{"name": "accuracy"}, {"name": "latency_ms@horowitz2014_cmos45_int8"}]
    with pytest.raises(ConfigurationError, match=r"latency_ms@horowitz2014_cmos45_int8: .* does not give it"):
        run(tmp_path / "s", objectives=objectives)
    assert not (tmp_path / "s").exists()


def test_latencies_below_a_millisecond_are_told_apart_on_a_log_axis() -> None:
    latency, energy = LatencyMs(profile="davies2018_loihi"), EnergyPj(profile="davies2018_loihi")
    assert latency.cost(0.01) < latency.cost(0.1) < latency.cost(1.0)
    assert energy.cost(0.1) == energy.cost(1.0) < energy.cost(10.0)
