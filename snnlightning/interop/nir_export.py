"""to_nir: a network as a NIR graph."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .. import __version__
from ..errors import ConfigurationError, ShapeError
from ..layers import (
    AbstractLayer,
    AbstractStage,
    ConvolutionalLayer,
    DelayedLayer,
    Dropout,
    Flatten,
    SpikingLayer,
    SpikingNetwork,
    SumPool,
    Unflatten,
)
from ..layers.abstract import Shape
from ..layers.convolution import RecurrentConvolution
from ..neurons import CubaLIF
from ..surrogates import AbstractSurrogate
from . import dialects
from .dialects import Dialect
from .maps import conv_node, flatten_node, over_maps, pool_node
from .nir_files import nir_package
from .nodes import node_of, taus_in_effect
from .notes import described, note

__all__ = ["to_nir"]


def to_nir(net: nn.Module, *, dialect: str | Dialect = "nir", input_shape: Sequence[int] | None = None) -> Any:
    """The NIR graph of a network: tau dv/dt = (v_leak - v) + r i, with tau in seconds.

    A layer ``L`` becomes ``L_w_in`` (``Linear``, or ``Affine`` with its bias) and the neurons ``L`` (``IF``, ``LIF``,
    ``CubaLIF``, ``I``, ``LI``, ``CubaLI``). A recurrent layer's ``L`` is a subgraph input -> lif -> output with the loop
    lif -> w_rec -> lif; in spytorch's ordering a ``Delay`` of one step comes before ``w_rec``. Weights, time constants and
    biases are the ones in effect: masks, parametrisations, weights on a chip's grid and learned time constants are folded
    into numbers. Convolutions are ``Conv1d`` and ``Conv2d`` (in the loop, too), ``SumPool`` is ``SumPool2d``, ``Flatten`` is
    ``Flatten``, and delays per axon are a ``Delay`` before the weights; an ``Unflatten`` in front is the shape of the input.

        r = g / (1 - exp(-dt / tau_mem)), w_in = 1 / (1 - exp(-dt / tau_syn)), r = 1 / dt for IF; v_leak = v_reset = 0

    (g = 1, or 1 - b in stork's ordering): the exact integration of the graph's equations over a step is our update. What NIR
    has no field for (time step, kind of reset, ordering, surrogate, readout over time) goes into the metadata, where
    :func:`from_nir` finds it: the way there and back changes no spike and no weight.

    Args:
        net: a :class:`~snnlightning.layers.SpikingNetwork`, or a module that holds one as ``network``.
        dialect: who will read the graph: ``nir`` (the mathematics, seconds), or a framework that steps otherwise:
            ``norse``, ``sinabs``, ``snntorch``, ``spyx``; then tau and r are such that *its* steps have our decays and gains.

        input_shape: a step of the input, channels first, where the first layer does not say it (a convolution, pooling).

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
    shape = _input_shape(network, input_shape)
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)}, metadata=_about_input(network))}
    edges: list[tuple[str, str]] = []
    last = "input"
    dt_ms = next(layer for layer in network.modules() if isinstance(layer, AbstractLayer)).neuron.dt_ms
    names = iter(network.names)
    for at, module in enumerate(network.layers):
        name = next(names) if isinstance(module, AbstractStage) else f"{type(module).__name__.lower()}_{at}"
        try:
            if isinstance(module, AbstractLayer) and module.neuron.dt_ms != dt_ms:
                raise ConfigurationError(
                    f"its dt_ms is {module.neuron.dt_ms} and the first layer's {dt_ms}; "
                    "NIR has one time, so give all layers the same step."
                )
            made = {} if at == 0 and isinstance(module, Unflatten) else _nodes(nir, module, name, shape, reader)
            shape = _after(module, shape)
        except (ConfigurationError, ShapeError) as error:
            what = type(module.neuron if isinstance(module, AbstractLayer) else module).__name__
            raise type(error)(f"layer {name!r} ({what}): {error}") from None
        for key, node in made.items():
            nodes[key] = node
            edges.append((last, key))
            last = key
    nodes["output"] = nir.Output(output_type={"output": np.array(shape)})
    edges.append((last, "output"))
    about = note(version=__version__, dialect=_about(reader), dt_ms=dt_ms, readout=_readout(network.readout))
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=about)


