"""ATan's h as a function that a Triton kernel can inline; the formula is that of ``atan.py``, its numbers those of ``atan__numba.py``."""

# mypy: ignore-errors

import triton
import triton.language as tl  # noqa: F401  (the interpreter looks for it)

from .atan__numba import parameters

__all__ = ["derivative", "parameters"]


@triton.jit
def derivative(x, p0, p1):
    """h(x), elementwise, with the first two of ``parameters``."""
    y = p0 * x
    return p1 / (1.0 + y * y)
