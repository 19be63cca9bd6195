"""Units: time constants become decays, numbers become text."""

import math
from numbers import Real

from .errors import ConfigurationError

__all__ = ["decay_from_tau", "format_count", "positive"]


def decay_from_tau(tau_ms: float, dt_ms: float) -> float:
    """Decay per step of a leaky variable, exp(-dt/tau).

    Args:
        tau_ms: time constant in ms, > 0; ``inf`` means no leak (decay 1).
        dt_ms: time step in ms, > 0.

    Returns:
        A number in (0, 1].

    Example:
        >>> decay_from_tau(10.0, 1.0)
        0.9048374180359595
    """
    return math.exp(-positive("dt_ms", dt_ms) / positive("tau_ms", tau_ms))


def positive(name: str, value: object) -> float:
    """``value`` as a float, when it is a number greater than zero.

    Raises:
        ConfigurationError: no number, zero, negative or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ConfigurationError(f"{name} is {value!r}; a number greater than 0 is expected.")
    number = float(value)
    if not number > 0.0:
        raise ConfigurationError(f"{name} is {value}; it must be greater than 0.")
    return number


def format_count(value: float) -> str:
    """A count in the style of a table: three significant digits and k, M, G.

    Example:
        >>> format_count(304.0), format_count(12345.0), format_count(1.0e6)
        ('304', '12.3 k', '1.00 M')
    """
    magnitude = abs(value)
    for limit, scale, suffix in ((1e3, 1.0, ""), (1e6, 1e3, " k"), (1e9, 1e6, " M"), (math.inf, 1e9, " G")):
        if magnitude < limit * 0.9995:
            digits = f"{value / scale:.3g}" if magnitude else "0"
            if suffix:
                scaled = abs(value / scale)
                digits = f"{value / scale:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}"
            return digits + suffix
    return f"{value}"
