"""LIF for the compiled loops: no current, g as its ordering says."""

from ._fused import Fused, Recursion
from .lif import LIF

__all__ = ["fused"]

fused = Fused(LIF, lambda neuron: Recursion.linear(neuron.v_th, scaled=neuron.ordering == "stork"))
