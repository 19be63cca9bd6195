"""Where a function of one number crosses zero: the half width of families that have no closed form for it."""

from collections.abc import Callable

__all__ = ["crossing"]


def crossing(function: Callable[[float], float], low: float, high: float) -> float:
    """The x in (low, high) at which a function that is positive at ``low`` and negative at ``high`` is zero, by bisection.

    Example:
        >>> crossing(lambda x: 2.0 - x * x, 0.0, 2.0)
        1.414213562373095
    """
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if function(middle) > 0.0 else (low, middle)
    return middle
