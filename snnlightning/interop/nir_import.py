"""from_nir: a NIR graph as a network."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .. import neurons as neuron_folder
from .. import readouts as readout_folder
from .. import surrogates as surrogate_folder
from ..errors import ConfigurationError, ShapeError
from ..initializers import ScaledNormal
from ..layers import AbstractLayer, ConvolutionalLayer, DelayedLayer, SpikingLayer, SpikingNetwork, Unflatten
from ..layers.abstract import Shape
from ..layers.convolution import RecurrentConvolution
from ..neurons import AbstractNeuron, AbstractSpikingNeuron, CubaLIF
from ..readouts import AbstractReadout, MaxOverTime, SpikeCount
from ..surrogates import AbstractSurrogate
from ..typing import Convolution, Reset
from ..units import positive
from . import dialects
from .dialects import Dialect
from .maps import delay_steps, per_map, pool_of, slide_of, whole_flatten
from .nir_files import nir_package, read_nir
from .nodes import node_of, reading_of, taus_in_effect
from .notes import read_note, rebuilt
from .wiring import Wired, kind, wired

__all__ = ["from_nir"]

Readout = AbstractReadout | Callable[[Tensor], Tensor]
_Dense = SpikingLayer | DelayedLayer


def from_nir(
    graph: Any,
    *,
    dt_ms: float | None = None,
    dialect: str | Dialect | None = None,
    reset: Reset | None = None,
    surrogate: AbstractSurrogate | None = None,
    readout: Readout | None = None,
) -> SpikingNetwork:
    """The network of a NIR graph, ready to run and to train.

    A graph of :func:`to_nir` comes back as it was: the same classes, weights, time constants (learned ones as parameters
    again), surrogate and readout, and the same spikes to the bit. A graph of another framework is read by these rules:

    - Layers in a row: ``Linear``, ``Affine``, ``Conv1d`` or ``Conv2d`` (a ``Delay`` in whole steps before a ``Linear`` or ``Affine`` is delays per
      axon), then ``IF``, ``LIF``, ``CubaLIF``, ``I``, ``LI`` or ``CubaLI``; recurrence as
      a subgraph or as a loop of a neuron node over one ``Linear`` or ``Affine`` node. A bias in the loop is added to the
      layer's bias (it acts in every step).
    - exp(-dt / tau) are the decays, unless the dialect says otherwise. An input gain r (1 - b) of 1 is the seed's ordering, of
      1 - b (r = 1) stork's; any other gain is multiplied into the rows of the weights.
    - Resets go to zero (the dialects ``sinabs`` and ``spyx`` subtract); the surrogate is ``SuperSpike()``; the readout is
      ``SpikeCount()`` after spiking neurons and ``MaxOverTime()`` after the others. The steps are in the order of
      :mod:`snnlightning.neurons`, which is not that of every framework: see ``docs/interop.md``.

    Where a graph of ours was changed by somebody, its nodes count, and its notes only add what NIR cannot say.

    Args:
        graph: a ``nir.NIRGraph``, or the path of a file that holds one.
        dt_ms: time step in ms. A graph of ours knows it; any other needs it, unless the dialect fixes the step.
        dialect: who wrote the numbers (:data:`DIALECTS`); None: what the graph says, else ``nir``.
        reset: overrides what the graph or the dialect says, in all layers.
        surrogate: overrides the surrogate of all layers.
        readout: overrides the readout over time.

    Raises:
        MissingDependencyError: ``nir`` is not installed.
        DataError: a file that cannot be read.
        ConfigurationError: a node that has no counterpart here, by name and type, and the nearest way out.
        ShapeError: nodes that do not fit together.
        UnknownNameError: a dialect, surrogate or readout that is not there.

    Example:
        >>> from snnlightning import LIF, SpikeCount, SpikingLayer, SpikingNetwork
        >>> from snnlightning.interop import to_nir
        >>> net = SpikingNetwork([SpikingLayer(3, 4, neuron=LIF(tau_mem_ms=20.0))], SpikeCount())
        >>> again = from_nir(to_nir(net))
        >>> again.layers[0].neuron == net.layers[0].neuron, torch.equal(again.layers[0].w_in, net.layers[0].w_in)
        (True, True)
    """
    nir = nir_package()
    if isinstance(graph, str | os.PathLike):
        graph = read_nir(graph)
    if not isinstance(graph, nir.NIRGraph):
        raise ConfigurationError(
            f"{type(graph).__name__} is no NIR graph; a nir.NIRGraph or the path of a file is expected."
        )
    about = read_note("the graph", graph)
    reader = _dialect(about, dialect)
    step_ms = _step_ms(about, dt_ms, reader)
    if reset not in (None, "subtract", "zero"):
        raise ConfigurationError(f"reset is {reset!r}; it must be one of subtract, zero.")
    layers: list[nn.Module] = []
    for parts in wired(graph, input_into_loop=reader.input_into_loop):
        if isinstance(parts, tuple):
            where = f"node {parts[0]!r} ({kind(parts[1])})"
            layers.append(pool_of(where, parts[1]) if kind(parts[1]) == "SumPool2d" else whole_flatten(where, parts[1]))
            continue
        layer = _layer(parts, reader, step_ms, reset, surrogate)
        before = layers[-1] if layers else None
        if isinstance(before, _Dense) and isinstance(layer, _Dense) and before.out_features != layer.in_features:
            raise ShapeError(
                f"node {parts.weight[0]!r} ({kind(parts.weight[1])}) takes {layer.in_features} inputs and the neurons before "
                f"it are {before.out_features}."
            )
        layers.append(layer)
    last = cast(AbstractLayer, layers[-1])
    layers = _check_ends(graph, layers)
    if readout is None:
        readout = _readout(about, last)
    return SpikingNetwork(layers, readout)


def _dialect(about: dict[str, Any], asked: str | Dialect | None) -> Dialect:
    if asked is not None:
        return dialects.named_dialect(asked)
    written = about.get("dialect", "nir")
    if isinstance(written, dict):
        try:
            return dialects.named_dialect(Dialect(**{key: value for key, value in written.items() if key != "type"}))
        except TypeError as error:
            raise ConfigurationError(
                f"the graph's note describes its dialect otherwise ({error}); pass dialect=."
            ) from None
    return dialects.named_dialect(str(written))


def _step_ms(about: dict[str, Any], asked: float | None, reader: Dialect) -> float:
    written = about.get("dt_ms")
    if asked is not None:
        step = positive("dt_ms", asked)
        if not np.isfinite(step):
            raise ConfigurationError(f"dt_ms is {step}; a finite time step is expected.")
        if written is not None and float(written) != step:
            raise ConfigurationError(
                f"the graph was written with dt_ms={written} and dt_ms={step} was asked for; the weights belong to the "
                "first. Leave dt_ms out, or remove the graph's metadata to read its equations at another step."
            )
        return step
    if written is not None:
        return positive("dt_ms of the graph's note", written)
    if reader.step_s is not None:
        return 1000.0 * reader.step_s
    raise ConfigurationError(
        "the graph does not say its time step (NIR has no field for it); pass dt_ms=, in milliseconds."
    )


def _layer(
    parts: Wired, reader: Dialect, dt_ms: float, reset: Reset | None, surrogate: AbstractSurrogate | None
) -> AbstractLayer:
    weight, bias, slide = _weights(*parts.weight)
    size = weight.shape[0]
    name, node = parts.neuron
    if slide is not None:
        node = per_map(f"node {name!r} ({kind(node)})", node, size)
        parts = dataclasses.replace(parts, neuron=(name, node))
    about = read_note(f"node {name!r}", node)
    neuron, gain, learned = _neuron(parts, about, size, reader, dt_ms, weight.dtype)
    if reset is not None and isinstance(neuron, AbstractSpikingNeuron):
        neuron = dataclasses.replace(neuron, reset=reset)
    if not neuron.spiking and parts.loop is not None:
        raise ConfigurationError(
            f"node {name!r} ({kind(node)}) has a loop over {parts.loop[0]!r}, and neurons that do not spike have no "
            "recurrence here; take the loop out."
        )
    w_rec = None
    if parts.loop is not None:
        w_rec, bias_rec = _loop(parts.loop, weight, slide)
        if bias_rec is not None:
            bias = bias_rec.to(weight.dtype) if bias is None else bias + bias_rec.to(weight.dtype)
    layer = _of_shape(
        parts,
        weight,
        slide,
        w_rec,
        step=reader.step(dt_ms),
        neuron=neuron,
        surrogate=_surrogate(about, neuron, surrogate),
        recurrent=w_rec is not None,
        bias=bias is not None,
        initializer=_leave,
    ).to(weight.dtype)
    rows = None if np.all(gain == 1.0) else torch.from_numpy(gain).to(weight.dtype)
    with torch.no_grad():
        for parameter, values in ((layer.w_in, weight), (layer.w_rec, w_rec), (layer.bias, bias)):
            if parameter is not None and values is not None:
                scaled = values if rows is None else values * rows.view(-1, *[1] * (values.ndim - 1))
                parameter.copy_(scaled)
        for key, values in learned.items():
            parameter = getattr(layer, key)
            parameter.copy_(torch.tensor(values, dtype=torch.float64).reshape(parameter.shape))
    layer.initializer = layer.rec_initializer = ScaledNormal()
    return layer


def _of_shape(
    parts: Wired, weight: Tensor, slide: Convolution | None, w_rec: Tensor | None, *, step: float, **options: Any
) -> AbstractLayer:
    """The layer that has weights like these; ``step`` is the reader's, in seconds."""
    if parts.axon is None and slide is None:
        return SpikingLayer(weight.shape[1], weight.shape[0], **options)
    if slide is not None:
        if parts.axon is not None:
            raise ConfigurationError(
                f"node {parts.axon[0]!r} (Delay) comes before a convolution; delays here come before Linear or Affine nodes."
            )
        kernel_rec = None if w_rec is None else list(w_rec.shape[2:])
        return ConvolutionalLayer(
            weight.shape[1] * slide.groups,
            weight.shape[0],
            list(weight.shape[2:]),
            **slide._asdict(),
            rec_kernel_size=kernel_rec,
            **options,
        )
    assert parts.axon is not None
    name, node = parts.axon
    where = f"node {name!r} (Delay)"
    steps = delay_steps(where, node, step)
    if len(steps) not in (1, weight.shape[1]):
        raise ShapeError(f"{where} delays {len(steps)} neurons, and the weights behind it take {weight.shape[1]}.")
    dt_ms = options["neuron"].dt_ms
    longest = max(1, *steps, int(read_note(where, node).get("longest", 1)))
    delay_ms = [k * dt_ms for k in (steps if len(steps) > 1 else steps * weight.shape[1])]
    return DelayedLayer(
        weight.shape[1],
        weight.shape[0],
        max_delay_ms=longest * dt_ms,
        per="axon",
        delay_ms=delay_ms,
        learn_delay=False,
        **options,
    )


