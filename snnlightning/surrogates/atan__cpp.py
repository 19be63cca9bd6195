"""ATan's h in C++, of x = v - v_th and the parameters p; the formula is that of ``atan.py``."""

from .atan__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T y = p[0] * x; return p[1] / (T(1) + y * y);"
