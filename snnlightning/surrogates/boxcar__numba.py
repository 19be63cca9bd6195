"""Boxcar's h as a loop that a compiled backend can inline; the formula is that of ``boxcar.py``."""

from typing import Any

from .boxcar import Boxcar

__all__ = ["derivative", "parameters"]


def parameters(surrogate: Boxcar) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.half_width, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    half_width, scale, zero = parameters[0], parameters[1], v.dtype.type(0)
    for k in range(v.size):
        x = v[k] - v_th
        inside = (x > -half_width) and (x <= half_width)
        out[k] = x if x != x else (scale if inside else zero)  # noqa: PLR0124 (NaN)
