"""Members: networks of one shape that run together in one pass, each as if it were alone."""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigurationError, ShapeError
from ..events import Events
from ..firing import AbstractEscape
from ..scan import kind_of, scan
from ..typing import Coefficients, Connection, ConnectionKind, LayerRecord, NetworkOutput, Reader, State, Trace
from .abstract import Effective
from .spiking_layer import SpikingLayer
from .spiking_network import SpikingNetwork

__all__ = ["Members", "MembersOutput", "alike", "why_not_a_member"]


class MembersOutput(NamedTuple):
    """``logits`` [K, B, C], and what each network returns by itself."""

    logits: Tensor
    members: tuple[NetworkOutput, ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The state of every layer after the last step, [K, B, N], to pass to the next call; narrow members are padded."""
        per_layer = zip(*(member.states for member in self.members), strict=True)
        return tuple(tuple(_stacked(variable) for variable in zip(*states, strict=True)) for states in per_layer)


class Members(nn.Module):
    """K networks on one batch: ``out = members(x)``, ``out.logits`` [K, B, C], ``out.members[k]`` as network k alone returns.

    The members stay ordinary networks that own their parameters: each is trained by an optimizer of its own (or all by one: the
    sum of K losses has the gradient of each), saved, measured and taken out (``members.networks[k]``) as if it had never been
    here. Weights, thresholds, time constants, learned or not, surrogates, weight rules, precision and the sizes of hidden layers
    may differ, and so may recurrence; depth, classes of neurons, resets and what is detached may not. Layers are called with a member axis
    (:func:`snnlightning.scan.scan`), so that a compiled backend spreads members and samples over its threads in one call. A narrow layer
    is padded to the widest one with neurons that have no synapses, and so never spike. On the CPU everything of a member, gradients
    included, is as it is alone to the last bit.

    Args:
        networks: at least one, of :class:`SpikingLayer` stages without normalisation; with the same backend and readout.

    Raises:
        ConfigurationError, ShapeError: networks that cannot run together; the message names the stage.

    Gradient: of each member's parameters from its own outputs only.

    Example:
        >>> from snnlightning.neurons import LI, LIF
        >>> from snnlightning.readouts import MaxOverTime
        >>> def network(v_th: float) -> SpikingNetwork:
        ...     return SpikingNetwork(
        ...         [SpikingLayer(3, 4, neuron=LIF(v_th=v_th)), SpikingLayer(4, 2, neuron=LI())], MaxOverTime()
        ...     )
        >>> members = Members([network(0.5), network(1.0), network(2.0)])
        >>> out = members(torch.ones(5, 7, 3))
        >>> out.logits.shape, len(out.members)
        (torch.Size([3, 5, 2]), 3)
    """

    def __init__(self, networks: Iterable[SpikingNetwork]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        if not len(self.networks):
            raise ConfigurationError("Members without networks; give at least one.")
        first = self._network(0)
        for k in range(len(self.networks)):
            _check_alike(self._network(k), first, k)

    def forward(
        self, x: Tensor | Events, states: Sequence[State | None] | None = None, *, potentials: bool = False
    ) -> MembersOutput:
        """Run all networks over the whole sequence.

        Args:
            x: [B, T, N_in], dense or as events, for all of them; or [K, B, T, N_in].
            states: ``out.states`` of an earlier call, or None for zero.
            potentials: whether the records hold the potentials.
        """
        networks = [self._network(k) for k in range(len(self.networks))]
        names = networks[0].names
        if states is not None and len(states) != len(names):
            raise ShapeError(f"{len(states)} states for {len(names)} layers; pass out.states of an earlier call.")
        records: list[list[LayerRecord]] = [[] for _ in networks]
        readout, binary = networks[0].readout, False
        stages = cast(list[tuple[SpikingLayer, ...]], list(zip(*(network.layers for network in networks), strict=True)))
        for at, name in enumerate(names):
            kind: ConnectionKind = "input" if at == 0 else "readout" if at == len(names) - 1 else "feedforward"
            trace = self._run(
                stages[at], readout if name == "readout" else None, name, kind, x, None if states is None else states[at], potentials,
                binary, records,
            )  # fmt: skip
            x, binary = trace.output, records[0][-1].binary
        logits = cast(Tensor, trace.read)
        return MembersOutput(
            logits, tuple(NetworkOutput(own, tuple(kept)) for own, kept in zip(logits, records, strict=True))
        )

    def _run(
        self, layers: Sequence[SpikingLayer], readout: Reader | None, name: str, kind: ConnectionKind, x: Tensor | Events,
        state: State | None, potentials: bool, binary: bool, records: list[list[LayerRecord]],
    ) -> Trace:  # fmt: skip
        """One stage of all networks; its output is [K, B, T, N]."""
        used = [layer.effective() for layer in layers]
        size = max(layer.out_features for layer in layers)
        recurrent = [own.w_rec is not None for own in used]
        w_rec = None
        if any(recurrent):
            w_rec = _stacked(
                [own.w_in.new_zeros(2 * [len(own.w_in)]) if own.w_rec is None else own.w_rec for own in used]
            )
        bias = None if used[0].bias is None else _stacked([own.bias for own in used if own.bias is not None])
        surrogates = [layer.surrogate for layer in layers if layer.surrogate is not None]
        try:
            trace = scan(
                [own.neuron for own in used],
                x,
                _stacked([own.w_in for own in used]),
                w_rec,
                bias=bias,
                state=state,
                spike=surrogates or None,
                coefficients=[_padded(own, size) for own in used],
                potentials=potentials,
                backend=layers[0].backend,
                readout=readout,
                sizes=[(layer.out_features, layer.in_features) for layer in layers],
                recurrent=recurrent,
            )
        except (ShapeError, ConfigurationError) as error:
            raise type(error)(f"layer {name!r}: {error}") from None
        # One by one, a member's part of the gradient would be put into zeros for all of them.
        outputs = [_first(own, layer.out_features) for own, layer in zip(trace.output.unbind(), layers, strict=True)]
        potential = None if trace.potentials is None else trace.potentials.unbind()
        state_of = [variable.unbind() for variable in trace.state]
        reads = None if trace.read is None else trace.read.unbind()
        came: Sequence[Tensor | Events]
        if records[0]:  # the very tensors: what reads records knows a source by its identity
            came = [own[-1].output for own in records]
        else:
            came = x.unbind() if isinstance(x, Tensor) and x.ndim == 4 else [x] * len(layers)
        for k, (layer, own) in enumerate(zip(layers, used, strict=True)):
            bits, sends = layer.weight_bits, layer.sends_spikes
            connections = [Connection(f"{name}.w_in", kind, came[k], own.w_in, binary, bits=bits)]
            if own.w_rec is not None:
                connections.append(Connection(f"{name}.w_rec", "recurrent", outputs[k], own.w_rec, sends, bits=bits))
            records[k].append(
                LayerRecord(
                    name,
                    layer.neuron.spiking,
                    outputs[k],
                    tuple(_first(variable[k], layer.out_features) for variable in state_of),
                    None if potential is None else _first(potential[k], layer.out_features),
                    tuple(connections),
                    binary=sends,
                    bias=own.bias,
                    read=None if reads is None else reads[k],
                )
            )
        return trace

    def _network(self, k: int) -> SpikingNetwork:
        network = self.networks[k]
        assert isinstance(network, SpikingNetwork)
        return network


def alike(network: SpikingNetwork) -> Hashable:
    """What networks have in common that had better run together; see :func:`why_not_a_member` for others.

    Hidden layers have sizes between the same powers of two (33 to 64, say): none is padded to more than twice its size.

    Example:
        >>> from snnlightning.neurons import LI, LIF
        >>> from snnlightning.readouts import MaxOverTime
        >>> def network(size: int, v_th: float = 1.0) -> SpikingNetwork:
        ...     return SpikingNetwork(
        ...         [SpikingLayer(3, size, neuron=LIF(v_th=v_th)), SpikingLayer(size, 2, neuron=LI())], MaxOverTime()
        ...     )
        >>> alike(network(5)) == alike(network(8, v_th=0.5)), alike(network(5)) == alike(network(9))
        (True, False)
    """
    layers = [cast(SpikingLayer, layer) for layer in network.layers]
    ends = (layers[0].in_features, layers[-1].out_features, str(network.readout), layers[0].w_in.dtype)
    return ends, tuple(_form(layer) for layer in layers)


def why_not_a_member(network: nn.Module) -> str | None:
    """None, or in words what keeps a network from running with others."""
    if type(network) is not SpikingNetwork:
        return f"it is a {type(network).__name__}; a SpikingNetwork is expected"
    for at, layer in enumerate(network.layers):
        if type(layer) is not SpikingLayer:
            return f"stage {at} is a {type(layer).__name__}; members are plain SpikingLayers"
        if layer.norm is not None:
            return f"stage {at} is a SpikingLayer with normalisation; members are plain SpikingLayers"
        if isinstance(layer.surrogate, AbstractEscape):
            return f"stage {at} draws its spikes by {type(layer.surrogate).__name__}, and members would share the numbers drawn"
    return None


def _form(layer: SpikingLayer) -> Hashable:
    """What a layer has in common with those that it may run beside."""
    size = (layer.out_features - 1).bit_length()
    return kind_of(layer.neuron), layer.bias is not None, size, layer.backend


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """[K, ...] of tensors that are padded with zeros behind to the largest size of each axis."""
    sizes = [max(axis) for axis in zip(*(tensor.shape for tensor in tensors), strict=True)]
    return torch.stack([_filled(tensor, sizes) for tensor in tensors])


def _filled(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    missing = [size - have for size, have in zip(sizes, tensor.shape, strict=True)]
    return F.pad(tensor, [end for more in reversed(missing) for end in (0, more)]) if any(missing) else tensor


def _first(value: Tensor, size: int) -> Tensor:
    """Without the neurons that pad it; in a memory of its own, as it has alone, so that sums over it run in the same order."""
    return value if value.shape[-1] == size else value[..., :size].contiguous()


def _padded(own: Effective, size: int) -> Coefficients:
    """A layer's coefficients for as many neurons as the widest has; those that are not there decay at once."""
    return {
        name: _filled(value, [size]) if isinstance(value, Tensor) and value.ndim == 1 else value
        for name, value in own.coefficients.items()
    }


def _check_alike(network: object, first: SpikingNetwork, k: int) -> None:
    if not isinstance(network, SpikingNetwork):
        raise ConfigurationError(f"network {k} is a {type(network).__name__}; a SpikingNetwork is expected.")
    if len(network.layers) != len(first.layers):
        raise ShapeError(f"network {k} has {len(network.layers)} stages and network 0 has {len(first.layers)}.")
    if network.readout != first.readout:
        raise ConfigurationError(f"network {k} reads by {network.readout} and network 0 by {first.readout}.")
    last = len(network.layers) - 1
    for at, (layer, other) in enumerate(zip(network.layers, first.layers, strict=True)):
        if type(layer) is not SpikingLayer or layer.norm is not None:
            what = type(layer).__name__ if type(layer) is not SpikingLayer else "SpikingLayer with normalisation"
            raise ConfigurationError(f"stage {at} of network {k} is a {what}; members are plain SpikingLayers.")
        assert isinstance(other, SpikingLayer)
        own, theirs = ((one.bias is not None, one.backend) for one in (layer, other))
        ends = (at == 0 and layer.in_features != other.in_features) or (
            at == last and layer.out_features != other.out_features
        )
        if own != theirs or ends:
            raise ShapeError(
                f"stage {at} of network {k} is {layer.in_features} -> {layer.out_features}, bias={own[0]}, backend={own[1]!r}; "
                f"in network 0 it is {other.in_features} -> {other.out_features}, bias={theirs[0]}, backend={theirs[1]!r}. "
                "Hidden sizes and recurrence may differ, the rest may not."
            )
