"""Knee: the point of a front of two objectives after which each further gain costs disproportionately more."""

import math

from .files import Front, Objective

__all__ = ["knee_point"]


def knee_point(front: Front) -> int | None:
    """The number of the knee, or None where there is none.

    Both objectives are rescaled to [0, 1] over the front, 1 is better, after taking the logarithm where the objective's
    scale is ``log``. The two ends of the front are then (0, 1) and (1, 0), and the knee is the point farthest above the
    line between them: the one with the largest sum of both, if that sum exceeds 1.

    Returns:
        None for fewer than three points, for other than two objectives, for a value at or below zero on a ``log`` scale,
        and for a front that is nowhere above the line.
    """
    if len(front.objectives) != 2 or len(front.points) < 3:
        return None
    sums = [0.0] * len(front.points)
    for objective in front.objectives:
        merits = _merits(objective, [point.values[objective.name] for point in front.points])
        if merits is None:
            return None
        sums = [total + merit for total, merit in zip(sums, merits, strict=True)]
    best = max(range(len(sums)), key=sums.__getitem__)
    return front.points[best].number if sums[best] > 1.0 + 1e-9 else None


def _merits(objective: Objective, values: list[float]) -> list[float] | None:
    if objective.scale == "log":
        if min(values) <= 0.0:
            return None
        values = [math.log(value) for value in values]
    low, high = min(values), max(values)
    if low == high:
        return None
    merits = [(value - low) / (high - low) for value in values]
    return merits if objective.maximized else [1.0 - merit for merit in merits]