def _loop(loop: tuple[str, Any], weight: Tensor, slide: Convolution | None) -> tuple[Tensor, Tensor | None]:
    """Recurrent weights and their bias, of the kind of the layer's own."""
    w_rec, bias, own = _weights(*loop)
    size = weight.shape[0]
    if (own is None) != (slide is None) or w_rec.shape[:2] != (size, size):
        what = (
            f"a loop of {size} neurons is [{size}, {size}]"
            if slide is None
            else f"a loop of {size} maps is a convolution of them"
        )
        raise ShapeError(f"node {loop[0]!r} is {list(w_rec.shape)}; {what}.")
    if own is not None and own != RecurrentConvolution(w_rec, weight.shape[2:]).slide:
        raise ConfigurationError(
            f"node {loop[0]!r} ({kind(loop[1])}) has {own}; in a loop, an odd kernel with stride 1 and half its size as padding is expected."
        )
    return w_rec.to(weight.dtype), bias


def _weights(name: str, node: Any) -> tuple[Tensor, Tensor | None, Convolution | None]:
    """Weight and bias of a node in its own precision, and how it slides; halves and whole numbers become float32."""
    where = f"node {name!r} ({kind(node)})"
    slide = None
    if kind(node) in ("Conv1d", "Conv2d"):
        weight, bias, slide = slide_of(where, node)
        arrays = [weight] if bias is None else [weight, bias]
    else:
        weight = np.asarray(node.weight)
        if weight.ndim != 2 or 0 in weight.shape:
            raise ShapeError(f"{where} has weights {list(weight.shape)}; a matrix [N, N_in] is expected.")
        arrays = [weight]
        if kind(node) == "Affine" and read_note(where, node).get("bias") is not False:
            arrays.append(np.asarray(node.bias))
            if arrays[1].shape != weight.shape[:1]:
                raise ShapeError(
                    f"{where} has a bias {list(arrays[1].shape)}; one per row, [{weight.shape[0]}], is expected."
                )
    dtype = np.float64 if weight.dtype == np.float64 else np.float32
    for array in arrays:
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ConfigurationError(f"{where} has values that are not finite real numbers.")
    tensors = [torch.from_numpy(array.astype(dtype)) for array in arrays]
    return tensors[0], tensors[1] if len(tensors) == 2 else None, slide


