"""to_nir: a network as a NIR graph."""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .. import __version__
from ..errors import ConfigurationError
from ..layers import AbstractStage, SpikingLayer, SpikingNetwork
from ..neurons import CubaLIF
from ..surrogates import AbstractSurrogate
from . import dialects
from .dialects import Dialect
from .nir_files import nir_package
from .nodes import node_of, taus_in_effect
from .notes import described, note

__all__ = ["to_nir"]


def to_nir(net: nn.Module, *, dialect: str | Dialect = "nir") -> Any:
    """The NIR graph of a network: tau dv/dt = (v_leak - v) + r i, with tau in seconds.

    A layer ``L`` becomes ``L_w_in`` (``Linear``, or ``Affine`` with its bias) and the neurons ``L`` (``IF``, ``LIF``,
    ``CubaLIF``, ``I``, ``LI``, ``CubaLI``). A recurrent layer's ``L`` is a subgraph input -> lif -> output with the loop
    lif -> w_rec -> lif; in spytorch's ordering a ``Delay`` of one step comes before ``w_rec``. Weights, time constants and
    biases are the ones in effect: masks, parametrisations and learned time constants are folded into numbers.

        r = g / (1 - exp(-dt / tau_mem)), w_in = 1 / (1 - exp(-dt / tau_syn)), r = 1 / dt for IF; v_leak = v_reset = 0

    (g = 1, or 1 - b in stork's ordering): the exact integration of the graph's equations over a step is our update. What NIR
    has no field for (time step, kind of reset, ordering, surrogate, readout over time) goes into the metadata, where
    :func:`from_nir` finds it: the way there and back changes no spike and no weight.

    Args:
        net: a :class:`~snnlightning.layers.SpikingNetwork`, or a module that holds one as ``network``.
        dialect: who will read the graph: ``nir`` (the mathematics, seconds), or a framework that steps otherwise:
            ``norse``, ``sinabs``, ``snntorch``, ``spyx``; then tau and r are such that *its* steps have our decays and gains.

    Returns:
        A ``nir.NIRGraph`` with the nodes ``input`` and ``output``; arrays of the network's dtype for weights, float64 for
        neurons.

    Raises:
        MissingDependencyError: ``nir`` is not installed.
        ConfigurationError: NIR cannot express a layer; the message names it.

    Source: Pedersen et al. 2024, Nature Communications 15, 8122; the equations as in the docstrings of nir 1.0.8.

    Example:
        >>> from snnlightning import LI, LIF, MeanOverTime, SpikingLayer, SpikingNetwork
        >>> hidden = SpikingLayer(3, 4, neuron=LIF(tau_mem_ms=20.0), recurrent=True)
        >>> graph = to_nir(SpikingNetwork([hidden, SpikingLayer(4, 2, neuron=LI())], MeanOverTime()))
        >>> graph.edges[:2], graph.nodes["hidden_0"].edges[1:3]
        ([('input', 'hidden_0_w_in'), ('hidden_0_w_in', 'hidden_0')], [('lif', 'w_rec'), ('w_rec', 'lif')])
        >>> graph.nodes["hidden_0"].nodes["lif"].tau.tolist()
        [0.02, 0.02, 0.02, 0.02]
    """
    nir = nir_package()
    reader = dialects.named_dialect(dialect)
    network = _network_of(net)
    layers = _plain_layers(network)
    first = layers[0][1]
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array([first.in_features])})}
    edges: list[tuple[str, str]] = []
    last = "input"
    for name, layer in layers:
        try:
            if layer.neuron.dt_ms != first.neuron.dt_ms:
                raise ConfigurationError(
                    f"its dt_ms is {layer.neuron.dt_ms} and the first layer's {first.neuron.dt_ms}; "
                    "NIR has one time, so give all layers the same step."
                )
            nodes[f"{name}_w_in"] = _weights(nir, layer, reader)
            nodes[name] = _neurons(nir, layer, reader)
        except ConfigurationError as error:
            raise ConfigurationError(f"layer {name!r} ({type(layer.neuron).__name__}): {error}") from None
        edges += [(last, f"{name}_w_in"), (f"{name}_w_in", name)]
        last = name
    nodes["output"] = nir.Output(output_type={"output": np.array([layers[-1][1].out_features])})
    edges.append((last, "output"))
    about = note(
        version=__version__, dialect=_about(reader), dt_ms=first.neuron.dt_ms, readout=_readout(network.readout)
    )
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=about)


def _plain_layers(network: SpikingNetwork) -> list[tuple[str, SpikingLayer]]:
    """The layers with their names; anything else in the row is refused."""
    names = iter(network.names)
    layers: list[tuple[str, SpikingLayer]] = []
    for at, module in enumerate(network.layers):
        name = next(names) if isinstance(module, AbstractStage) else f"layers[{at}]"
        if not isinstance(module, SpikingLayer):
            raise ConfigurationError(
                f"layer {name!r} is a {type(module).__name__}, for which NIR export has no nodes; it writes rows of SpikingLayer."
            )
        if module.norm is not None:
            raise ConfigurationError(
                f"layer {name!r} has a {type(module.norm).__name__}, for which NIR has no node; export fold(network), whose weights "
                "have it in them (BatchNorm only)."
            )
        layers.append((name, module))
    return layers


