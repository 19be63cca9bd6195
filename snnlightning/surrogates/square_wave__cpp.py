"""SquareWave's h in C++, of x = v - v_th and the parameters p; the formula is that of ``square_wave.py``."""

from .square_wave__numba import parameters

__all__ = ["derivative", "parameters"]

derivative = "T sum = 0; for (int k = 0; k < int(p[1]); ++k) sum += std::cos(p[2 + k] * x); return p[0] * sum;"
