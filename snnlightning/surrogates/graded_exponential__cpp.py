"""GradedExponential's h in C++, of x = v - v_th and the parameters p; the formula is that of ``graded_exponential.py``."""

from .graded_exponential__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "return p[1] * std::exp(p[0] * (x > 0 ? T(0) : x));"
