"""LogTailedReLU's h as a loop that a compiled backend can inline; the formula is that of ``log_tailed_relu.py``."""

from typing import Any

from .log_tailed_relu import LogTailedReLU

__all__ = ["derivative", "parameters"]


def parameters(surrogate: LogTailedReLU) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.reach, surrogate.scale, surrogate.scale * surrogate.leak)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    reach, scale, below = parameters[0], parameters[1], parameters[2]
    real = v.dtype.type
    zero, one = real(0), real(1)
    for k in range(v.size):
        x = v[k] - v_th
        y = x / reach
        out[k] = below if x < zero else scale / (one if y < one else y)
