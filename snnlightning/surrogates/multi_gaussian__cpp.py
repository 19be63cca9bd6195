"""MultiGaussian's h in C++, of x = v - v_th and the parameters p; the formula is that of ``multi_gaussian.py``."""

from .multi_gaussian__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = """
    const T y = x / p[0], r = (y - T(1)) / p[3], l = (y + T(1)) / p[3], h = T(-0.5);
    return p[1] * std::exp(h * (y * y)) - p[2] * (std::exp(h * (r * r)) + std::exp(h * (l * l)));
"""
