"""PeriodicExponential's h in C++, of x = v - v_th and the parameters p; the formula is that of ``periodic_exponential.py``."""

from .periodic_exponential__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = """
    const T peak = std::floor((x < 0 ? T(0) : x) / p[1] + T(0.5));
    return p[2] * std::exp(-p[0] * std::fabs(x - p[1] * peak));
"""
