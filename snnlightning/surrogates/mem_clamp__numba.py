"""MemClamp's h as a loop that a compiled backend can inline; the formula is that of ``mem_clamp.py``."""

from typing import Any

from .mem_clamp import MemClamp

__all__ = ["derivative", "parameters"]


def parameters(surrogate: MemClamp) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.slope, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    slope, scale = parameters[0], parameters[1]
    real = v.dtype.type
    zero, one = real(0), real(1)
    for k in range(v.size):
        x = v[k] - v_th
        y = one - slope * x
        out[k] = zero if x > zero else scale / (y * y)
