"""SuperSpike's h as a loop that a compiled backend can inline; the formula is that of ``superspike.py``."""

from typing import Any

from .superspike import SuperSpike

__all__ = ["derivative", "parameters"]


def parameters(surrogate: SuperSpike) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.slope, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    slope, scale = parameters[0], parameters[1]
    one = v.dtype.type(1)
    for k in range(v.size):
        y = slope * abs(v[k] - v_th) + one
        out[k] = scale / (y * y)