def _neuron(
    parts: Wired, about: dict[str, Any], size: int, reader: Dialect, dt_ms: float, dtype: torch.dtype
) -> tuple[AbstractNeuron, Any, dict[str, Any]]:
    """The neuron, the gain of its weights' rows, and learned time constants by parameter name."""
    name, node = parts.neuron
    noted = (
        rebuilt("neuron", neuron_folder, about["neuron"], "remove the node's metadata to read its equations alone")
        if "neuron" in about
        else None
    )
    learned = about.get("learned") or {}
    if noted is not None and noted.dt_ms == dt_ms and _says(noted, learned, node, size, reader, dtype):
        _check_delay(parts, noted, reader, dt_ms)
        return noted, np.ones(size), learned
    reading = reading_of(f"node {name!r}", node, size, reader, dt_ms)
    fields = dict(reading.fields)
    if issubclass(reading.neuron, AbstractSpikingNeuron):
        fields["reset"] = reader.reset
        if isinstance(noted, AbstractSpikingNeuron):
            fields |= {key: getattr(noted, key) for key in ("reset", "detach_reset", "detach_recurrent")}
    if parts.delay is not None and reading.neuron is CubaLIF and fields["ordering"] == "seed":
        fields |= {"ordering": "spytorch"}
    if isinstance(noted, reading.neuron) and not (
        noted.learn_tau == "shared" and any(isinstance(fields.get(key), tuple) for key in noted.time_constants)
    ):
        fields["learn_tau"] = noted.learn_tau
    try:
        neuron = reading.neuron(**fields)
    except ConfigurationError as error:
        raise ConfigurationError(f"node {name!r} ({kind(node)}): {error}") from None
    _check_delay(parts, neuron, reader, dt_ms)
    return neuron, reading.gain, {}


