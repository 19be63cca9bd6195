"""SuperSpike's h as a function that a Triton kernel can inline; the formula is that of ``superspike.py``, its numbers those of ``superspike__numba.py``."""

# mypy: ignore-errors

import triton
import triton.language as tl

from .superspike__numba import parameters

__all__ = ["derivative", "parameters"]


@triton.jit
def derivative(x, p0, p1):
    """h(x), elementwise, with the first two of ``parameters``."""
    y = p0 * tl.abs(x) + 1.0
    return p1 / (y * y)
