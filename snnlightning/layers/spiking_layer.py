"""SpikingLayer: weights, a neuron and a surrogate; feed-forward or recurrent."""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError, ShapeError
from ..events import Events
from ..initializers import AbstractInitializer, ScaledNormal
from ..neurons import AbstractNeuron
from ..scan import BACKENDS, scan
from ..surrogates import AbstractSurrogate, SuperSpike
from ..typing import Coefficients, Connection, ConnectionKind, LayerRecord, NeuronLike, SpikeFunction, State
from .quantization import Quantization, QuantizeMode

__all__ = ["SpikingLayer"]

# The abstract classes come first, so that a configuration file may name one of ours with its arguments.
Initializer = AbstractInitializer | Callable[[Tensor], Tensor]


class SpikingLayer(nn.Module):
    """One layer of neurons, used like ``torch.nn.LSTM(batch_first=True)``: ``spikes, state = layer(x, state)``.

    Weights are ``w_in`` [N, N_in], ``w_rec`` [N, N] when recurrent (row: to, column: from; autapses included) and
    ``bias`` [N] when asked for. Learned time constants are the parameters ``log_tau_mem_ms`` and so on, [] or [N].
    The layer keeps no state between calls.

    Args:
        in_features: N_in >= 1.
        out_features: N >= 1.
        neuron: a record of :mod:`snnlightning.neurons`; one without threshold (``LI``) makes this a readout layer, whose
            output is its potential.
        surrogate: a record of :mod:`snnlightning.surrogates`, or any v - v_th -> spikes; ``SuperSpike()`` when None.
        recurrent: whether the layer's spikes come back to it through ``w_rec``.
        bias: whether a learned constant is added to the input of every step.
        backend: passed to :func:`snnlightning.scan.scan`.
        initializer: fills ``w_in``; ``ScaledNormal()`` when None.
        rec_initializer: fills ``w_rec``; as ``initializer`` when None.
        quantization: precision of a chip at which the layer runs; float when None. The parameters stay float.
        quantize: ``aware``: at every call, straight through; ``after``: in ``eval()`` mode only.

    Raises:
        ConfigurationError: sizes below 1, a readout neuron with recurrence or a surrogate, an unknown backend.
        ShapeError: per-neuron time constants that are not one per neuron.

    Example:
        >>> from snnlightning.neurons import CubaLIF
        >>> layer = SpikingLayer(3, 4, neuron=CubaLIF(), surrogate=SuperSpike(), recurrent=True)
        >>> spikes, state = layer(torch.zeros(2, 5, 3))
        >>> spikes.shape, [tuple(s.shape) for s in state]
        (torch.Size([2, 5, 4]), [(2, 4), (2, 4)])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        neuron: AbstractNeuron,
        surrogate: AbstractSurrogate | SpikeFunction | None = None,
        recurrent: bool = False,
        bias: bool = False,
        backend: str = "auto",
        initializer: Initializer | None = None,
        rec_initializer: Initializer | None = None,
        quantization: Quantization | None = None,
        quantize: QuantizeMode = "aware",
    ) -> None:
        super().__init__()
        if not all(isinstance(size, int) and size >= 1 for size in (in_features, out_features)):
            raise ConfigurationError(
                f"a layer of {in_features!r} -> {out_features!r} features; both must be whole numbers of at least 1."
            )
        if not isinstance(neuron, AbstractNeuron):
            raise ConfigurationError(f"neuron is {neuron!r}; a record such as CubaLIF() is expected.")
        if backend not in BACKENDS:
            raise ConfigurationError(f"no backend named {backend!r}; available: {', '.join(BACKENDS)}.")
        if not neuron.spiking and (recurrent or surrogate is not None):
            what = "recurrent=True" if recurrent else "a surrogate"
            raise ConfigurationError(f"{type(neuron).__name__} has no threshold and does not spike; leave out {what}.")
        self.in_features, self.out_features = in_features, out_features
        self.neuron = neuron
        self.surrogate = (surrogate or SuperSpike()) if neuron.spiking else None
        self.recurrent, self.backend = recurrent, backend
        self.initializer = initializer or ScaledNormal()
        self.rec_initializer = rec_initializer or self.initializer
        self.set_quantization(quantization, quantize)
        self.w_in = nn.Parameter(torch.empty(out_features, in_features))
        self.w_rec = nn.Parameter(torch.empty(out_features, out_features)) if recurrent else None
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        for name in neuron.time_constants:
            value = getattr(neuron, name)
            if isinstance(value, tuple) and len(value) != out_features:
                raise ShapeError(f"{name} lists {len(value)} time constants for a layer of {out_features} neurons.")
            if neuron.learn_tau != "none":
                shape = (out_features,) if neuron.learn_tau == "per_neuron" else ()
                self.register_parameter(f"log_{name}", nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew, and set bias and time constants to their start."""
        self.initializer(self.w_in)
        if self.w_rec is not None:
            self.rec_initializer(self.w_rec)
        with torch.no_grad():
            if self.bias is not None:
                self.bias.zero_()
            if self.neuron.learn_tau != "none":
                for name in self.neuron.time_constants:
                    value = getattr(self.neuron, name)
                    values = value if isinstance(value, tuple) else (value,)
                    if any(math.isinf(tau) for tau in values):
                        raise ConfigurationError(f"{name} is infinite and cannot be learned; use learn_tau='none'.")
                    parameter = cast(Tensor, getattr(self, f"log_{name}"))
                    parameter.copy_(torch.tensor(value, dtype=torch.float64).log().expand_as(parameter))

    def set_quantization(self, quantization: Quantization | None, mode: QuantizeMode = "aware") -> None:
        """Run at this precision from now on, or in float again; see :func:`snnlightning.layers.quantize`."""
        if quantization is not None and not isinstance(quantization, Quantization):
            raise ConfigurationError(
                f"quantization is {quantization!r}; a record such as Quantization(weight_bits=8) is expected."
            )
        if mode not in ("aware", "after"):
            raise ConfigurationError(f"quantize is {mode!r}; it must be one of aware, after.")
        self.quantization, self.quantize_mode = quantization, mode

    def taus_ms(self) -> dict[str, Tensor]:
        """The learned time constants in ms, by field name; empty when none is learned."""
        if self.neuron.learn_tau == "none":
            return {}
        return {name: torch.exp(getattr(self, f"log_{name}")) for name in self.neuron.time_constants}

    def forward(self, x: Tensor | Events, state: State | None = None) -> tuple[Tensor, State]:
        """x [B, T, N_in], dense or as events, and a state (or None: zero) to output [B, T, N] and the state after the last step."""
        record = self.run(x, state)
        return record.output, record.state

    def run(
        self,
        x: Tensor | Events,
        state: State | None = None,
        *,
        potentials: bool = False,
        name: str = "layer",
        kind: ConnectionKind = "feedforward",
        binary: bool = False,
    ) -> LayerRecord:
        """As ``forward``, with everything that metrics and regularizers need.

        Args:
            x: input [B, T, N_in], or its :class:`~snnlightning.events.Events`.
            state: from an earlier call, or None.
            potentials: whether the record holds the potentials [B, T, N].
            name: what the layer is called in the record.
            kind: what its input weights are: ``input`` when x comes from the data, ``readout`` when its output is read.
            binary: whether x is known to hold spikes only (it does when it is a spiking layer's output).
        """
        # Read once: a parametrisation computes the weight each time, and the record must hold what was used.
        weights: tuple[Tensor, Tensor | None, Tensor | None] = (self.w_in, self.w_rec, self.bias)
        neuron: NeuronLike = self.neuron
        coefficients: Coefficients = self.neuron.coefficients(self.taus_ms())
        if (quantization := self.quantization) is not None and (self.quantize_mode == "aware" or not self.training):
            rounded = quantization.rounded(*weights)
            weights = rounded.w_in, rounded.w_rec, rounded.bias
            neuron, coefficients = quantization.neuron(neuron, rounded.scale), quantization.coefficients(coefficients)
        w_in, w_rec, bias = weights
        try:
            trace = scan(
                neuron,
                x,
                w_in,
                w_rec,
                bias=bias,
                state=state,
                spike=self.surrogate,
                coefficients=coefficients,
                potentials=potentials,
                backend=self.backend,
            )
        except ShapeError as error:
            raise ShapeError(f"layer {name!r}: {error}") from None
        sends_spikes = isinstance(self.surrogate, AbstractSurrogate)
        connections = [Connection(f"{name}.w_in", kind, x, w_in, binary)]
        if w_rec is not None:
            connections.append(Connection(f"{name}.w_rec", "recurrent", trace.output, w_rec, sends_spikes))
        return LayerRecord(
            name,
            self.neuron.spiking,
            trace.output,
            trace.state,
            trace.potentials,
            tuple(connections),
            binary=sends_spikes,
            bias=bias,
        )

    def extra_repr(self) -> str:
        parts = [f"{self.in_features}, {self.out_features}", f"neuron={self.neuron}"]
        if self.surrogate is not None:
            parts.append(f"surrogate={self.surrogate}")
        parts += [f"recurrent={self.recurrent}", f"bias={self.bias is not None}"]
        if self.quantization is not None:
            parts += [str(self.quantization), f"quantize={self.quantize_mode}"]
        return ", ".join(parts)
