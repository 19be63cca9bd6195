"""Placement: which neurons go to which core.

Every layer has cores of its own; its neurons are spread evenly over the smallest number of cores that holds them. A core with
n neurons of a layer needs, summed over the weights that end there,

    n                                                           <= neurons_per_core
    axons(n)      sources that reach one of the n               <= in_axons_per_core
    memory(n)                                                   <= synapse_memory_bits
    n * cores that hold a target                                <= out_axons_per_core

    dense:   axons = sources,                 memory = axons * words(n * weight_bits + overhead)
    sparse:  axons = min(sources, n fan_in),  memory = synapses * (weight_bits + index_bits) + axons * (overhead + word - 1)
    kernel:  axons = sources of n neurons that lie side by side (``Kernel.sources``), memory as sparse

where words() fills whole words, sparse rows are never larger than dense ones, and every synapse of a kernel is stored: no
profile here lets places share weights (``shared_kernels``: then a core stores the kernel once). Both are bounds from above.
Where a chip sends inputs from cores (``input_cores``), they have cores of their own. Cores fill tiles in the order of the
layers; tiles lie row by row in a square. One neuron that does not fit a core is a wall; too many cores are a budget.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

from .network import Network
from .profile import Profile
from .synapses import INPUT, Layer, Synapses

__all__ = ["Core", "Placement", "axons_of", "matrix_kind", "place"]

_ROUNDS = 16
"""Of splitting cores that have too many destinations; each split makes more destinations."""


@dataclasses.dataclass(frozen=True)
class Core:
    """``neurons`` of one layer (or input channels) on one core of a tile at column ``x``, row ``y``."""

    layer: str
    neurons: int
    x: int
    y: int


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where everything is.

    Attributes:
        cores: in the order of the layers, inputs first.
        tiles: tiles in use.
        memory_bits: synapse memory in use, by layer, on its fullest core; empty when the profile has none.
        in_axons: sources that reach a core, by layer, on its fullest core.
        out_axons: destinations of the neurons of a core, by layer, on its fullest core.
        too_large: layers of which not even one neuron fits the memory of a core.
    """

    cores: tuple[Core, ...]
    tiles: int
    memory_bits: dict[str, int]
    in_axons: dict[str, int]
    out_axons: dict[str, int]
    too_large: tuple[str, ...]

    def of(self, layer: str) -> tuple[Core, ...]:
        """The cores of a layer."""
        return self._by_layer.get(layer, ())

    @functools.cached_property
    def _by_layer(self) -> dict[str, tuple[Core, ...]]:
        cores: dict[str, list[Core]] = {}
        for core in self.cores:
            cores.setdefault(core.layer, []).append(core)
        return {layer: tuple(there) for layer, there in cores.items()}


