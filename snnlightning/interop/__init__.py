"""Interop: NIR graphs out and in, so that a network runs in other frameworks and on chips."""

from .dialects import DIALECTS, Dialect, named_dialect
from .nir_export import to_nir
from .nir_files import read_nir, write_nir
from .nir_import import from_nir

__all__ = ["DIALECTS", "Dialect", "from_nir", "named_dialect", "read_nir", "to_nir", "write_nir"]
