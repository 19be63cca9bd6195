"""Exponential's h as a loop that a compiled backend can inline; the formula is that of ``exponential.py``."""

import math
from typing import Any

from .exponential import Exponential

__all__ = ["derivative", "parameters"]


def parameters(surrogate: Exponential) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.alpha, surrogate.height)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    alpha, height = parameters[0], parameters[1]
    for k in range(v.size):
        out[k] = height * math.exp(-alpha * abs(v[k] - v_th))
