"""SignLog's h in C++, of x = v - v_th and the parameters p; the formula is that of ``sign_log.py``."""

from .sign_log__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "return p[1] / (T(1) + p[0] * std::fabs(x));"
