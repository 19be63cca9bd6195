"""Numbers as people write them in YAML."""

import math

__all__ = ["finite"]


def finite(value: object) -> float | None:
    """A finite number, or None; YAML reads 1e-3 (no dot) and 1.0e8 (no sign) as text, which is taken as the number it says.

    Example:
        >>> finite("1e-3"), finite("1.0e8"), finite("many"), finite(True)
        (0.001, 100000000.0, None, None)
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
