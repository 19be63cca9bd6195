"""A layer over time as one autograd node, whatever compiles its loops.

``Fused`` is what a file ``<neuron>__fused.py`` holds: the neuron as a ``recursion``. ``layer`` is the node and ``forward`` and
``backward`` its passes, of a ``call``, by a ``plan`` that calls of the same shapes share; ``pool`` spreads their work over threads;
``support`` says what cannot be done. The loops are in ``_numba`` and ``_cpp``.
"""

from .fused import Fused
from .recursion import Recursion

__all__ = ["Fused", "Recursion"]
