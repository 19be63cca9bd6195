"""Sigmoid's h in C++, of x = v - v_th and the parameters p; the formula is that of ``sigmoid.py``."""

from .sigmoid__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T s = T(1) / (T(1) + std::exp(-p[0] * x)); return p[1] * s * (T(1) - s);"
