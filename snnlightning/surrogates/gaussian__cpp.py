"""Gaussian's h in C++, of x = v - v_th and the parameters p; the formula is that of ``gaussian.py``."""

from .gaussian__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T y = x / p[0]; return p[1] * std::exp(p[2] * (y * y));"
