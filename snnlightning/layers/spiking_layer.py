"""SpikingLayer: weights, a neuron and a surrogate; feed-forward or recurrent."""

from torch import Tensor

from ..errors import ShapeError
from ..events import Events
from ..firing import AbstractFiring
from ..neurons import AbstractNeuron
from ..scan import scan
from ..surrogates import AbstractSurrogate
from ..typing import Connection, ConnectionKind, LayerRecord, Reader, SpikeFunction, State
from .abstract import AbstractLayer, Initializer, Shape, check_features, drive_of
from .normalization import AbstractNorm
from .quantization import Quantization, QuantizeMode

__all__ = ["SpikingLayer"]


class SpikingLayer(AbstractLayer):
    """One layer of neurons, used like ``torch.nn.LSTM(batch_first=True)``: ``spikes, state = layer(x, state)``.

    Weights are ``w_in`` [N, N_in], ``w_rec`` [N, N] when recurrent (row: to, column: from; autapses included) and
    ``bias`` [N] when asked for. Learned time constants are the parameters ``log_tau_mem_ms`` and so on, learned gains (``a``,
    ``b`` of an AdLIF) go by their own names; [] or [N].
    The layer keeps no state between calls.

    Args:
        in_features: N_in >= 1.
        out_features: N >= 1.
        neuron: a record of :mod:`snnlightning.neurons`; one without threshold (``LI``) makes this a readout layer, whose
            output is its potential.
        surrogate: a record of :mod:`snnlightning.surrogates`, or any v - v_th -> spikes, such as escape noise of
            :mod:`snnlightning.firing`; ``SuperSpike()`` when None.
        recurrent: whether the layer's spikes come back to it through ``w_rec``.
        bias: whether a learned constant is added to the input of every step.
        backend: passed to :func:`snnlightning.scan.scan`.
        initializer: fills ``w_in``; ``ScaledNormal()`` when None.
        rec_initializer: fills ``w_rec``; as ``initializer`` when None.
        quantization: precision of a chip at which the layer runs; float when None. The parameters stay float.
        quantize: ``aware``: at every call, straight through; ``after``: in ``eval()`` mode only.
        norm: normalises w_in x + bias before the neurons: ``BatchNorm(N)``, ``LayerNorm(N)``; None for none.

    Raises:
        ConfigurationError: sizes below 1, a readout neuron with recurrence or a surrogate, an unknown backend.
        ShapeError: per-neuron time constants that are not one per neuron.

    Example:
        >>> import torch
        >>> from snnlightning.neurons import CubaLIF
        >>> layer = SpikingLayer(3, 4, neuron=CubaLIF(), recurrent=True)
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
        surrogate: AbstractSurrogate | AbstractFiring | SpikeFunction | None = None,
        recurrent: bool = False,
        bias: bool = False,
        backend: str = "auto",
        initializer: Initializer | None = None,
        rec_initializer: Initializer | None = None,
        quantization: Quantization | None = None,
        quantize: QuantizeMode = "aware",
        norm: AbstractNorm | None = None,
    ) -> None:
        check_features(in_features, out_features)
        super().__init__(
            neuron,
            surrogate,
            channels=out_features,
            recurrent=recurrent,
            backend=backend,
            initializer=initializer,
            rec_initializer=rec_initializer,
            quantization=quantization,
            quantize=quantize,
            norm=norm,
        )
        self._add_dense_weights(in_features, out_features, bias=bias)
        self.reset_parameters()

    def run(
        self,
        x: Tensor | Events,
        state: State | None = None,
        *,
        potentials: bool = False,
        name: str = "layer",
        kind: ConnectionKind = "feedforward",
        binary: bool = False,
        readout: Reader | None = None,
    ) -> LayerRecord:
        """As ``forward``, with everything that metrics and regularizers need; see :meth:`AbstractStage.run`.

        With a ``readout`` the record has what it makes of the output.
        """
        w_in, w_rec, bias, neuron, coefficients = self.effective()
        norm = self.live_norm
        try:
            trace = scan(
                neuron,
                x if norm is None else norm(drive_of(x, w_in, bias)),
                w_in if norm is None else None,
                w_rec,
                bias=bias if norm is None else None,
                state=state,
                spike=self.surrogate,
                coefficients=coefficients,
                potentials=potentials,
                backend=self.backend,
                readout=readout,
            )
        except ShapeError as error:
            raise ShapeError(f"layer {name!r}: {error}") from None
        bits, binary_out = self.weight_bits, self.sends_spikes
        connections = [Connection(f"{name}.w_in", kind, x, w_in, binary, events=trace.arrived, bits=bits)]
        if w_rec is not None:
            connections.append(
                Connection(f"{name}.w_rec", "recurrent", trace.output, w_rec, binary_out, events=trace.sent, bits=bits)
            )
        return LayerRecord(
            name,
            self.neuron.spiking,
            trace.output,
            trace.state,
            trace.potentials,
            tuple(connections),
            binary=binary_out,
            bias=bias if norm is None else norm.shift,
            events=trace.sent,
            read=trace.read,
        )

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """(N,); the input has to be (N_in,)."""
        if shape is not None and shape != (self.in_features,):
            gives = (
                f"{shape[0]} features"
                if len(shape) == 1
                else f"{list(shape)}, channels first (Flatten() makes it flat),"
            )
            raise ShapeError(f"a layer gives {gives} and the next one takes {self.in_features}.")
        return (self.out_features,)

    def extra_repr(self) -> str:
        return ", ".join([f"{self.in_features}, {self.out_features}", *self._repr_of_neurons()])
