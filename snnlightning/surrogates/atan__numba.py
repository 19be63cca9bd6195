"""ATan's h as a loop that a compiled backend can inline; the formula is that of ``atan.py``."""

import math
from typing import Any

from .atan import ATan

__all__ = ["derivative", "parameters"]


def parameters(surrogate: ATan) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (math.pi / 2.0 * surrogate.alpha, surrogate.height)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    steepness, height = parameters[0], parameters[1]
    one = v.dtype.type(1)
    for k in range(v.size):
        y = steepness * (v[k] - v_th)
        out[k] = height / (one + y * y)
