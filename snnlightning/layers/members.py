"""Members: networks of one shape that run together in one pass, each as if it were alone."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError, ShapeError
from ..events import Events
from ..scan import scan
from ..typing import Connection, ConnectionKind, LayerRecord, NetworkOutput, State, Trace
from .spiking_layer import SpikingLayer
from .spiking_network import SpikingNetwork

__all__ = ["Members", "MembersOutput"]


class MembersOutput(NamedTuple):
    """``logits`` [K, B, C], and what each network returns by itself."""

    logits: Tensor
    members: tuple[NetworkOutput, ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The state of every layer after the last step, [K, B, N], to pass to the next call."""
        per_layer = zip(*(member.states for member in self.members), strict=True)
        return tuple(tuple(torch.stack(variable) for variable in zip(*states, strict=True)) for states in per_layer)


class Members(nn.Module):
    """K networks on one batch: ``out = members(x)``, ``out.logits`` [K, B, C], ``out.members[k]`` as network k alone returns.

    The members stay ordinary networks that own their parameters: each is trained by an optimizer of its own (or all by one: the
    sum of K losses has the gradient of each), saved, measured and taken out (``members.networks[k]``) as if it had never been
    here. Weights, thresholds, time constants, learned or not, surrogates, weight rules and precision may differ; sizes, classes of
    neurons, resets and what is detached may not. Layers are called with a member axis (:func:`snnlightning.scan.scan`), so that
    a compiled backend spreads members and samples over its threads in one call.

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
        names = self._network(0).names
        if states is not None and len(states) != len(names):
            raise ShapeError(f"{len(states)} states for {len(names)} layers; pass out.states of an earlier call.")
        records: list[list[LayerRecord]] = [[] for _ in self.networks]
        binary = False
        for at, name in enumerate(names):
            kind: ConnectionKind = "input" if at == 0 else "readout" if at == len(names) - 1 else "feedforward"
            trace = self._run(at, name, kind, x, None if states is None else states[at], potentials, binary, records)
            x, binary = trace.output, records[0][-1].binary
        logits = cast(Tensor, trace.read)
        return MembersOutput(
            logits, tuple(NetworkOutput(own, tuple(kept)) for own, kept in zip(logits, records, strict=True))
        )

    def _run(
        self, at: int, name: str, kind: ConnectionKind, x: Tensor | Events, state: State | None, potentials: bool, binary: bool,
        records: list[list[LayerRecord]],
    ) -> Trace:  # fmt: skip
        """One stage of all networks; its output is [K, B, T, N]."""
        layers = [self._layer(k, at) for k in range(len(self.networks))]
        used = [layer.effective() for layer in layers]
        w_rec = None if used[0].w_rec is None else torch.stack([own.w_rec for own in used if own.w_rec is not None])
        bias = None if used[0].bias is None else torch.stack([own.bias for own in used if own.bias is not None])
        surrogates = [layer.surrogate for layer in layers if layer.surrogate is not None]
        try:
            trace = scan(
                [own.neuron for own in used],
                x,
                torch.stack([own.w_in for own in used]),
                w_rec,
                bias=bias,
                state=state,
                spike=surrogates or None,
                coefficients=[own.coefficients for own in used],
                potentials=potentials,
                backend=layers[0].backend,
                readout=self._network(0).readout if name == "readout" else None,
            )
        except (ShapeError, ConfigurationError) as error:
            raise type(error)(f"layer {name!r}: {error}") from None
        for k, (layer, own) in enumerate(zip(layers, used, strict=True)):
            came = x[k] if isinstance(x, Tensor) and x.ndim == 4 else x
            connections = [Connection(f"{name}.w_in", kind, came, own.w_in, binary)]
            if own.w_rec is not None:
                connections.append(
                    Connection(f"{name}.w_rec", "recurrent", trace.output[k], own.w_rec, layer.sends_spikes)
                )
            records[k].append(
                LayerRecord(
                    name,
                    layer.neuron.spiking,
                    trace.output[k],
                    tuple(variable[k] for variable in trace.state),
                    None if trace.potentials is None else trace.potentials[k],
                    tuple(connections),
                    binary=layer.sends_spikes,
                    bias=own.bias,
                    read=None if trace.read is None else trace.read[k],
                )
            )
        return trace

    def _network(self, k: int) -> SpikingNetwork:
        network = self.networks[k]
        assert isinstance(network, SpikingNetwork)
        return network

    def _layer(self, k: int, at: int) -> SpikingLayer:
        layer = self._network(k).layers[at]
        assert isinstance(layer, SpikingLayer)
        return layer


def _check_alike(network: object, first: SpikingNetwork, k: int) -> None:
    if not isinstance(network, SpikingNetwork):
        raise ConfigurationError(f"network {k} is a {type(network).__name__}; a SpikingNetwork is expected.")
    if len(network.layers) != len(first.layers):
        raise ShapeError(f"network {k} has {len(network.layers)} stages and network 0 has {len(first.layers)}.")
    if network.readout != first.readout:
        raise ConfigurationError(f"network {k} reads by {network.readout} and network 0 by {first.readout}.")
    for at, (layer, other) in enumerate(zip(network.layers, first.layers, strict=True)):
        if type(layer) is not SpikingLayer or layer.norm is not None:
            what = type(layer).__name__ if type(layer) is not SpikingLayer else "SpikingLayer with normalisation"
            raise ConfigurationError(f"stage {at} of network {k} is a {what}; members are plain SpikingLayers.")
        assert isinstance(other, SpikingLayer)
        own = (layer.in_features, layer.out_features, layer.recurrent, layer.bias is not None, layer.backend)
        theirs = (other.in_features, other.out_features, other.recurrent, other.bias is not None, other.backend)
        if own != theirs:
            raise ShapeError(
                f"stage {at} of network {k} is {own[0]} -> {own[1]}, recurrent={own[2]}, bias={own[3]}, backend={own[4]!r}; "
                f"in network 0 it is {theirs[0]} -> {theirs[1]}, recurrent={theirs[2]}, bias={theirs[3]}, backend={theirs[4]!r}."
            )