def _network_of(net: nn.Module) -> SpikingNetwork:
    found = net if isinstance(net, SpikingNetwork) else getattr(net, "network", None)
    if not isinstance(found, SpikingNetwork):
        inner = "" if found is None else f" whose network is a {type(found).__name__}"
        raise ConfigurationError(
            f"{type(net).__name__}{inner} cannot be exported; a SpikingNetwork (layers in a row), or a module that holds "
            "one as 'network', is expected."
        )
    if type(found).forward is not SpikingNetwork.forward:
        raise ConfigurationError(
            f"{type(found).__name__} has a forward of its own, and a graph of its layers in a row may not be what it "
            "computes; build a SpikingNetwork of the layers."
        )
    return found


def _weights(nir: Any, layer: SpikingLayer, reader: Dialect) -> Any:
    weight = _array("w_in", layer.w_in)
    if layer.bias is not None:
        return nir.Affine(weight=weight, bias=_array("bias", layer.bias))
    if reader.affine:
        zeros = np.zeros(layer.out_features, dtype=weight.dtype)
        return nir.Affine(weight=weight, bias=zeros, metadata=note(bias=False))
    return nir.Linear(weight=weight)


def _neurons(nir: Any, layer: SpikingLayer, reader: Dialect) -> Any:
    neurons = _neuron_node(nir, layer, reader)
    if layer.w_rec is None:
        return neurons
    shape = np.array([layer.out_features])
    w_rec = _array("w_rec", layer.w_rec)
    nodes = {
        "input": nir.Input(input_type={"input": shape}),
        "lif": neurons,
        "w_rec": nir.Linear(weight=w_rec),
        "output": nir.Output(output_type={"output": shape}),
    }
    if reader.affine:
        nodes["w_rec"] = nir.Affine(
            weight=w_rec, bias=np.zeros(layer.out_features, w_rec.dtype), metadata=note(bias=False)
        )
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    if isinstance(layer.neuron, CubaLIF) and layer.neuron.ordering == "spytorch":
        nodes["delay"] = nir.Delay(delay=np.full(layer.out_features, reader.step(layer.neuron.dt_ms)))
        edges[1:2] = [("lif", "delay"), ("delay", "w_rec")]
    return nir.NIRGraph(nodes=nodes, edges=edges)


def _neuron_node(nir: Any, layer: SpikingLayer, reader: Dialect) -> Any:
    if type(layer).run is not SpikingLayer.run or type(layer).forward is not SpikingLayer.forward:
        raise ConfigurationError(f"{type(layer).__name__} runs in a way of its own; NIR export knows SpikingLayer's.")
    if layer.surrogate is not None and not isinstance(layer.surrogate, AbstractSurrogate):
        raise ConfigurationError(
            f"its surrogate is {layer.surrogate!r}, which need not be the step in the forward pass, and a NIR node spikes at "
            "its threshold; export with a surrogate of snnlightning.surrogates in its place."
        )
    neuron = layer.settled_neuron()
    names = [neuron.parameter_name(name) for name in neuron.learned]
    learned = {name: cast(Tensor, getattr(layer, name)) for name in names}
    node = node_of(neuron, taus_in_effect(neuron, learned, layer.out_features), layer.out_features, reader)
    if not hasattr(nir, node.type):
        raise ConfigurationError(f"nir {nir.version} has no {node.type} node; install nir 1.0.5 or newer.")
    about = note(
        neuron=described(neuron),
        surrogate=None if layer.surrogate is None else described(layer.surrogate),
        learned={name: log.detach().cpu().tolist() for name, log in learned.items()},
    )
    cls = getattr(nir, node.type)
    known = cls.__dataclass_fields__  # v_reset came with nir 1.0.6
    return cls(**{key: values for key, values in node.fields.items() if key in known}, metadata=about)


def _array(name: str, tensor: Tensor) -> Any:
    """A tensor as an array of its own memory: what happens to the network afterwards does not change the graph."""
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ConfigurationError(
            f"{name} is {tensor.dtype}, for which NIR files have no type; export net.float() instead."
        )
    if tensor.ndim not in (1, 2):
        raise ConfigurationError(f"{name} is {list(tensor.shape)}; NIR export takes one network at a time.")
    if not torch.isfinite(tensor).all():
        raise ConfigurationError(f"{name} has values that are not finite; the network's training diverged.")
    return tensor.detach().cpu().numpy().copy()


def _readout(readout: Any) -> Any:
    """A readout of ours as its name and fields; anything else by the name it goes by, for the message on the way back."""
    try:
        return described(readout)
    except TypeError:
        return {"type": getattr(readout, "__name__", type(readout).__name__)}


def _about(reader: Dialect) -> Any:
    """Our dialects by name, another one in full."""
    return reader.name if dialects.DIALECTS.get(reader.name) == reader else described(reader)
