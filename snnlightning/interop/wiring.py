"""Wiring: a NIR graph as layers in a row, or the node at which it stops being that.

Read from the edges alone (files do not keep the order of nodes). What is accepted:

    Input -> ([Delay ->] synapses -> neurons) -> ([Delay ->] synapses -> neurons) -> ... -> Output

where ``synapses`` is Linear, Affine, Conv1d or Conv2d and ``neurons`` a neuron node, a subgraph Input -> neuron -> Output with a loop
neuron -> [Delay ->] synapses -> neuron, or the same loop flattened into the graph. SumPool2d and Flatten may stand between neurons and the
synapses behind them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError
from .nodes import NEURON_NODES

__all__ = ["Wired", "wired"]

WEIGHTS = ("Linear", "Affine", "Conv1d", "Conv2d")
BETWEEN = ("SumPool2d", "Flatten")
_WAY_OUT = {
    "AvgPool2d": "write it as SumPool2d, and divide the weights behind it by the size of a patch",
    "Delay": "delays come before weights here (or are one step in the loop of a recurrent CubaLIF); take it out, or put it there",
    "NIRGraph": "only the subgraph of one recurrent layer is read; put its nodes into the outer graph",
    "Scale": "multiply the rows (or columns) of the neighbouring weights by it",
    "Threshold": "write the integrator before it and the threshold as one LIF node",
}


@dataclasses.dataclass(frozen=True)
class Wired:
    """One layer: its nodes with their names, ``subgraph/node`` for those inside one."""

    weight: tuple[str, Any]
    neuron: tuple[str, Any]
    loop: tuple[str, Any] | None = None
    delay: tuple[str, Any] | None = None
    axon: tuple[str, Any] | None = None


def wired(graph: Any, *, input_into_loop: bool = False) -> list[Wired | tuple[str, Any]]:
    """The layers of a graph, first to last, and between them the nodes that are none (with their names).

    Args:
        graph: a ``nir.NIRGraph``.
        input_into_loop: whether a subgraph whose input goes into the loop's weights means the neurons by it.

    Raises:
        ConfigurationError: the node that does not fit, by name and type, with the way out.
    """
    nodes, edges = _checked(graph, "the graph")
    for name, node in nodes.items():
        if kind(node) not in ("Input", "Output", "NIRGraph", "Delay", *BETWEEN, *WEIGHTS, *NEURON_NODES):
            raise _unreadable(name, node)
    loops = _loops(nodes, edges)
    chain = _chain(nodes, edges, loops)
    layers: list[Wired | tuple[str, Any]] = []
    weight: tuple[str, Any] | None = None
    axon: tuple[str, Any] | None = None
    for name in chain:
        node = nodes[name]
        _check_place(name, node, weight, axon)
        if kind(node) == "Delay":
            axon = (name, node)
            continue
        if kind(node) in BETWEEN:
            layers.append((name, node))
            continue
        if kind(node) in WEIGHTS:
            weight = (name, node)
            continue
        if weight is None:
            raise ConfigurationError(
                f"node {name!r} ({kind(node)}) follows no weights; put a Linear node (the identity, for example) before it."
            )
        parts = (
            _subgraph(name, node, weight, input_into_loop)
            if kind(node) == "NIRGraph"
            else _with_loop(nodes, "", name, weight, loops.get(name))
        )
        layers.append(dataclasses.replace(parts, axon=axon))
        weight = axon = None
    if axon is not None and weight is None:
        raise _unreadable(*axon)
    if weight is not None or not layers or not isinstance(layers[-1], Wired):
        last = weight or (layers[-1] if layers else None)
        what = f"node {last[0]!r} ({kind(last[1])})" if isinstance(last, tuple) else "the input"
        raise ConfigurationError(f"{what} goes to the output without neurons; put LI nodes (or LIF) behind it.")
    return layers


def _check_place(name: str, node: Any, weight: tuple[str, Any] | None, axon: tuple[str, Any] | None) -> None:
    """Refuse what may not stand behind weights, or behind a delay."""
    if kind(node) == "Delay" and (weight is not None or axon is not None):
        raise _unreadable(name, node)
    if axon is not None and weight is None and kind(node) not in WEIGHTS:
        raise _unreadable(*axon)
    if weight is not None and kind(node) in (*WEIGHTS, *BETWEEN):
        way_out = (
            "multiply the two matrices into one"
            if kind(node) in WEIGHTS
            else "put it behind the neurons, or before the weights"
        )
        raise ConfigurationError(
            f"node {name!r} ({kind(node)}) follows {weight[0]!r} ({kind(weight[1])}) with no neurons between them; {way_out}."
        )


def kind(node: Any) -> str:
    """The type of a node as NIR names it."""
    return type(node).__name__


def _with_loop(nodes: dict[str, Any], prefix: str, name: str, weight: tuple[str, Any], loop: "_Loop | None") -> Wired:
    if loop is None:
        return Wired(weight, (prefix + name, nodes[name]))
    delay = None if loop.delay is None else (prefix + loop.delay, nodes[loop.delay])
    return Wired(weight, (prefix + name, nodes[name]), (prefix + loop.weight, nodes[loop.weight]), delay)


def _subgraph(name: str, graph: Any, weight: tuple[str, Any], input_into_loop: bool) -> Wired:
    nodes, edges = _checked(graph, f"subgraph {name!r}")
    neurons = [inner for inner, node in nodes.items() if kind(node) in NEURON_NODES]
    fits = len(neurons) == 1
    if fits and input_into_loop:
        start = next(inner for inner, node in nodes.items() if kind(node) == "Input")
        edges = [(a, neurons[0]) if a == start and kind(nodes[b]) in WEIGHTS else (a, b) for a, b in edges]
    loops = _loops(nodes, edges) if fits else {}
    try:
        fits = fits and _chain(nodes, edges, loops) == neurons
    except ConfigurationError:
        fits = False
    if not fits:
        inside = ", ".join(f"{a} -> {b}" for a, b in edges)
        raise ConfigurationError(
            f"node {name!r} is a NIRGraph of {inside}; the subgraph of a recurrent layer is input -> neuron -> output with "
            "one loop neuron -> Linear or Affine -> neuron."
            + (" Spyx writes its input into the loop: dialect='spyx'." if len(neurons) == 1 else "")
        )
    return _with_loop(nodes, f"{name}/", neurons[0], weight, loops.get(neurons[0]))


@dataclasses.dataclass(frozen=True)
class _Loop:
    weight: str
    delay: str | None
    edges: tuple[tuple[str, str], ...]


def _unreadable(name: str, node: Any) -> ConfigurationError:
    way_out = _WAY_OUT.get(kind(node), "take it out, or write what it does with Linear, Affine and neuron nodes")
    known = ", ".join((*WEIGHTS, *NEURON_NODES, *BETWEEN))
    return ConfigurationError(
        f"node {name!r} is a {kind(node)}, which has no counterpart here: {way_out}. Read: {known}."
    )


def _checked(graph: Any, where: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges with every edge between nodes that are there, once, and one input and one output."""
    nodes = dict(graph.nodes)
    edges = [(str(a), str(b)) for a, b in graph.edges]
    for edge in edges:
        for end in edge:
            if end not in nodes:
                raise ConfigurationError(f"edge {edge} of {where} names {end!r}, and there is no such node.")
        if edges.count(edge) > 1:
            raise ConfigurationError(f"edge {edge} of {where} is there twice; inputs add up, so keep one of them.")
    for end in ("Input", "Output"):
        names = [name for name, node in nodes.items() if kind(node) == end]
        if len(names) != 1:
            listed = f" ({', '.join(names)})" if names else ""
            raise ConfigurationError(f"{where} has {len(names)} {end} nodes{listed}; one is expected.")
    return nodes, edges


