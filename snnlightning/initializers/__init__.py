"""Initializers: where weights start."""

from .abstract import AbstractInitializer
from .scaled_normal import ScaledNormal
from .scaled_uniform import ScaledUniform

__all__ = ["AbstractInitializer", "ScaledNormal", "ScaledUniform"]
