"""S2NN's h as a loop that a compiled backend can inline; the formula is that of ``s2nn.py``."""

import math
from typing import Any

from .s2nn import S2NN

__all__ = ["derivative", "parameters"]


def parameters(surrogate: S2NN) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.alpha, surrogate.height, 0.25 * surrogate.alpha)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    alpha, height, quarter = parameters[0], parameters[1], parameters[2]
    real = v.dtype.type
    zero, one, four = real(0), real(1), real(4)
    for k in range(v.size):
        x = v[k] - v_th
        e = math.exp(alpha * (x if x < zero else zero))
        out[k] = height * four * e / ((one + e) * (one + e)) if x < zero else height / (one + quarter * x)
