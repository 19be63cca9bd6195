"""Triangle's h as a function that a Triton kernel can inline; the formula is that of ``triangle.py``, its numbers those of ``triangle__numba.py``."""

# mypy: ignore-errors

import triton
import triton.language as tl

from .triangle__numba import parameters

__all__ = ["derivative", "parameters"]


@triton.jit
def derivative(x, p0, p1):
    """h(x), elementwise, with the first two of ``parameters``."""
    y = 1.0 - p1 * tl.abs(x)
    # Written so that a NaN is handed on.
    return p0 * tl.where(y < 0.0, 0.0, y)
