"""Network: the shape that is placed on a chip, by the names that counts use."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, nearest
from .records import shape_of
from .synapses import INPUT, Layer, Synapses, whole

if TYPE_CHECKING:  # pricing needs no torch
    from ..typing import LayerRecord, NetworkOutput

__all__ = ["Network"]


@dataclasses.dataclass(frozen=True)
class Network:
    """The shape that is placed on a chip.

    Args:
        inputs: input channels.
        layers: first to last; the last one is the output.
        synapses: every set of weights, by the names of the counts.
        weight_bits: bits of a stored weight.
        state_bits: bits of a stored potential, where memory is priced by its size.

    Raises:
        ConfigurationError: no layer, two things of one name, weights that join nothing or do not fit what they join.
    """

    inputs: int
    layers: tuple[Layer, ...]
    synapses: tuple[Synapses, ...]
    weight_bits: int = 8
    state_bits: int = 16

    def __post_init__(self) -> None:
        for label in ("inputs", "weight_bits", "state_bits"):
            whole(label, getattr(self, label))
        names = [layer.name for layer in self.layers]
        if not names:
            raise ConfigurationError("a network without layers cannot be priced.")
        all_names = [*names, *(s.name for s in self.synapses)]
        for repeated in all_names:
            if all_names.count(repeated) > 1 or repeated == INPUT:
                raise ConfigurationError(f"{repeated!r} names two things of the network; names are unique.")
        for matrix in self.synapses:
            for end, known in ((matrix.source, [INPUT, *names]), (matrix.target, names)):
                if end not in known:
                    raise ConfigurationError(
                        f"{matrix.name} joins a layer {end!r};{nearest(end, known)} Layers: {', '.join(known)}."
                    )
            ends = (self.size(matrix.source), self.size(matrix.target))
            if matrix.kernel is not None and (matrix.kernel.inputs, matrix.kernel.outputs) != ends:
                raise ConfigurationError(
                    f"{matrix.name}: a kernel from {matrix.kernel.inputs} to {matrix.kernel.outputs} neurons; "
                    f"{matrix.source!r} has {ends[0]} and {matrix.target!r} {ends[1]}."
                )
            for number, most, what in (
                (matrix.synapses, _full(matrix, ends), "synapses"),
                (matrix.fan_in, ends[0] if matrix.kernel is None else matrix.kernel.fan_in, "synapses into one neuron"),
                (matrix.weights, _stored(matrix, ends), "weights"),
            ):
                if number is not None and not 0 <= number <= most:
                    raise ConfigurationError(f"{matrix.name} has {number} {what}; between 0 and {most} fit.")

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

    @classmethod
    def of(
        cls,
        output: "NetworkOutput | Sequence[LayerRecord]",
        *,
        weight_bits: int | Mapping[str, int] = 8,
        state_bits: int = 16,
        sources: Mapping[str, str] | None = None,
    ) -> "Network":
        """The shape of a network from what it returned for a batch, however it is built.

        Where a connection comes from is told by its activity: it is the output of the layer whose record holds this tensor
        (or a view of it); the input is the one tensor that is no layer's output. Weights that are zero are no synapses.

        Args:
            output: what the network returned, or its records; one sample of one step is enough.
            weight_bits: bits of a stored weight; by name of the weights where they differ (8 for those not named). Layers that
                run at a chip's precision say their own, which is taken where no name is given.
            state_bits: bits of a stored potential, where memory is priced by its size.
            sources: where connections come from whose activity was changed on its way (delayed, pooled by maximum): name
                of the connection to name of a layer, or ``"input"``.

        Raises:
            ConfigurationError: it cannot be told where a connection comes from, or a layer occurs twice.
            ShapeError: activity, weight and output that do not fit together.

        Example:
            >>> import torch
            >>> from snnlightning.typing import Connection, LayerRecord
            >>> x, hidden = torch.zeros(1, 1, 3), torch.zeros(1, 1, 2)
            >>> w_in = Connection("hidden.w_in", "input", x, torch.ones(2, 3), True)
            >>> w_rec = Connection("hidden.w_rec", "recurrent", hidden, torch.eye(2), True)
            >>> network = Network.of([LayerRecord("hidden", True, hidden, (), None, (w_in, w_rec))])
            >>> network.inputs, [(m.source, network.synapses_of(m)) for m in network.synapses]
            (3, [('input', 6), ('hidden', 2)])
        """
        records: Sequence[LayerRecord] = getattr(output, "records", output)  # type: ignore[arg-type]
        named, usual = (weight_bits, 8) if isinstance(weight_bits, Mapping) else ({}, weight_bits)
        inputs, layers, synapses = shape_of(records, named, usual, sources or {})
        return cls(inputs, layers, synapses, usual, state_bits)

    @property
    def neurons(self) -> int:
        """Neurons of all layers."""
        return sum(layer.neurons for layer in self.layers)

    @property
    def updated_neurons(self) -> int:
        """Neurons that have a state: all but the relays of pooling."""
        return sum(layer.neurons for layer in self.layers if layer.updated)

    @property
    def synapses_total(self) -> int:
        """Synapses of all weights: uses of weights that are not zero."""
        return sum(self.synapses_of(matrix) for matrix in self.synapses)

    @property
    def weight_memory_bits(self) -> int:
        """Bits of all weights that are not zero, those of a kernel stored once."""
        return sum(self.weights_of(matrix) * self.bits_of(matrix) for matrix in self.synapses)

    def size(self, name: str) -> int:
        """Neurons of a layer, or the input channels."""
        return self.inputs if name == INPUT else self._by_name[name].neurons

    def synapses_of(self, matrix: Synapses) -> int:
        """Uses of weights that are not zero."""
        ends = (self.size(matrix.source), self.size(matrix.target))
        return _full(matrix, ends) if matrix.synapses is None else matrix.synapses

    def weights_of(self, matrix: Synapses) -> int:
        """Stored weights that are not zero."""
        if matrix.weights is not None:
            return matrix.weights
        return self.synapses_of(matrix) if matrix.kernel is None else matrix.kernel.weights

    def bits_of(self, matrix: Synapses) -> int:
        """Bits of a stored weight."""
        return self.weight_bits if matrix.weight_bits is None else matrix.weight_bits

    def fan_in_of(self, matrix: Synapses) -> int:
        """The most synapses of one set of weights that one neuron has."""
        if matrix.fan_in is not None:
            return matrix.fan_in
        return self.size(matrix.source) if matrix.kernel is None else matrix.kernel.fan_in

    def matrix(self, name: str) -> Synapses | None:
        """The weights of this name, or None."""
        return next((matrix for matrix in self.synapses if matrix.name == name), None)

    def into(self, layer: str) -> tuple[Synapses, ...]:
        """The weights that end in a layer."""
        return tuple(matrix for matrix in self.synapses if matrix.target == layer)

    def fan_in(self, layer: str) -> int:
        """The most synapses into one neuron of a layer; where only its weights say it, the sum of theirs."""
        known = self._by_name[layer].fan_in
        return sum(map(self.fan_in_of, self.into(layer))) if known is None else known

    @functools.cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}


def _full(matrix: Synapses, ends: tuple[int, int]) -> int:
    return ends[0] * ends[1] if matrix.kernel is None else matrix.kernel.uses


def _stored(matrix: Synapses, ends: tuple[int, int]) -> int:
    return ends[0] * ends[1] if matrix.kernel is None else matrix.kernel.weights
