"""LI for the compiled loops: no current, no threshold."""

from ._fused import Fused, Recursion
from .li import LI

__all__ = ["fused"]

fused = Fused(LI, lambda neuron: Recursion.linear(scaled=neuron.ordering == "stork"))
