"""MemClamp's h in C++, of x = v - v_th and the parameters p; the formula is that of ``mem_clamp.py``."""

from .mem_clamp__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T y = T(1) - p[0] * x; return x > 0 ? T(0) : p[1] / (y * y);"
