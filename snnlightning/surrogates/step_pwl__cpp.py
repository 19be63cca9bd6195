"""StepPWL's h in C++, of x = v - v_th and the parameters p; the formula is that of ``step_pwl.py``."""

from .step_pwl__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "return x != x ? x : x > -p[0] ? p[1] : T(0);"
