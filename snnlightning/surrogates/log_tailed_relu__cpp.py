"""LogTailedReLU's h in C++, of x = v - v_th and the parameters p; the formula is that of ``log_tailed_relu.py``."""

from .log_tailed_relu__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "const T y = x / p[0]; return x < 0 ? p[2] : p[1] / (y < T(1) ? T(1) : y);"
