"""Validation: published measurements as data files, and what the prices of a profile make of them."""

from .fit import Fit, fitted
from .measured import Measured, available_rows, load_rows, validate

__all__ = ["Fit", "Measured", "available_rows", "fitted", "load_rows", "validate"]
