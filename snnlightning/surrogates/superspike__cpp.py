"""SuperSpike's h in C++, of x = v - v_th and the parameters p; the formula is that of ``superspike.py``."""

from .superspike__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T y = p[0] * std::fabs(x) + T(1); return p[1] / (y * y);"
