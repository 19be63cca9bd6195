"""What repeated trainings say of a front: intervals, who probably beats whom, what half of all searches attain."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from snnlightning.errors import ShapeError
from snnlightning.pareto import attainment
from snnlightning.study import Study
from snnlightning.study.files import read_json, read_yaml
from snnlightning.study.finalists import choose_finalists
from snnlightning.study.jobs import SweptPoint
from snnlightning.study.truth import Interval, interval, probability_no_worse

from .conftest import complete_row, config, front


def test_the_interval_is_students() -> None:
    """By hand: mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776."""
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3.0
    assert found.high - 3.0 == pytest.approx(2.776 * math.sqrt(2.5 / 5))
    assert interval([0.7]).high == math.inf, "one seed says nothing of the next"
    many = interval([0.0, 1.0] * 500)
    assert many.high - many.mean == pytest.approx(1.96 * many.standard_error)


def test_who_beats_whom_is_a_matter_of_noise() -> None:
    def known(error: float, ops: float, spread: float) -> dict[str, Interval]:
        return {"error": Interval(error, 0, 0, spread), "ops": Interval(ops, 0, 0, spread)}

    assert probability_no_worse(known(1, 1, 0.0), known(2, 2, 0.0)) == 1.0
    assert probability_no_worse(known(2, 1, 0.0), known(1, 2, 0.0)) == 0.0
    assert probability_no_worse(known(1, 1, 1.0), known(1, 1, 1.0)) == pytest.approx(0.25)
    # One standard error of the difference apart in both: Phi(1)^2.
    assert probability_no_worse(known(0, 0, 1 / math.sqrt(2)), known(1, 1, 1 / math.sqrt(2))) == pytest.approx(
        0.8413447**2, abs=1e-6
    )


def test_attainment_surfaces_by_hand() -> None:
    fronts = [[(1.0, 3.0), (2.0, 1.0)], [(1.0, 2.0)], [(3.0, 0.0)], []]
    assert attainment(fronts, 0.25) == [(1.0, 2.0), (2.0, 1.0), (3.0, 0.0)]
    assert attainment(fronts, 0.5) == [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]
    assert attainment(fronts, 0.75) == [(3.0, 2.0)]
    assert attainment(fronts, 1.0) == []
    with pytest.raises(ShapeError, match="two objectives"):
        attainment([[(1.0, 2.0, 3.0)]], 0.5)
    with pytest.raises(ShapeError, match="at least one"):
        attainment([], 0.5)


def test_finalists_are_the_front_and_what_one_standard_error_keeps_from_it() -> None:
    """sqrt(0.9 * 0.1 / 100) = 0.03: of two dominated trials, the one 0.02 behind could be luck, the one 0.05 behind not."""
    rows = [
        complete_row(0, 0.90, 100.0),
        complete_row(1, 0.88, 110.0),
        complete_row(2, 0.85, 120.0),
        complete_row(3, 0.5, 50.0),
    ]

    def numbers(samples: int, limit: int) -> list[int]:
        return [point.row.number for point in choose_finalists(rows, config(), samples, limit)]

    assert numbers(100, 12) == [0, 3, 1]
    assert numbers(100, 2) == [0, 3], "those of the front first"
    assert numbers(0, 12) == [0, 3], "nobody knows how many samples there are"


def test_of_a_trial_beside_the_front_the_most_accurate_network_that_may_belong_to_it_is_a_finalist() -> None:
    """Its own is too far behind; of its sweep one is within a standard error, another too, and a third is not."""
    found = [(0.875, 98.5), (0.88, 99.0), (0.5, 60.0)]
    swept = tuple(
        SweptPoint(stop_step=4 + k, prune=0.5, values={"accuracy": accuracy, "synops": synops})
        for k, (accuracy, synops) in enumerate(found)
    )
    rows = [
        complete_row(0, 0.90, 98.0),
        dataclasses.replace(complete_row(1, 0.86, 150.0), swept=swept),
        complete_row(2, 0.85, 90.0),
        complete_row(3, 0.6, 50.0),
    ]
    chosen = choose_finalists(rows, config(), 100, 12)
    assert [(point.row.number, point.kind) for point in chosen[-1:]] == [(1, "swept")]
    assert chosen[-1].values == {"accuracy": 0.88, "synops": 99.0}
    assert [point.row.number for point in chosen] == [0, 2, 3, 1]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["plain", "inherit"])
def test_finalists_are_trained_anew_and_reported_beside_what_was_claimed(policy: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"name": policy, "sweep": {"prune": [0.0, 0.5], "stop_steps": 2}}
    settings |= {"short_epochs": 1, "start": 0.5, "fresh": 0.0} if policy == "inherit" else {}
    study = Study(config(policy=settings, trials=3, final_seeds=3, chance_margin=0.0), tmp_path / "study")
    study.run(workers=0)
    found = front(study.directory)
    assert set(found["hypervolume"]) == {"validation", "test", "fresh"}
    for one in found["finalists"]:
        shares, operations = one["test"]["accuracy"], one["test"]["synops"]
        assert 0.0 <= shares["low"] <= shares["mean"] <= shares["high"] <= 1.0
        assert 0.0 <= operations["low"] <= operations["mean"] <= operations["high"]
    assert {(p["number"], str(p["sweep"])) for p in found["points"]} <= {
        (f["number"], str(f["sweep"])) for f in found["finalists"] if f["on_front"]
    }
    number = found["finalists"][0]["number"]
    trials = [read_yaml(study.directory / f"replays/{k}/trials/{number}/config.yaml") for k in range(3)]
    seeds = {trial["seed"] for trial in trials} | {read_yaml(study.directory / f"trials/{number}/config.yaml")["seed"]}
    assert len(seeds) == 4
    before = {file: file.stat().st_mtime_ns for file in study.directory.glob("replays/*/trials/*/result.json")}
    Study.open(study.directory).run(workers=0)
    assert before == {file: file.stat().st_mtime_ns for file in before}, "what is done is not done again"
    assert front(study.directory) == found
    assert not list(study.directory.glob("replays/*/trials/*/last.ckpt")), "nothing goes on from the end of a replay"
    child = next((row for row in study.rows() if row.lineage), None)
    assert (child is not None) == (policy == "inherit")
    if child is not None:  # its ancestors' states are gone, and it can still be trained anew
        results = [study.directory / f"replays/0/trials/{child.number}/{name}" for name in ("result.json", "test.json")]
        held = [read_json(file) for file in results]
        for file in results:
            file.unlink()
        again = Study.open(study.directory)
        again.run(workers=0)
        assert again.notes == []
        assert read_json(results[1]) == held[1]
        assert read_json(results[0])["metrics"] == held[0]["metrics"]
    charged = sum(row.charged for row in study.rows())
    assert charged == pytest.approx(sum(r["epochs"] for r in map(vars, study.rows())), abs=3.0), (
        "replays are not charged"
    )
    assert read_json(study.directory / f"replays/0/trials/{number}/result.json")["epochs"] >= 1
