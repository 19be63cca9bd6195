"""Gaussian's h as a function that a Triton kernel can inline; the formula is that of ``gaussian.py``, its numbers those of ``gaussian__numba.py``."""

# mypy: ignore-errors

import triton
import triton.language as tl

from .gaussian__numba import parameters

__all__ = ["derivative", "parameters"]


@triton.jit
def derivative(x, p0, p1):
    """h(x), elementwise, with the first two of ``parameters``."""
    y = x / p0
    return p1 * tl.exp(-0.5 * (y * y))