def _says(
    noted: AbstractNeuron, learned: dict[str, Any], node: Any, size: int, reader: Dialect, dtype: torch.dtype
) -> bool:
    """Whether the noted neuron gives the node's numbers to the bit."""
    try:
        logs = {key: torch.tensor(values, dtype=torch.float64).to(dtype) for key, values in learned.items()}
        written = node_of(noted, taus_in_effect(noted, logs, size), size, reader)
        return written.type == kind(node) and all(
            np.array_equal(np.broadcast_to(np.asarray(getattr(node, field), dtype=np.float64), (size,)), values)
            for field, values in written.fields.items()
            if hasattr(node, field)  # v_reset came with nir 1.0.6
        )
    except (ConfigurationError, KeyError, TypeError, ValueError):
        return False


def _check_delay(parts: Wired, neuron: AbstractNeuron, reader: Dialect, dt_ms: float) -> None:
    """A Delay in the loop is the one step that spytorch's ordering has, and nothing else."""
    wanted = isinstance(neuron, CubaLIF) and neuron.ordering == "spytorch" and parts.loop is not None
    if parts.delay is None:
        if wanted:
            raise ConfigurationError(
                f"node {parts.neuron[0]!r} is noted in spytorch's ordering and its loop has no Delay of one step; "
                "remove the node's metadata to read the loop as it is."
            )
        return
    name, node = parts.delay
    step = reader.step(dt_ms)
    one_step = np.allclose(np.asarray(node.delay, dtype=np.float64), step, rtol=1e-6, atol=0.0)
    if not wanted or not one_step:
        raise ConfigurationError(
            f"node {name!r} is a Delay of {np.asarray(node.delay).max():g} s in the loop of a {type(neuron).__name__}; one step "
            f"({step:g} s) in the loop of a CubaLIF with reset='zero' is all that is known here. Take it out."
        )


