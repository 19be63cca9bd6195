"""The comparison of searches says what the results say: levels, ratios, tests and verdicts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from benchmarks.search.comparing import curves, mann_whitney, ratio
from benchmarks.search.page import page
from benchmarks.search.picture import picture
from benchmarks.search.pruned import pruned_search
from benchmarks.search.tasks import CODE

from .conftest import config


def run(arm: str, seed: int, curve: list[tuple[float, float]]) -> dict[str, Any]:
    """A search as a line of results, whose four hypervolumes are all the same."""
    values = {"accuracy": 0.9, "synops": 100.0 + seed}
    return {
        "task": "digits",
        "arm": arm,
        "seed": seed,
        "budget": 80,
        "epochs": 16,
        "trials": 5,
        "failed": 0,
        "cpu_seconds": 1.0,
        "curve": [[spent, volume, volume, volume, volume] for spent, volume in curve],
        "front": [{"kind": "trained", "validation": values, "test": values}],
        "versions": dict.fromkeys(("python", "torch", "lightning", "optuna", "numpy", "platform"), "1"),
    }


def searches(late: float = 1.0) -> dict[str, list[dict[str, Any]]]:
    """TPE comes to about 1.0 at the end; inherit to 1.1 after so much of a quarter of the budget."""
    return {
        "TPE": [run("TPE", seed, [(16, 0.5), (70, 1.0 + 0.001 * seed)]) for seed in range(4)],
        "inherit": [run("inherit", seed, [(20 * late, 1.1 + 0.001 * seed)]) for seed in range(4)],
    }


def test_a_curve_is_zero_before_the_first_network_and_holds_its_last_level() -> None:
    table = curves([run("TPE", 0, [(15.2, 0.5), (90.0, 0.7)])], 0, 80)
    assert table.shape == (1, 81)
    assert table[0, 15] == 0.0
    assert table[0, 16] == table[0, 79] == 0.5
    assert table[0, 80] == 0.7, "what was running when the budget ended counts at its end"


def test_the_ratio_is_the_budget_over_the_epochs_to_the_target() -> None:
    rows = searches()
    baseline, arm = (curves(rows[name], 0, 80) for name in ("TPE", "inherit"))
    assert ratio(arm, baseline) == (4.0, 4.0, 4.0)
    assert ratio(np.full((3, 81), 0.9), baseline) == (0.0, 0.0, 0.0), "a target that is never reached"


def test_p_is_exact() -> None:
    assert mann_whitney([4.0, 5.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx(1 / 20)
    assert mann_whitney([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == 1.0
    assert mann_whitney([1.0, 1.0], [1.0, 1.0]) == 1.0


@pytest.mark.parametrize(("late", "says"), [(1.0, "**holds**"), (2.0, "**does not hold**")])
def test_the_verdict_follows_from_the_results(late: float, says: str) -> None:
    text = page({"digits": searches(late)})
    assert f"- inherit: the target {says}" in text
    assert "is better than TPE" in text
    assert "- all: inherit over TPE, p = 0.029; tight corner: inherit over TPE, p = 0.029" in text
    assert "Not run yet: yin_yang" in text
    assert "Not run on this task: TPE + sweep (" in text


def test_the_further_targets_are_judged_by_the_interval_and_cpu_time_by_its_share() -> None:
    """inherit is at 1.1 after 20 of 80 epochs: 4 times fewer; it takes half the CPU time of TPE, so 8 times less."""
    runs = searches()
    runs["TPE + pruner"] = [{**one, "arm": "TPE + pruner"} for one in runs["TPE"]]
    for one in runs["inherit"]:
        one["cpu_seconds"] = 0.5
    text = page({"digits": runs})
    assert "- inherit: 2 times fewer epochs than TPE + pruner: **holds** (4.0 [4.0, 4.0])" in text
    assert "6 times fewer epochs than TPE: **does not hold** (4.0 [4.0, 4.0])" in text
    assert "8.0 times less CPU time: **does not hold**" in text
    assert "p < 0.05 from 20 epochs on, 1/4.0" in text
    assert "| TPE | 1 | not reached [0.0, 0.0] |" in text
    assert "made before two corrections" in text


def test_searches_of_too_few_seeds_are_named_and_not_compared() -> None:
    text = page({"digits": {**searches(), "GP": [run("GP", 0, [(70, 1.2)])]}})
    assert "Too few seeds to compare: GP" in text
    assert "HV on test 1.200 after 1 CPU s" in text
    assert "| GP |" not in text


def test_lines_of_todays_code_need_no_reservation() -> None:
    runs = searches()
    for one in [*runs["TPE"], *runs["inherit"]]:
        one["code"] = CODE
    assert "correction" not in page({"digits": runs})


def test_a_seed_that_reaches_no_level_is_said() -> None:
    assert "none (0 of 4)" in page({"digits": searches()})


def test_a_pruned_training_is_charged_what_it_had_and_told_as_optuna_does(tmp_path: Path) -> None:
    """The pruner of this test stops every second trial after its first epoch."""
    told: dict[int, list[dict[str, float]]] = {}

    class Trial:
        def __init__(self, trial: Any) -> None:
            self.number = trial.number
            self.report = lambda values, step: told.setdefault(self.number, []).append(values)

        def should_prune(self) -> bool:
            return self.number % 2 == 1

    studies: list[optuna.Study] = []

    def pruner(base: optuna.pruners.BasePruner, *, metric_directions: dict[str, Any], joint: bool) -> Any:
        assert joint
        assert [direction.name for direction in metric_directions.values()] == ["MAXIMIZE", "MINIMIZE"]
        return base

    original = optuna.create_study
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna, "create_study", lambda **given: studies.append(original(**given)) or studies[-1])
        module = SimpleNamespace(MultiMetricPruner=pruner, MultiMetricPrunerTrial=Trial)
        rows = pruned_search(config(budget_epochs=7), tmp_path, module)
    assert [row.charged for row in rows] == [2.0, 1.0, 2.0, 1.0, 1.0], "the last one is cut to what is left"
    assert [trial.state.name for trial in studies[0].trials] == ["COMPLETE", "PRUNED"] * 2 + ["COMPLETE"]
    assert all(row.values in told[row.number] for row in rows), "its best epoch is one that was reported"
    assert all((tmp_path / f"trials/{row.number}/best.ckpt").exists() for row in rows)


def test_the_picture_has_every_search_of_enough_seeds() -> None:
    drawn = picture({"digits": {**searches(), "GP": [run("GP", 0, [(70, 1.2)])]}})
    assert drawn.count("<path") == 2 + 2 * 3
    assert "nan" not in drawn
