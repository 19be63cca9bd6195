"""Surrogate gradients: what stands in for the derivative of the spike. One family, one file."""

from .abstract import AbstractSurrogate
from .atan import ATan
from .boxcar import Boxcar
from .circ import Circ
from .clipped_inverse import ClippedInverse
from .exponential import Exponential
from .gaussian import Gaussian
from .graded_exponential import GradedExponential
from .leaky_boxcar import LeakyBoxcar
from .log_tailed_relu import LogTailedReLU
from .mem_clamp import MemClamp
from .multi_gaussian import MultiGaussian
from .periodic_exponential import PeriodicExponential
from .q_pseudo_spike import QPseudoSpike
from .s2nn import S2NN
from .sigmoid import Sigmoid
from .sign_log import SignLog
from .sparse import Sparse
from .square_wave import SquareWave
from .step_pwl import StepPWL
from .superspike import SuperSpike
from .triangle import Triangle

__all__ = [
    "ATan",
    "AbstractSurrogate",
    "Boxcar",
    "Circ",
    "ClippedInverse",
    "Exponential",
    "Gaussian",
    "GradedExponential",
    "LeakyBoxcar",
    "LogTailedReLU",
    "MemClamp",
    "MultiGaussian",
    "PeriodicExponential",
    "QPseudoSpike",
    "S2NN",
    "Sigmoid",
    "SignLog",
    "Sparse",
    "SquareWave",
    "StepPWL",
    "SuperSpike",
    "Triangle",
]