def _input_shape(network: SpikingNetwork, given: Sequence[int] | None) -> Shape:
    """A step of the input, as the first layer says it, or as it is said."""
    first = network.layers[0]
    known: Shape | None = None
    if isinstance(first, Unflatten):
        known = first.shape
    elif isinstance(first, SpikingLayer | DelayedLayer):
        known = (first.in_features,)
    if given is not None and known is not None and tuple(given) != known:
        raise ConfigurationError(f"input_shape is {list(given)}; the network takes {list(known)}. Leave it out.")
    if given is None and known is None:
        raise ConfigurationError(
            f"a network that begins with {type(first).__name__} does not say how large its maps are; pass input_shape=[C, H, W] (channels "
            "first)."
        )
    return tuple(given) if known is None and given is not None else cast(Shape, known)


def _about_input(network: SpikingNetwork) -> dict[str, str]:
    """Whether the data come flat, for the way back."""
    return note(flat=True) if isinstance(network.layers[0], Unflatten) else {}


def _after(module: nn.Module, shape: Shape) -> Shape:
    if isinstance(module, Unflatten):
        return module.shape
    follow: Any = getattr(module, "shape_after", None)
    return cast(Shape, follow(shape)) if follow is not None else shape


def _nodes(nir: Any, module: nn.Module, name: str, shape: Shape, reader: Dialect) -> dict[str, Any]:
    """The nodes of one module, in a row; none for what is nothing in evaluation."""
    if isinstance(module, AbstractLayer):
        return _layer(nir, module, name, shape, reader)
    if isinstance(module, SumPool):
        return {name: pool_node(nir, module)}
    if isinstance(module, Flatten):
        return {name: flatten_node(nir, shape)}
    if isinstance(module, Dropout):
        return {}
    raise ConfigurationError(
        "NIR export has no nodes for it; it writes dense, convolutional and delayed layers, SumPool and Flatten (and leaves out Dropout)."
    )


def _layer(nir: Any, layer: AbstractLayer, name: str, shape: Shape, reader: Dialect) -> dict[str, Any]:
    known = next((cls for cls in (SpikingLayer, DelayedLayer, ConvolutionalLayer) if isinstance(layer, cls)), None)
    if known is None or type(layer).run is not known.run or type(layer).forward is not known.forward:
        raise ConfigurationError(f"{type(layer).__name__} runs in a way of its own; NIR export knows SpikingLayer's.")
    if layer.norm is not None:
        raise ConfigurationError(
            f"it has a {type(layer.norm).__name__}, for which NIR has no node; export fold(network), whose weights have it in them "
            "(BatchNorm only)."
        )
    made: dict[str, Any] = {}
    if isinstance(layer, DelayedLayer):
        if layer.per != "axon":
            raise ConfigurationError(
                "it has a delay per synapse, and NIR's Delay is one per neuron; per='axon' can be exported."
            )
        seconds = layer.delays_in_steps().cpu().numpy() * reader.step(layer.neuron.dt_ms)
        made[f"{name}_delay"] = nir.Delay(delay=seconds, metadata=note(longest=layer.longest))
    maps = cast(Shape, layer.shape_after(shape))
    w_in, w_rec, bias = _in_effect(layer)
    made[f"{name}_w_in"] = _weights(nir, layer, w_in, bias, reader, shape)
    made[name] = _neurons(nir, layer, w_rec, reader, maps)
    return made


