"""CubaLIF for the compiled loops: a synaptic current, g and the delay of recurrent spikes as its ordering says."""

from ._fused import Fused, Recursion
from .cuba_lif import CubaLIF

__all__ = ["fused"]


def _recursion(neuron: CubaLIF) -> Recursion:
    delayed, scaled = neuron.ordering == "spytorch", neuron.ordering == "stork"
    return Recursion.linear(neuron.v_th, current=True, delayed=delayed, scaled=scaled)


fused = Fused(CubaLIF, _recursion)
