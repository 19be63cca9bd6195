"""MultiGaussian's h as a loop that a compiled backend can inline; the formula is that of ``multi_gaussian.py``."""

import math
from typing import Any

from .multi_gaussian import MultiGaussian

__all__ = ["derivative", "parameters"]


def parameters(surrogate: MultiGaussian) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    density = surrogate.scale / (surrogate.sigma * math.sqrt(2.0 * math.pi))
    side = density * surrogate.share / surrogate.spread
    return (surrogate.sigma, density * (1.0 + surrogate.share), side, surrogate.spread)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    sigma, centre, side, spread = parameters[0], parameters[1], parameters[2], parameters[3]
    real = v.dtype.type
    half, one = real(0.5), real(1)
    for k in range(v.size):
        y = (v[k] - v_th) / sigma
        right, left = (y - one) / spread, (y + one) / spread
        lobes = math.exp(-half * (right * right)) + math.exp(-half * (left * left))
        out[k] = centre * math.exp(-half * (y * y)) - side * lobes
