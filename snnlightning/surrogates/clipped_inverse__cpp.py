"""ClippedInverse's h in C++, of x = v - v_th and the parameters p; the formula is that of ``clipped_inverse.py``."""

from .clipped_inverse__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T y = p[0] * std::fabs(x); return p[1] / (y < T(1) ? T(1) : y);"
