"""Layer, Synapses: populations of neurons and what joins them, as a chip has to hold them."""

import dataclasses

from ..errors import ConfigurationError
from .kernel import Kernel

__all__ = ["INPUT", "Layer", "Synapses", "whole"]

INPUT = "input"
"""What the source of the first weights is called."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A population of neurons that is placed together.

    ``fan_in`` is the most synapses that one of its neurons has; None: as its weights say, see :meth:`Network.fan_in`. Without
    ``updated`` there is no state (pooling): it passes on sums, and a chip that cannot pool holds a relay in each place.
    """

    name: str
    neurons: int
    fan_in: int | None = None
    updated: bool = True

    def __post_init__(self) -> None:
        whole(f"neurons of {self.name!r}", self.neurons)


@dataclasses.dataclass(frozen=True)
class Synapses:
    """One set of synapses, by the name that counts use.

    Args:
        name: of the weights.
        source: a layer, or ``"input"``.
        target: a layer.
        synapses: uses of weights that are not zero; None: all.
        fan_in: the most of them that one neuron of the target has; None: all.
        kernel: how a convolution slides; None: a matrix.
        weights: stored weights that are not zero; None: ``synapses`` of a matrix, the whole kernel of a convolution.
        weight_bits: bits of a stored weight; None: those of the network.
        delay_steps: the longest delay among them, in steps.
    """

    name: str
    source: str
    target: str
    synapses: int | None = None
    fan_in: int | None = None
    kernel: Kernel | None = None
    weights: int | None = None
    weight_bits: int | None = None
    delay_steps: int = 0

    def __post_init__(self) -> None:
        if self.weight_bits is not None:
            whole(f"weight_bits of {self.name!r}", self.weight_bits)


def whole(name: str, value: object) -> None:
    """Refuse what is not a whole number greater than 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} is {value!r}; a whole number greater than 0 is expected.")
