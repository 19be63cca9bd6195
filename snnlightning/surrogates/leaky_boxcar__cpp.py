"""LeakyBoxcar's h in C++, of x = v - v_th and the parameters p; the formula is that of ``leaky_boxcar.py``."""

from .leaky_boxcar__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "return x != x ? x : std::fabs(x) <= p[0] ? p[1] : p[2];"
