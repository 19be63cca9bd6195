"""Traffic: messages, hops and loads of links that a placement makes of counts.

A spike is one message to each core that holds a target, and travels |dx| + |dy| tiles, first along x; inputs from outside of
the chip travel none. A layer's spikes are taken as even over its neurons.
"""

import dataclasses

from .counts import Counts
from .network import Network
from .placement import Core, Placement, axons_of
from .synapses import INPUT

__all__ = ["Traffic", "busiest_link", "traffic"]


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Messages and hops per sample, by the layer that sends them."""

    messages: dict[str, float]
    hops_ew: dict[str, float]
    hops_ns: dict[str, float]


def traffic(counts: Counts, placement: Placement) -> Traffic | None:
    """Messages and hops, with a layer's spikes spread evenly over its neurons; None when events are not known."""
    network = counts.network
    assert network is not None
    messages: dict[str, float] = {}
    hops_ew: dict[str, float] = {}
    hops_ns: dict[str, float] = {}
    for source in (INPUT, *(layer.name for layer in network.layers)):
        leaving = [matrix for matrix in network.synapses if matrix.source == source]
        if not leaving:
            continue
        sent = [counts.sent_through(matrix) for matrix in leaving]
        if any(number is None for number in sent):
            return None
        events = max(number for number in sent if number is not None)
        there = _destinations(network, placement, source)
        messages[source] = events * sum(share for _, share in there)
        hops_ew[source] = hops_ns[source] = 0.0
        tiles: dict[tuple[int, int], float] = {}
        for core, share in there:
            tiles[core.x, core.y] = tiles.get((core.x, core.y), 0.0) + share
        for here, neurons in _by_tile(placement.of(source)).items():
            part = events * neurons / network.size(source)
            hops_ew[source] += part * sum(abs(x - here[0]) * share for (x, _), share in tiles.items())
            hops_ns[source] += part * sum(abs(y - here[1]) * share for (_, y), share in tiles.items())
    return Traffic(messages, hops_ew, hops_ns)


def busiest_link(counts: Counts, placement: Placement) -> float | None:
    """Messages per sample over the link between two neighbouring tiles, and in one direction, that carries most of them.

    Messages go along x and then along y. None when events are not known.
    """
    network = counts.network
    assert network is not None
    load: dict[tuple[int, int, int, int], float] = {}
    for source in (INPUT, *(layer.name for layer in network.layers)):
        sent = [counts.sent_through(matrix) for matrix in network.synapses if matrix.source == source]
        if any(number is None for number in sent):
            return None
        events = max((number for number in sent if number is not None), default=0.0)
        there: dict[tuple[int, int], float] = {}
        for core, share in _destinations(network, placement, source):
            there[core.x, core.y] = there.get((core.x, core.y), 0.0) + share
        for (x, y), neurons in _by_tile(placement.of(source)).items():
            for (to_x, to_y), share in there.items():
                messages = events * neurons / network.size(source) * share
                step = 1 if to_x > x else -1
                for at in range(x, to_x, step):
                    load[at, y, step, 0] = load.get((at, y, step, 0), 0.0) + messages
                step = 1 if to_y > y else -1
                for at in range(y, to_y, step):
                    load[to_x, at, 0, step] = load.get((to_x, at, 0, step), 0.0) + messages
    return max(load.values(), default=0.0)


def _destinations(network: Network, placement: Placement, source: str) -> list[tuple[Core, float]]:
    """Cores that hold targets of a layer, and the share of its neurons that reach each."""
    found: list[tuple[Core, float]] = []
    for layer in network.layers:
        leaving = [matrix for matrix in network.into(layer.name) if matrix.source == source]
        if leaving:
            cores = placement.of(layer.name)
            sizes = {core.neurons for core in cores}  # two at most
            axons = {n: max(axons_of(network, matrix, n) for matrix in leaving) for n in sizes}
            found += [(core, axons[core.neurons] / network.size(source)) for core in cores]
    return found


def _by_tile(cores: tuple[Core, ...]) -> dict[tuple[int, int], int]:
    """Neurons by tile."""
    tiles: dict[tuple[int, int], int] = {}
    for core in cores:
        tiles[core.x, core.y] = tiles.get((core.x, core.y), 0) + core.neurons
    return tiles
