"""Records: the shape of a network from what its layers did with one batch."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, ShapeError, unknown_name
from .kernel import Kernel
from .synapses import INPUT, Layer, Synapses

if TYPE_CHECKING:  # pricing needs no torch; tensors that come in bring it along
    from torch import Tensor

    from ..events import Events
    from ..typing import Connection, LayerRecord

__all__ = ["shape_of"]


def shape_of(
    records: "Sequence[LayerRecord]", weight_bits: Mapping[str, int], usual_bits: int, sources: Mapping[str, str]
) -> tuple[int, tuple[Layer, ...], tuple[Synapses, ...]]:
    """Input channels, layers and synapses; see :meth:`Network.of`."""
    if not isinstance(records, list | tuple) or not records:
        raise ConfigurationError("no records; pass what the network returned: a NetworkOutput, or its records.")
    names = [record.name for record in records]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"two layers are called {name!r}; a chip holds the neurons of each use, also where weights are shared: give "
                "each use a name of its own (layer.run(x, name=...))."
            )
    known = [connection.name for record in records for connection in record.connections]
    for label, given in (("weight_bits", weight_bits), ("sources", sources)):
        for name in given:
            if name not in known:
                raise unknown_name(f"connection for {label}", name, known)
    outputs = {_identity(record.output): record.name for record in records}
    inputs: dict[tuple[int, ...], Connection] = {}
    layers, synapses = [], []
    for record in records:
        joined, apart = None, 0
        for connection in record.connections:
            source = sources.get(connection.name) or _source(connection, outputs)
            if source not in (INPUT, *names):
                raise unknown_name(f"layer for the source of {connection.name}", source, [INPUT, *names])
            if source == INPUT:
                inputs[_identity(connection.activity)] = connection
            bits = weight_bits.get(connection.name, connection.bits)
            # What is usual says nothing, so that a network read from records equals the same one written down.
            made, into = _synapses(connection, source, record, None if bits == usual_bits else bits)
            synapses.append(made)
            joined, apart = into if joined is None else joined + into, apart + int(into.max())
        # Neurons may be full in one matrix and empty in the other; then the sum of the two says too much.
        fan_in = 0 if joined is None else int(joined.max())
        layers.append(
            Layer(record.name, _neurons(record.output), None if fan_in == apart else fan_in, updated=record.neurons)
        )
    if len(inputs) > 1:
        one, other = list(inputs.values())[:2]
        raise ConfigurationError(
            f"{one.name} and {other.name} both come from outside, and their tensors are not the same; a network has one "
            f"input. If one is made of the other or of a layer, say so: sources={{{other.name!r}: 'NAME'}}."
        )
    channels = [_neurons(connection.activity) for connection in inputs.values()]
    return (channels or [1])[0], tuple(layers), tuple(synapses)


def _source(connection: "Connection", outputs: "Mapping[tuple[int, ...], str]") -> str:
    """The layer whose output this is, or the input."""
    source = outputs.get(_identity(connection.activity))
    if source is None and connection.kind != "input":
        raise ConfigurationError(
            f"{connection.name}: its activity {list(connection.activity.shape)} is no layer's output, and it is not called an "
            f"input; something between the layers made a new tensor. Say where it comes from: "
            f"sources={{{connection.name!r}: 'NAME'}}, of {', '.join([INPUT, *outputs.values()])}."
        )
    return source or INPUT


def _synapses(
    connection: "Connection", source: str, record: "LayerRecord", weight_bits: int | None
) -> "tuple[Synapses, Tensor]":
    """The synapses of a connection, and how many of them each neuron of the layer has."""
    weight, slide = connection.weight.detach(), connection.convolution
    there = weight.bool()
    before, behind = tuple(connection.activity.shape[2:]), tuple(record.output.shape[2:])
    kernel = None
    if slide is None:
        if tuple(weight.shape) != (*behind, *before) or len(before) != 1:
            raise ShapeError(
                f"{connection.name}: weight {list(weight.shape)}, activity {list(connection.activity.shape)} and output "
                f"{list(record.output.shape)} do not fit; [N_post, N_pre], [B, T, N_pre] and [B, T, N_post] are expected."
            )
        into = there.sum(dim=1)
        synapses = int(into.sum())
    else:
        channels_in, *size = before
        kernel = Kernel(
            channels_in, weight.shape[0], tuple(size), tuple(weight.shape[2:]), slide.stride, slide.padding, slide.dilation, slide.groups
        )  # fmt: skip
        if (weight.shape[0], *kernel.places) != behind or weight.shape[1] * slide.groups != channels_in:
            raise ShapeError(
                f"{connection.name}: {kernel} makes [{weight.shape[0]}, {', '.join(map(str, kernel.places))}] of "
                f"{list(before)} with a weight {list(weight.shape)}; the output is {list(behind)}."
            )
        uses = there.sum(dim=(0, 1)).to("cpu")
        for axis in range(len(size)):
            inside = uses.new_tensor(kernel.inside(axis))
            uses = uses * inside.view(-1, *[1] * (len(size) - 1 - axis))
        synapses = int(uses.sum())
        into = there.flatten(1).sum(dim=1).repeat_interleave(math.prod(kernel.places))
    full = int(weight.numel()) if kernel is None else kernel.uses
    stored = synapses if kernel is None else int(there.sum())
    whole = stored == weight.numel()
    made = Synapses(
        connection.name,
        source,
        record.name,
        # What is full says nothing, so that a network read from records equals the same one written down.
        synapses=None if synapses == full else synapses,
        fan_in=None if whole else int(into.max()),
        kernel=kernel,
        weights=None if whole or kernel is None else stored,
        weight_bits=weight_bits,
        delay_steps=0 if connection.delay is None else int(connection.delay.steps.max()),
    )
    return made, into.to("cpu")


def _neurons(activity: "Tensor | Events") -> int:
    return int(activity.shape[2:].numel())


def _identity(activity: "Tensor | Events") -> tuple[int, ...]:
    """The same for a tensor and its views of all elements (flattened, detached), and for nothing else that is alive."""
    from ..events import Events  # here, because it brings torch along

    if isinstance(activity, Events):
        return (activity.pointer.data_ptr(), activity.index.data_ptr())
    return (activity.untyped_storage().data_ptr(), int(activity.storage_offset()), int(activity.numel()))
