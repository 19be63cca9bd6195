"""Sigmoid's h as a loop that a compiled backend can inline; the formula is that of ``sigmoid.py``."""

import math
from typing import Any

from .sigmoid import Sigmoid

__all__ = ["derivative", "parameters"]


def parameters(surrogate: Sigmoid) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.slope, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    slope, scale = parameters[0], parameters[1]
    one = v.dtype.type(1)
    for k in range(v.size):
        s = one / (one + math.exp(-slope * (v[k] - v_th)))
        out[k] = scale * s * (one - s)