def place(network: Network, profile: Profile) -> Placement | None:
    """Put a network on a chip, or None when the profile does not say how large its cores are."""
    per_core = profile.limit("neurons_per_core")
    if per_core is None:
        return None
    capacity, axons = profile.limit("synapse_memory_bits"), profile.limit("in_axons_per_core")
    too_large = []
    parts: dict[str, int] = {INPUT: math.ceil(network.inputs / per_core)} if profile.limit("input_cores") else {}
    for layer in network.layers:
        name = layer.name
        at_least = parts[name] = math.ceil(layer.neurons / per_core)
        if axons is not None and _axons(network, name, 1) <= axons:
            parts[name] = _fewest(layer, at_least, functools.partial(_axons, network, name), axons)
        if capacity is not None:
            if _memory(network, profile, name, 1) > capacity:
                too_large.append(name)
                parts[name] = layer.neurons
            else:
                memory = functools.partial(_memory, network, profile, name)
                parts[name] = _fewest(layer, parts[name], memory, capacity)
    if (most := profile.limit("out_axons_per_core")) is not None:
        _split_for_destinations(network, parts, most)
    split = [piece for name, count in parts.items() for piece in _spread(name, network.size(name), count)]
    largest = {layer.name: math.ceil(layer.neurons / parts[layer.name]) for layer in network.layers}
    per_tile = profile.limit("cores_per_tile") or 1
    tiles = math.ceil(len(split) / per_tile)
    width = math.ceil(math.sqrt(tiles))
    cores = tuple(
        Core(name, neurons, (k // per_tile) % width, (k // per_tile) // width)
        for k, (name, neurons) in enumerate(split)
    )
    return Placement(
        cores,
        tiles,
        {} if capacity is None else {name: _memory(network, profile, name, n) for name, n in largest.items()},
        {name: _axons(network, name, n) for name, n in largest.items()},
        {
            name: math.ceil(math.ceil(network.size(name) / count) * _reach(network, parts, name))
            for name, count in parts.items()
        },
        tuple(too_large),
    )


def matrix_kind(network: Network, matrix: Synapses) -> str:
    """dense, sparse or conv: how a chip stores and reads the weights."""
    if matrix.kernel is not None:
        return "conv"
    full = network.size(matrix.source) * network.size(matrix.target)
    return "dense" if network.synapses_of(matrix) == full else "sparse"


def axons_of(network: Network, matrix: Synapses, neurons: int) -> int:
    """At most so many sources reach ``neurons`` of the target through these synapses."""
    sources = min(network.size(matrix.source), neurons * network.fan_in_of(matrix))
    return sources if matrix.kernel is None else min(sources, matrix.kernel.sources(neurons))


def _axons(network: Network, layer: str, neurons: int) -> int:
    return sum(axons_of(network, matrix, neurons) for matrix in network.into(layer))


def _memory(network: Network, profile: Profile, layer: str, neurons: int) -> int:
    """Bits of synapse memory on a core with so many neurons of a layer."""
    word, overhead = profile.limit("axon_word_bits") or 1, profile.limit("axon_overhead_bits") or 0
    index = max(profile.limit("axon_index_bits") or 0, (neurons - 1).bit_length())
    total = 0
    for matrix in network.into(layer):
        bits, axons = network.bits_of(matrix), axons_of(network, matrix, neurons)
        if matrix.kernel is not None and profile.limit("shared_kernels"):
            total += network.weights_of(matrix) * bits
            continue
        dense = axons * math.ceil((neurons * bits + overhead) / word) * word
        synapses = min(neurons * network.fan_in_of(matrix), network.synapses_of(matrix))
        sparse = synapses * (bits + index) + axons * (overhead + word - 1)
        total += dense if matrix_kind(network, matrix) == "dense" else min(dense, sparse)
    return total


def _fewest(layer: Layer, at_least: int, need: Callable[[int], int], limit: int) -> int:
    """The smallest number of cores, from ``at_least`` on, whose fullest one needs no more than the limit; one neuron does."""
    low, high = at_least, layer.neurons
    while low < high:
        middle = (low + high) // 2
        if need(math.ceil(layer.neurons / middle)) <= limit:
            high = middle
        else:
            low = middle + 1
    return low


def _split_for_destinations(network: Network, parts: dict[str, int], most: int) -> None:
    """More cores for layers whose neurons have too many destinations; gives up where that makes ever more of them."""
    start = dict(parts)
    for _ in range(_ROUNDS):
        before = dict(parts)
        for source, count in before.items():
            size = network.size(source)
            reach = _reach(network, parts, source)
            per_core = size if reach * size <= most else max(1, int(most / reach))
            parts[source] = max(count, math.ceil(size / per_core))
        if parts == before:
            return
    parts.update(start)


def _reach(network: Network, parts: dict[str, int], source: str) -> float:
    """Cores that a spike of a layer reaches."""
    reach: dict[str, float] = {}
    for matrix in network.synapses:
        if matrix.source == source:
            small, larger = divmod(network.size(matrix.target), parts[matrix.target])
            there = (parts[matrix.target] - larger) * axons_of(network, matrix, small)
            there += larger * axons_of(network, matrix, small + 1)
            reach[matrix.target] = max(reach.get(matrix.target, 0.0), there / network.size(source))
    return sum(reach.values())


def _spread(name: str, neurons: int, parts: int) -> list[tuple[str, int]]:
    """``neurons`` in ``parts`` pieces that differ by one at most, larger ones first."""
    small, larger = divmod(neurons, parts)
    return [(name, small + (k < larger)) for k in range(parts)]
