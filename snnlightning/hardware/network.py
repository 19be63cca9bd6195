"""Network: the shape that is placed on a chip, by the names that counts use."""

import dataclasses
import itertools
from collections.abc import Sequence

from ..errors import ConfigurationError, nearest

__all__ = ["INPUT", "Layer", "Network", "Synapses", "whole"]

INPUT = "input"
"""What the source of the first weights is called."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A population of neurons that is placed together."""

    name: str
    neurons: int

    def __post_init__(self) -> None:
        whole(f"neurons of {self.name!r}", self.neurons)


@dataclasses.dataclass(frozen=True)
class Synapses:
    """One weight matrix: ``source`` (a layer, or ``"input"``) to ``target``; ``synapses`` non-zero weights, None: dense."""

    name: str
    source: str
    target: str
    synapses: int | None = None


@dataclasses.dataclass(frozen=True)
class Network:
    """The shape that is placed on a chip.

    Args:
        inputs: input channels.
        layers: first to last; the last one is the output.
        synapses: every weight matrix, by the names of the counts.
        weight_bits: bits of a stored weight.
    """

    inputs: int
    layers: tuple[Layer, ...]
    synapses: tuple[Synapses, ...]
    weight_bits: int = 8

    def __post_init__(self) -> None:
        whole("inputs", self.inputs)
        whole("weight_bits", self.weight_bits)
        names = [layer.name for layer in self.layers]
        if not names:
            raise ConfigurationError("a network without layers cannot be priced.")
        for repeated in (*names, *(s.name for s in self.synapses)):
            if (*names, *(s.name for s in self.synapses)).count(repeated) > 1 or repeated == INPUT:
                raise ConfigurationError(f"{repeated!r} names two things of the network; names are unique.")
        for matrix in self.synapses:
            for end, known in ((matrix.source, [INPUT, *names]), (matrix.target, names)):
                if end not in known:
                    raise ConfigurationError(
                        f"{matrix.name} joins a layer {end!r};{nearest(end, known)} Layers: {', '.join(known)}."
                    )
            if matrix.synapses is not None and not 0 <= matrix.synapses <= self._dense(matrix):
                raise ConfigurationError(
                    f"{matrix.name} has {matrix.synapses} synapses; between 0 and {self._dense(matrix)} fit."
                )

    @classmethod
    def chain(
        cls, inputs: int, sizes: Sequence[int], recurrent: Sequence[bool] | None = None, weight_bits: int = 8
    ) -> "Network":
        """Dense layers one after the other, named as ``SpikingNetwork`` names them; only the last one reads out.

        Args:
            inputs: input channels.
            sizes: neurons of each layer.
            recurrent: whether each layer has recurrent weights; default: all but the last.
            weight_bits: bits of a stored weight.

        Example:
            >>> network = Network.chain(700, [256, 20])
            >>> [matrix.name for matrix in network.synapses], network.synapses_total
            (['hidden_0.w_in', 'hidden_0.w_rec', 'readout.w_in'], 249856)
        """
        if recurrent is not None and len(recurrent) != len(sizes):
            raise ConfigurationError(f"recurrent has {len(recurrent)} entries for {len(sizes)} layers.")
        loops = recurrent if recurrent is not None else [*[True] * (len(sizes) - 1), False]
        names = [*(f"hidden_{k}" for k in range(len(sizes) - 1)), "readout"][: len(sizes)]
        matrices = []
        for source, target, loop in zip([INPUT, *names], names, loops, strict=False):
            matrices.append(Synapses(f"{target}.w_in", source, target))
            if loop:
                matrices.append(Synapses(f"{target}.w_rec", target, target))
        return cls(
            inputs, tuple(itertools.starmap(Layer, zip(names, sizes, strict=True))), tuple(matrices), weight_bits
        )

    @property
    def neurons(self) -> int:
        """Neurons of all layers."""
        return sum(layer.neurons for layer in self.layers)

    @property
    def synapses_total(self) -> int:
        """Non-zero weights of all matrices."""
        return sum(self.synapses_of(matrix) for matrix in self.synapses)

    def size(self, name: str) -> int:
        """Neurons of a layer, or the input channels."""
        return self.inputs if name == INPUT else next(layer.neurons for layer in self.layers if layer.name == name)

    def synapses_of(self, matrix: Synapses) -> int:
        """Non-zero weights of one matrix."""
        return self._dense(matrix) if matrix.synapses is None else matrix.synapses

    def fan_in(self, layer: str) -> int:
        """Distinct sources of a layer: what one of its neurons may listen to (an upper bound when weights are zero)."""
        return sum(self.size(matrix.source) for matrix in self.synapses if matrix.target == layer)

    def _dense(self, matrix: Synapses) -> int:
        return self.size(matrix.source) * self.size(matrix.target)


def whole(name: str, value: object) -> None:
    """Refuse what is not a whole number greater than 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} is {value!r}; a whole number greater than 0 is expected.")
