"""Initializers: where weights start."""

from .scaled_normal import ScaledNormal
from .scaled_uniform import ScaledUniform

__all__ = ["ScaledNormal", "ScaledUniform"]
