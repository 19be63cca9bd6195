"""Circ's h in C++, of x = v - v_th and the parameters p; the formula is that of ``circ.py``."""

from .circ__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T q = x / p[0], y = T(1) + q * q; return p[1] / (y * std::sqrt(y));"
