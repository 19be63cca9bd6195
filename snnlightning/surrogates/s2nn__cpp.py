"""S2NN's h in C++, of x = v - v_th and the parameters p; the formula is that of ``s2nn.py``."""

from .s2nn__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = """
    if (!(x < 0)) return p[1] / (T(1) + p[2] * x);
    const T e = std::exp(p[0] * x);
    return p[1] * T(4) * e / ((T(1) + e) * (T(1) + e));
"""
