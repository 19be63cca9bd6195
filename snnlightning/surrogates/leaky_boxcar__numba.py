"""LeakyBoxcar's h as a loop that a compiled backend can inline; the formula is that of ``leaky_boxcar.py``."""

import math
from typing import Any

from .leaky_boxcar import LeakyBoxcar

__all__ = ["derivative", "parameters"]


def parameters(surrogate: LeakyBoxcar) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.half_width, surrogate.scale, surrogate.scale * surrogate.leak)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    half_width, inside, outside = parameters[0], parameters[1], parameters[2]
    for k in range(v.size):
        y = v[k] - v_th
        out[k] = y if math.isnan(y) else inside if abs(y) <= half_width else outside  # what is not a number stays
