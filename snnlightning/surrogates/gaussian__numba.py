"""Gaussian's h as a loop that a compiled backend can inline; the formula is that of ``gaussian.py``."""

import math
from typing import Any

from .gaussian import Gaussian

__all__ = ["derivative", "parameters"]


def parameters(surrogate: Gaussian) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.sigma, surrogate.height, -0.5)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    sigma, height, minus_half = parameters[0], parameters[1], parameters[2]
    for k in range(v.size):
        y = (v[k] - v_th) / sigma
        out[k] = height * math.exp(minus_half * (y * y))
