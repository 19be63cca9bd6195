"""How searches are compared: levels, ratios to the baseline with bootstrap intervals, exact tests.

The target is the level that the baseline reaches on average with its whole budget. The ratio of an arm is
budget / epochs at which the arm's mean curve first reaches the target; its interval is that of 2,000 bootstrap samples of
the seeds, of both the arm and the baseline. p is that of a one-sided Mann-Whitney test.

CPU time is known of whole searches only. That of an arm up to its target is taken as its share of the epochs.
"""

import collections
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "Floats", "curves", "mann_whitney", "ratio", "reached"]

Floats = NDArray[np.float64]
FEWEST = 3
"""Seeds that a search needs to be compared."""


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
    """One-sided p that mine are no greater, exact: the share of all splits whose sum of ranks is as high (ties share ranks)."""
    both = np.array([*mine, *theirs])
    ranks = (2 * (both[:, None] > both[None]).sum(1) + (both[:, None] == both[None]).sum(1) + 1).tolist()  # doubled
    chosen = len(mine)
    ways = [collections.Counter({0: 1}), *(collections.Counter() for _ in range(chosen))]
    for rank in ranks:
        for size in range(chosen, 0, -1):
            for total, count in ways[size - 1].items():
                ways[size][total + rank] += count
    observed = sum(ranks[:chosen])
    return sum(count for total, count in ways[chosen].items() if total >= observed) / math.comb(len(both), chosen)
