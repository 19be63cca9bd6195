"""Sigmoid's h as a function that a Triton kernel can inline; the formula is that of ``sigmoid.py``, its numbers those of ``sigmoid__numba.py``."""

# mypy: ignore-errors

import triton
import triton.language as tl

from .sigmoid__numba import parameters

__all__ = ["derivative", "parameters"]


@triton.jit
def derivative(x, p0, p1):
    """h(x), elementwise, with the first two of ``parameters``."""
    s = 1.0 / (1.0 + tl.exp(-p0 * x))
    return p1 * s * (1.0 - s)
