"""IF for the compiled loops: no current, no leak."""

from ._fused import Fused, Recursion
from .integrate_fire import IF

__all__ = ["fused"]

fused = Fused(IF, lambda neuron: Recursion.linear(neuron.v_th, leaky=False))
