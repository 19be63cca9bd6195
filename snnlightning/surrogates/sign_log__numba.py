"""SignLog's h as a loop that a compiled backend can inline; the formula is that of ``sign_log.py``."""

from typing import Any

from .sign_log import SignLog

__all__ = ["derivative", "parameters"]


def parameters(surrogate: SignLog) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate.alpha, surrogate.height)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    alpha, height = parameters[0], parameters[1]
    real = v.dtype.type
    one = real(1)
    for k in range(v.size):
        out[k] = height / (one + alpha * abs(v[k] - v_th))
