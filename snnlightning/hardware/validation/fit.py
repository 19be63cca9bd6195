"""Fit: a straight line through published points, where the published value is its slope or its intercept."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import ConfigurationError

__all__ = ["Fit", "fitted"]


class Fit(NamedTuple):
    """y = intercept + slope x by least squares; ``r2`` is the share of the variance that it explains; through ``points``."""

    intercept: float
    slope: float
    r2: float
    points: int


def fitted(x: Sequence[float], y: Sequence[float]) -> Fit:
    """The line through points.

        slope = cov(x, y) / var(x),   intercept = mean(y) - slope mean(x),   r2 = 1 - sum residual^2 / sum (y - mean(y))^2

    Raises:
        ConfigurationError: fewer than three points, or all at one x.

    Example:
        >>> fitted([0, 1, 2], [1.0, 3.0, 5.0])
        Fit(intercept=1.0, slope=2.0, r2=1.0, points=3)
    """
    if len(x) != len(y) or len(x) < 3 or len(set(x)) < 2:
        raise ConfigurationError(f"a line through x = {list(x)} and y = {list(y)}; three or more points are expected.")
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    slope = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / math.fsum(
        (a - mean_x) ** 2 for a in x
    )
    intercept = mean_y - slope * mean_x
    left = math.fsum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    spread = math.fsum((b - mean_y) ** 2 for b in y)
    return Fit(intercept, slope, 1.0 - left / spread if spread else 1.0, len(x))
