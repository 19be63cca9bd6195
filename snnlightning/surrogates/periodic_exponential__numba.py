"""PeriodicExponential's h as a loop that a compiled backend can inline; the formula is that of ``periodic_exponential.py``."""

import math
from typing import Any

import numpy as np

from .periodic_exponential import PeriodicExponential

__all__ = ["derivative", "parameters"]


def parameters(surrogate: PeriodicExponential) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.alpha, surrogate.period, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    alpha, period, scale = parameters[0], parameters[1], parameters[2]
    real = v.dtype.type
    zero, half = real(0), real(0.5)
    for k in range(v.size):
        x = v[k] - v_th
        peak = np.floor((zero if x < zero else x) / period + half)
        out[k] = scale * math.exp(-alpha * abs(x - period * peak))
