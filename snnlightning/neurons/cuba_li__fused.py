"""CubaLI for the compiled loops: a synaptic current, no threshold."""

from ._fused import Fused, Recursion
from .cuba_li import CubaLI

__all__ = ["fused"]

fused = Fused(CubaLI, lambda neuron: Recursion.linear(current=True, scaled=neuron.ordering == "stork"))
