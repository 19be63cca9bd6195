"""Initializers: where weights start."""

from .abstract import AbstractInitializer
from .fluctuation_driven import FluctuationDriven
from .glorot_uniform import GlorotUniform
from .orthogonal import Orthogonal
from .scaled_normal import ScaledNormal
from .scaled_uniform import ScaledUniform
from .without_autapses import WithoutAutapses

__all__ = [
    "AbstractInitializer",
    "FluctuationDriven",
    "GlorotUniform",
    "Orthogonal",
    "ScaledNormal",
    "ScaledUniform",
    "WithoutAutapses",
]
