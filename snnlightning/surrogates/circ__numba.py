"""Circ's h as a loop that a compiled backend can inline; the formula is that of ``circ.py``."""

import math
from typing import Any

from .circ import Circ

__all__ = ["derivative", "parameters"]


def parameters(surrogate: Circ) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.alpha, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    alpha, scale = parameters[0], parameters[1]
    real = v.dtype.type
    one = real(1)
    for k in range(v.size):
        y = (v[k] - v_th) / alpha
        y = one + y * y
        out[k] = scale / (y * math.sqrt(y))
