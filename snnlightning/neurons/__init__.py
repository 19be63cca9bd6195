"""Neurons: frozen records of parameters with their equations. One neuron, one file."""

from .abstract import AbstractIntegrator, AbstractNeuron, AbstractSpikingNeuron
from .ad_lif import AdLIF
from .alif import ALIF
from .cuba_li import CubaLI
from .cuba_lif import CubaLIF
from .integrate_fire import IF
from .li import LI
from .lif import LIF

__all__ = [
    "ALIF",
    "IF",
    "LI",
    "LIF",
    "AbstractIntegrator",
    "AbstractNeuron",
    "AbstractSpikingNeuron",
    "AdLIF",
    "CubaLI",
    "CubaLIF",
]
