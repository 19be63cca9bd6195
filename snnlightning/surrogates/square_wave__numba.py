"""SquareWave's h as a loop that a compiled backend can inline; the formula is that of ``square_wave.py``."""

import math
from typing import Any

from .square_wave import SquareWave

__all__ = ["derivative", "parameters"]


def parameters(surrogate: SquareWave) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    waves = surrogate._frequencies
    return (4.0 * surrogate.scale / surrogate.period, float(len(waves)), *waves)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    scale = parameters[0]
    for k in range(v.size):
        x, total = v[k] - v_th, v.dtype.type(0)
        for wave in range(2, parameters.size):
            total += math.cos(parameters[wave] * x)
        out[k] = scale * total
