"""GradedExponential's h as a loop that a compiled backend can inline; the formula is that of ``graded_exponential.py``."""

import math
from typing import Any

from .graded_exponential import GradedExponential

__all__ = ["derivative", "parameters"]


def parameters(surrogate: GradedExponential) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.alpha, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    alpha, scale = parameters[0], parameters[1]
    real = v.dtype.type
    zero = real(0)
    for k in range(v.size):
        y = v[k] - v_th
        out[k] = scale * math.exp(alpha * (zero if y > zero else y))