def _in_effect(layer: AbstractLayer) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Weights as evaluation uses them: on the grid of a chip where the layer runs at its precision."""
    quantization = layer.quantization
    if quantization is None:
        return layer.w_in, layer.w_rec, layer.bias
    for name in ("state_bits", "decay_bits"):
        if (bits := getattr(quantization, name)) is not None:
            raise ConfigurationError(
                f"it runs with {name}={bits}, and NIR has no field for rounded states and decays; export it in float "
                "(layer.set_quantization(None)), or with rounded weights alone (Quantization(weight_bits=...))."
            )
    training = layer.training
    try:
        effective = layer.eval().effective()
    finally:
        layer.train(training)
    return effective.w_in, effective.w_rec, effective.bias


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


def _weights(nir: Any, layer: AbstractLayer, w_in: Tensor, given: Tensor | None, reader: Dialect, shape: Shape) -> Any:
    weight = _array("w_in", w_in)
    bias = None if given is None else _array("bias", given)
    if isinstance(layer, ConvolutionalLayer):
        return conv_node(nir, weight, bias, layer.slide, shape[1:])
    if bias is not None:
        return nir.Affine(weight=weight, bias=bias)
    return _linear(nir, weight, reader)


def _linear(nir: Any, weight: Any, reader: Dialect) -> Any:
    if reader.affine:
        zeros = np.zeros(len(weight), dtype=weight.dtype)
        return nir.Affine(weight=weight, bias=zeros, metadata=note(bias=False))
    return nir.Linear(weight=weight)


def _neurons(nir: Any, layer: AbstractLayer, given: Tensor | None, reader: Dialect, maps: Shape) -> Any:
    neurons = _neuron_node(nir, layer, reader, maps)
    if given is None:
        return neurons
    w_rec = _array("w_rec", given)
    loop = (
        conv_node(nir, w_rec, None, RecurrentConvolution(given, maps[1:]).slide, maps[1:])
        if isinstance(layer, ConvolutionalLayer)
        else _linear(nir, w_rec, reader)
    )
    nodes = {
        "input": nir.Input(input_type={"input": np.array(maps)}),
        "lif": neurons,
        "w_rec": loop,
        "output": nir.Output(output_type={"output": np.array(maps)}),
    }
    edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    if isinstance(layer.neuron, CubaLIF) and layer.neuron.ordering == "spytorch":
        nodes["delay"] = nir.Delay(delay=np.full(maps, reader.step(layer.neuron.dt_ms)))
        edges[1:2] = [("lif", "delay"), ("delay", "w_rec")]
    return nir.NIRGraph(nodes=nodes, edges=edges)


def _neuron_node(nir: Any, layer: AbstractLayer, reader: Dialect, maps: Shape) -> Any:
    if layer.surrogate is not None and not isinstance(layer.surrogate, AbstractSurrogate):
        raise ConfigurationError(
            f"its surrogate is {layer.surrogate!r}, which need not be the step in the forward pass, and a NIR node spikes at "
            "its threshold; export with a surrogate of snnlightning.surrogates in its place."
        )
    neuron = layer.settled_neuron()
    names = [neuron.parameter_name(name) for name in neuron.learned]
    learned = {name: cast(Tensor, getattr(layer, name)) for name in names}
    node = node_of(neuron, taus_in_effect(neuron, learned, layer.channels), layer.channels, reader)
    fields = over_maps(node.fields, maps) if len(maps) > 1 else node.fields
    if not hasattr(nir, node.type):
        raise ConfigurationError(f"nir {nir.version} has no {node.type} node; install nir 1.0.5 or newer.")
    about = note(
        neuron=described(neuron),
        surrogate=None if layer.surrogate is None else described(layer.surrogate),
        learned={name: log.detach().cpu().tolist() for name, log in learned.items()},
    )
    cls = getattr(nir, node.type)
    known = cls.__dataclass_fields__  # v_reset came with nir 1.0.6
    return cls(**{key: values for key, values in fields.items() if key in known}, metadata=about)


def _array(name: str, tensor: Tensor) -> Any:
    """A tensor as an array of its own memory: what happens to the network afterwards does not change the graph."""
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ConfigurationError(
            f"{name} is {tensor.dtype}, for which NIR files have no type; export net.float() instead."
        )
    if tensor.ndim not in range(1, 6):
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
