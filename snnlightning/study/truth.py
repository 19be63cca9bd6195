"""Truth: what repeated trainings say of a front that was selected on noise.

A front is chosen among many networks by their luck on one validation set; trained anew with other seeds, its points are worse.
So points are reported with the mean over fresh seeds and its interval, and one point beats another only with a probability.
"""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

__all__ = ["Interval", "interval", "probability_no_worse"]

_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""97.5 % points of Student's t for 1, 2, ... degrees of freedom; beyond them the one of the normal is used."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over seeds, its 95 % interval (Student's t) and its standard error; both are infinite for a single value."""

    mean: float
    low: float
    high: float
    standard_error: float


def interval(values: Sequence[float]) -> Interval:
    """The mean of independent values and how well it is known.

    Args:
        values: at least one.

    Example:
        >>> found = interval([0.90, 0.92, 0.94])
        >>> print(f"{found.mean:.3f} from {found.low:.3f} to {found.high:.3f}, standard error {found.standard_error:.4f}")
        0.920 from 0.870 to 0.970, standard error 0.0115
    """
    mean, count = statistics.fmean(values), len(values)
    if count == 1:
        return Interval(mean, -math.inf, math.inf, math.inf)
    error = statistics.stdev(values) / math.sqrt(count)
    reach = error * (_T975[count - 2] if count - 2 < len(_T975) else 1.96)
    return Interval(mean, mean - reach, mean + reach, error)


def probability_no_worse(mine: Mapping[str, Interval], yours: Mapping[str, Interval]) -> float:
    """Probability that one network is truly no worse than another in every objective; lower values are better.

    The means are taken as normal and independent: prod_k Phi((yours_k - mine_k) / sqrt(se_mine_k^2 + se_yours_k^2)).

    Source: J. Teich 2001, E. J. Hughes 2001 (probabilistic dominance).

    Example:
        >>> one = {"error": Interval(0.08, 0.07, 0.09, 0.005)}
        >>> other = {"error": Interval(0.09, 0.08, 0.10, 0.005)}
        >>> round(probability_no_worse(one, other), 3), round(probability_no_worse(one, one), 3)
        (0.921, 0.5)
    """
    probability = 1.0
    for name, own in mine.items():
        difference = yours[name].mean - own.mean
        spread = math.hypot(own.standard_error, yours[name].standard_error)
        if spread == 0.0:
            probability *= 1.0 if difference >= 0.0 else 0.0
        else:
            probability *= 0.5 * math.erfc(-difference / spread / math.sqrt(2.0))
    return probability
