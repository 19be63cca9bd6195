"""StepPWL's h as a loop that a compiled backend can inline; the formula is that of ``step_pwl.py``."""

import math
from typing import Any

from .step_pwl import StepPWL

__all__ = ["derivative", "parameters"]


def parameters(surrogate: StepPWL) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.window, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    window, scale = parameters[0], parameters[1]
    real = v.dtype.type
    zero = real(0)
    for k in range(v.size):
        y = v[k] - v_th
        out[k] = y if math.isnan(y) else scale if y > -window else zero  # what is not a number stays