def _loops(nodes: dict[str, Any], edges: Sequence[tuple[str, str]]) -> dict[str, _Loop]:
    """Loops neuron -> [Delay ->] weights -> neuron, by neuron; the nodes in the loop have no other edge."""
    into: dict[str, list[str]] = {name: [a for a, b in edges if b == name] for name in nodes}
    out: dict[str, list[str]] = {name: [b for a, b in edges if a == name] for name in nodes}
    loops: dict[str, _Loop] = {}
    for name, node in nodes.items():
        if kind(node) not in WEIGHTS or len(into[name]) != 1 or len(out[name]) != 1:
            continue
        source, target, delay = into[name][0], out[name][0], None
        path = [(source, name), (name, target)]
        for passed in (source, target):
            if kind(nodes[passed]) == "Delay" and len(into[passed]) == len(out[passed]) == 1:
                delay = passed
                source, target = (into[passed][0], target) if passed == source else (source, out[passed][0])
                path += [(into[passed][0], passed), (passed, out[passed][0])]
                break
        if source != target or kind(nodes[source]) not in NEURON_NODES:
            continue
        if source in loops:
            raise ConfigurationError(
                f"node {source!r} ({kind(nodes[source])}) has two loops, over {loops[source].weight!r} and {name!r}; "
                "add the two matrices."
            )
        loops[source] = _Loop(name, delay, tuple(dict.fromkeys(path)))
    return loops


def _chain(nodes: dict[str, Any], edges: Sequence[tuple[str, str]], loops: dict[str, _Loop]) -> list[str]:
    """Nodes between input and output, loops aside, each with one way in and one way out."""
    start, end = (next(name for name, node in nodes.items() if kind(node) == what) for what in ("Input", "Output"))
    edges = [edge for edge in edges if not any(edge in loop.edges for loop in loops.values())]
    chain: list[str] = []
    at = start
    while at != end:
        ways = [b for a, b in edges if a == at]
        if len(ways) != 1:
            goes = f"goes to {', '.join(map(repr, ways))}" if ways else "goes nowhere"
            raise ConfigurationError(
                f"node {at!r} ({kind(nodes[at])}) {goes}; layers in a row are expected (a loop goes from one neuron node "
                "over one Linear or Affine node back to it)."
            )
        at = ways[0]
        sources = [a for a, b in edges if b == at]
        if len(sources) != 1:
            raise ConfigurationError(
                f"node {at!r} ({kind(nodes[at])}) takes input from {', '.join(map(repr, sources))}; layers in a row are "
                "expected, each fed by one."
            )
        chain.append(at)
    aside = {name for loop in loops.values() for name in (loop.weight, loop.delay)}
    if lost := sorted(set(nodes) - {start, *chain, *aside}):
        raise ConfigurationError(
            f"node {lost[0]!r} ({kind(nodes[lost[0]])}) is not on the way from input to output; take it out."
        )
    return chain[:-1]
