"""Surrogate gradients: what stands in for the derivative of the spike. One family, one file."""

from .abstract import AbstractSurrogate
from .atan import ATan
from .boxcar import Boxcar
from .gaussian import Gaussian
from .sigmoid import Sigmoid
from .superspike import SuperSpike
from .triangle import Triangle

__all__ = ["ATan", "AbstractSurrogate", "Boxcar", "Gaussian", "Sigmoid", "SuperSpike", "Triangle"]
