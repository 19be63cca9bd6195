"""QPseudoSpike's h as a loop that a compiled backend can inline; the formula is that of ``q_pseudo_spike.py``."""

from typing import Any

from .q_pseudo_spike import QPseudoSpike

__all__ = ["derivative", "parameters"]


def parameters(surrogate: QPseudoSpike) -> tuple[float, ...]:
    """The numbers that ``derivative`` takes."""
    return (surrogate._rise, surrogate.alpha, surrogate.scale)


def derivative(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
    """out = h(v - v_th), elementwise; ``out`` may be ``v``."""
    rise, alpha, scale = parameters[0], parameters[1], parameters[2]
    real = v.dtype.type
    one = real(1)
    for k in range(v.size):
        out[k] = scale * (one + rise * abs(v[k] - v_th)) ** -alpha