def _surrogate(
    about: dict[str, Any], neuron: AbstractNeuron, asked: AbstractSurrogate | None
) -> AbstractSurrogate | None:
    if not neuron.spiking:
        return None
    if asked is not None or not about.get("surrogate"):
        return asked
    step: AbstractSurrogate = rebuilt("surrogate", surrogate_folder, about["surrogate"], "pass surrogate=")
    return step


def _readout(about: dict[str, Any], last: AbstractLayer) -> Readout:
    if about.get("readout"):
        noted: Readout = rebuilt("readout", readout_folder, about["readout"], "pass readout=")
        return noted
    return SpikeCount() if last.neuron.spiking else MaxOverTime()


def _check_ends(graph: Any, layers: list[nn.Module]) -> list[nn.Module]:
    """Input and Output nodes that say a shape say the right one; a batch axis of one in front of it may stand there.

    Returns:
        The layers, with an ``Unflatten`` before them where the data come flat and the first node takes maps.
    """
    said = {
        what: (name, _said(node, what))
        for name, node in graph.nodes.items()
        if (what := kind(node)) in ("Input", "Output")
    }
    name, shape = said["Input"]
    first = layers[0]
    if isinstance(first, _Dense):
        _compare(name, "Input", shape, (first.in_features,))
        shape = (first.in_features,)
    for layer in layers:
        follow: Any = getattr(layer, "shape_after", None)
        try:
            shape = follow(shape)
        except ShapeError as error:
            raise ShapeError(f"from node {name!r} (Input) of {list(said['Input'][1] or ())} on: {error}") from None
    if shape is not None:
        name, output = said["Output"]
        _compare(name, "Output", output, shape)
    name, shape = said["Input"]
    flat = shape is not None and read_note(f"node {name!r}", graph.nodes[name]).get("flat")
    return [Unflatten(cast(Shape, shape)), *layers] if flat else layers


def _said(node: Any, what: str) -> Shape | None:
    types = (node.input_type if what == "Input" else node.output_type) or {}
    for value in types.values():
        return None if value is None else tuple(int(n) for n in np.ravel(np.asarray(value)))
    return None


def _compare(name: str, what: str, said: Shape | None, found: Shape) -> None:
    if said is None:
        return
    extra, rest = said[: len(said) - len(found)], said[len(said) - len(found) :]
    if rest != found or any(n != 1 for n in extra):
        raise ShapeError(f"node {name!r} ({what}) has shape {list(said)}; the weights say {list(found)}.")


def _leave(weight: Tensor) -> Tensor:
    return weight
