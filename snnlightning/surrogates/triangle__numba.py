"""Triangle's h as a loop that a compiled backend can inline; the formula is that of ``triangle.py``."""

from typing import Any

from .triangle import Triangle

__all__ = ["derivative", "parameters"]


def parameters(surrogate: Triangle) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.gamma, surrogate.slope)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    gamma, slope = parameters[0], parameters[1]
    zero, one = v.dtype.type(0), v.dtype.type(1)
    for k in range(v.size):
        y = one - slope * abs(v[k] - v_th)
        out[k] = gamma * (zero if y < zero else y)
