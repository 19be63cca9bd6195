"""Traffic: messages, hops and loads of links that a placement makes of counts.

A spike is one message to each core that holds a target, and travels |dx| + |dy| tiles, first along x; inputs from outside of
the chip travel none. A layer's spikes are taken as even over its neurons.
"""

import dataclasses
from typing import NamedTuple

from .counts import Counts
from .network import Network
from .placement import Core, Placement, axons_of
from .synapses import INPUT

__all__ = ["Traffic", "busiest_link", "traffic"]

Tile = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Messages and hops per sample, by the layer that sends them."""

    messages: dict[str, float]
    hops_ew: dict[str, float]
    hops_ns: dict[str, float]


def traffic(counts: Counts, placement: Placement) -> Traffic | None:
    """Messages and hops, with a layer's spikes spread evenly over its neurons; None when events are not known."""
    flows = _flows(counts, placement)
    if flows is None:
        return None
    hops = [{flow.source: flow.events * _distance(flow, axis) for flow in flows} for axis in (0, 1)]
    return Traffic({flow.source: flow.events * sum(flow.there.values()) for flow in flows}, *hops)


def busiest_link(counts: Counts, placement: Placement) -> float | None:
    """Messages per sample over the link between two neighbouring tiles, and in one direction, that carries most of them.

    Messages go along x in the row where they start, and then along y in the column where they end: the load of a link is what
    starts before it in its row (or in all rows) times what ends behind it. None when events are not known.
    """
    flows = _flows(counts, placement)
    if flows is None:
        return None
    load: dict[tuple[str, int, int, int], float] = {}
    for flow in flows:
        columns, rows = _along(flow.there, 0), _along(flow.here, 1)
        for row in {y for _, y in flow.here}:
            _pass(load, ("x", row), {x: n for (x, y), n in flow.here.items() if y == row}, columns, flow.events)
        for column in columns:
            _pass(load, ("y", column), rows, {y: n for (x, y), n in flow.there.items() if x == column}, flow.events)
    return max(load.values(), default=0.0)


class _Flow(NamedTuple):
    """What one layer sends: its events, where they start (shares of its neurons by tile), and the cores by tile that each reaches."""

    source: str
    events: float
    here: dict[Tile, float]
    there: dict[Tile, float]


def _flows(counts: Counts, placement: Placement) -> list[_Flow] | None:
    network = counts.network
    assert network is not None
    flows = []
    for source in (INPUT, *(layer.name for layer in network.layers)):
        leaving = [matrix for matrix in network.synapses if matrix.source == source]
        sent = [counts.sent_through(matrix) for matrix in leaving]
        if any(number is None for number in sent):
            return None
        if leaving:
            here: dict[Tile, float] = {}
            for core in placement.of(source):
                here[core.x, core.y] = here.get((core.x, core.y), 0.0) + core.neurons / network.size(source)
            there: dict[Tile, float] = {}
            for core, share in _destinations(network, placement, source):
                there[core.x, core.y] = there.get((core.x, core.y), 0.0) + share
            flows.append(_Flow(source, max(number for number in sent if number is not None), here, there))
    return flows


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


def _along(tiles: dict[Tile, float], axis: int) -> dict[int, float]:
    """Summed over the other axis."""
    line: dict[int, float] = {}
    for tile, amount in tiles.items():
        line[tile[axis]] = line.get(tile[axis], 0.0) + amount
    return line


def _distance(flow: _Flow, axis: int) -> float:
    """Tiles that the messages of one event travel along an axis."""
    here, there = _along(flow.here, axis), _along(flow.there, axis)
    return sum(n * m * abs(a - b) for a, n in here.items() for b, m in there.items())


def _pass(
    load: dict[tuple[str, int, int, int], float],
    line: tuple[str, int],
    here: dict[int, float],
    there: dict[int, float],
    events: float,
) -> None:
    """Add to the links of one row or column what starts at ``here`` and ends at ``there``."""
    places = {*here, *there}
    for at in range(min(places), max(places)):
        for direction in (1, -1):
            before = sum(n for place, n in here.items() if (place <= at) == (direction == 1))
            behind = sum(n for place, n in there.items() if (place > at) == (direction == 1))
            key = (*line, at, direction)
            load[key] = load.get(key, 0.0) + events * before * behind
