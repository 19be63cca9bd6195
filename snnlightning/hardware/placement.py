"""Placement: which neurons go to which core, and the messages and hops that follow.

Every layer has cores of its own; its neurons are spread evenly over the smallest number of cores that holds them:

    n <= neurons_per_core     and     fan_in * ceil_to_word(n * weight_bits + overhead) <= synapse_memory_bits

(a dense layer: every core stores one row of n weights for each source). Where a chip sends inputs from cores
(``input_cores``), they have cores of their own. Cores fill tiles in the order of the layers; tiles lie row by row in a square. A spike is one message to each core that holds a
target, and travels |dx| + |dy| tiles; inputs from outside travel none. One neuron that does not fit a core is a wall; too many cores are a budget.
"""

import dataclasses
import math

from .band import Band
from .counts import Counts
from .network import INPUT, Network
from .profile import Profile

__all__ = ["Core", "Placement", "Traffic", "place", "step_latency_ns", "traffic"]


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
        too_large: layers of which not even one neuron fits the memory of a core.
    """

    cores: tuple[Core, ...]
    tiles: int
    memory_bits: dict[str, int]
    too_large: tuple[str, ...]

    def of(self, layer: str) -> tuple[Core, ...]:
        """The cores of a layer."""
        return tuple(core for core in self.cores if core.layer == layer)


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Messages and hops per sample, by the layer that sends them."""

    messages: dict[str, float]
    hops_ew: dict[str, float]
    hops_ns: dict[str, float]


def place(network: Network, profile: Profile) -> Placement | None:
    """Put a network on a chip, or None when the profile does not say how large its cores are."""
    per_core = profile.limit("neurons_per_core")
    if per_core is None:
        return None
    memory: dict[str, int] = {}
    too_large = []
    split: list[tuple[str, int]] = []
    if profile.limit("input_cores"):
        split += _spread(INPUT, network.inputs, math.ceil(network.inputs / per_core))
    for layer in network.layers:
        parts = math.ceil(layer.neurons / per_core)
        capacity = profile.limit("synapse_memory_bits")
        if capacity is not None:
            fits = [k for k in range(parts, layer.neurons + 1) if _memory(network, profile, layer.name, k) <= capacity]
            if not fits:
                too_large.append(layer.name)
            parts = fits[0] if fits else layer.neurons
            memory[layer.name] = _memory(network, profile, layer.name, parts)
        split += _spread(layer.name, layer.neurons, parts)
    per_tile = profile.limit("cores_per_tile") or 1
    tiles = math.ceil(len(split) / per_tile)
    width = math.ceil(math.sqrt(tiles))
    cores = tuple(
        Core(name, neurons, (k // per_tile) % width, (k // per_tile) // width)
        for k, (name, neurons) in enumerate(split)
    )
    return Placement(cores, tiles, memory, tuple(too_large))


def traffic(counts: Counts, placement: Placement) -> Traffic | None:
    """Messages and hops, with a layer's spikes spread evenly over its neurons; None when events are not known."""
    network = counts.network
    assert network is not None
    messages: dict[str, float] = {}
    hops_ew: dict[str, float] = {}
    hops_ns: dict[str, float] = {}
    for source in (INPUT, *(layer.name for layer in network.layers)):
        targets = {matrix.target for matrix in network.synapses if matrix.source == source}
        if not targets:
            continue
        events = counts.input_events if source == INPUT else counts.spikes.get(source)
        if events is None:
            return None
        there = [core for target in sorted(targets) for core in placement.of(target)]
        messages[source] = events * len(there)
        hops_ew[source] = hops_ns[source] = 0.0
        for here in placement.of(source):
            share = events * here.neurons / network.size(source)
            hops_ew[source] += share * sum(abs(core.x - here.x) for core in there)
            hops_ns[source] += share * sum(abs(core.y - here.y) for core in there)
    return Traffic(messages, hops_ew, hops_ns)


def step_latency_ns(counts: Counts, profile: Profile, placement: Placement) -> Band | None:
    """Time of one step on the slowest core, in ns; None when times, or the events that take them, are not known.

    t_step = t_sync + (tiles - 1) t_tile + max(max_core[messages t_msg + synops t_syn],
                                               max_core[n t_access + active t_update + spikes t_spike])

    Work is taken as even over steps and over the neurons of a layer, so this is the mean step: bursts are slower. Loads of
    links are not modelled, and MACs have no time: with them, None.
    """
    network = counts.network
    if network is None or profile.price("synop_ns") is None or counts.macs:
        return None
    if profile.price("message_ns") is not None and traffic(counts, placement) is None:
        return None

    def price(name: str) -> Band:
        return profile.price(name) or Band.exact(0.0)

    work: list[Band] = []
    active = counts.active / counts.neuron_updates if counts.neuron_updates else 0.0
    for layer in network.layers:
        share = max(core.neurons for core in placement.of(layer.name)) / layer.neurons / counts.steps
        messages = synops = 0.0
        for matrix in network.synapses:
            if matrix.target == layer.name:
                events = counts.input_events if matrix.source == INPUT else counts.spikes.get(matrix.source)
                messages += (events or 0.0) / counts.steps
                synops += counts.synops.get(matrix.name, 0.0) * share
        updates = share * layer.neurons * counts.steps
        work.append(Band.sum([price("message_ns").times(messages), price("synop_ns").times(synops)]))
        work.append(
            Band.sum(
                [
                    price("neuron_access_ns").times(updates),
                    price("neuron_update_ns").times(updates * active),
                    price("spike_ns").times(counts.spikes.get(layer.name, 0.0) * share),
                ]
            )
        )
    return Band.sum([price("sync_ns"), price("sync_per_tile_ns").times(placement.tiles - 1), Band.max(work)])


def _memory(network: Network, profile: Profile, layer: str, parts: int) -> int:
    """Bits of synapse memory on the fullest of ``parts`` cores."""
    word = profile.limit("axon_word_bits") or 1
    row = math.ceil(network.size(layer) / parts) * network.weight_bits + (profile.limit("axon_overhead_bits") or 0)
    return network.fan_in(layer) * math.ceil(row / word) * word


def _spread(name: str, neurons: int, parts: int) -> list[tuple[str, int]]:
    """``neurons`` in ``parts`` pieces that differ by one at most, larger ones first."""
    small, larger = divmod(neurons, parts)
    return [(name, small + (k < larger)) for k in range(parts)]
