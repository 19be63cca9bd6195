"""Validation: published measurements as data files, and what the prices of a profile make of them."""

from .measured import Measured, available_rows, load_rows, validate

__all__ = ["Measured", "available_rows", "load_rows", "validate"]
