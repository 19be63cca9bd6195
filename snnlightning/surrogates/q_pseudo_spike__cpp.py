"""QPseudoSpike's h in C++, of x = v - v_th and the parameters p; the formula is that of ``q_pseudo_spike.py``."""

from .q_pseudo_spike__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "return p[2] * std::pow(T(1) + p[0] * std::fabs(x), -p[1]);"
