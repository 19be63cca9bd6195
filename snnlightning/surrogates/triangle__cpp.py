"""Triangle's h in C++, of x = v - v_th and the parameters p; the formula is that of ``triangle.py``."""

from .triangle__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T y = T(1) - p[1] * std::fabs(x); return p[0] * (y < T(0) ? T(0) : y);"
