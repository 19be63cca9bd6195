"""Exponential's h in C++, of x = v - v_th and the parameters p; the formula is that of ``exponential.py``."""

from .exponential__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "return p[1] * std::exp(-p[0] * std::fabs(x));"
