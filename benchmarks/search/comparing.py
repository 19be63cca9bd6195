"""How searches are compared: levels, ratios to the baseline with bootstrap intervals, exact tests.

The target is the level that the baseline reaches on average with its whole budget. The ratio of an arm is
budget / epochs at which the arm's mean curve first reaches the target; its interval is that of 2,000 bootstrap samples of
the seeds, of both the arm and the baseline. p is that of a one-sided Mann-Whitney test.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "curves", "mann_whitney", "ratio", "reached"]

Floats = NDArray[np.float64]


def curves(runs: Sequence[dict[str, Any]], column: int, budget: int) -> Floats:
    """[seeds, budget + 1]: the hypervolume that was known after so many epochs."""
    table = np.zeros((len(runs), budget + 1))
    for row, run in zip(table, runs, strict=True):
        for spent, *volumes in run["curve"]:
            row[min(budget, int(np.ceil(spent))) :] = volumes[column]
    return table


def reached(mean: Floats, target: float) -> float:
    """The epochs after which a curve is at the target; infinite when it never is."""
    at = np.flatnonzero(mean >= target)
    return float(max(1, at[0])) if at.size else float("inf")


def ratio(arm: Floats, baseline: Floats, draws: int = 2000) -> tuple[float, float, float]:
    """Budget / epochs to the baseline's final mean, with a 95 % bootstrap interval; 0 where it is not reached."""
    budget, random = arm.shape[1] - 1, np.random.default_rng(0)
    ratios = []
    for _ in range(draws):
        a = arm[random.integers(len(arm), size=len(arm))].mean(0)
        b = baseline[random.integers(len(baseline), size=len(baseline))].mean(0)
        ratios.append(budget / reached(a, b[-1]))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return budget / reached(arm.mean(0), baseline.mean(0)[-1]), float(low), float(high)


def mann_whitney(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """One-sided p that mine are no greater, exact: the share of all splits with so many wins (ties count half)."""

    def wins(a: Floats, b: Floats) -> float:
        return float((a[:, None] > b[None]).sum() + 0.5 * (a[:, None] == b[None]).sum())

    both, count = np.array([*mine, *theirs]), len(mine)
    observed = wins(both[:count], both[count:])
    splits = list(itertools.combinations(range(len(both)), count)) if len(both) <= 14 else None
    if splits is None:
        random = np.random.default_rng(0)
        splits = [tuple(random.permutation(len(both))[:count]) for _ in range(20000)]
    hits = 0
    for split in splits:
        chosen = np.zeros(len(both), dtype=bool)
        chosen[list(split)] = True
        hits += wins(both[chosen], both[~chosen]) >= observed
    return hits / len(splits)
