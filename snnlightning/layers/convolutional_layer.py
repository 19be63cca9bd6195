"""ConvolutionalLayer: spiking neurons on a grid, driven through a sliding kernel; feed-forward or recurrent."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError, ShapeError
from ..events import Events, dense
from ..firing import AbstractFiring
from ..neurons import AbstractNeuron
from ..scan import scan, supports
from ..surrogates import AbstractSurrogate
from ..typing import Connection, ConnectionKind, Convolution, LayerRecord, NeuronLike, SpikeFunction, State
from .abstract import AbstractLayer, Initializer, Shape
from .convolution import RecurrentConvolution, convolve, per_axis, sizes_after
from .normalization import AbstractNorm
from .quantization import Quantization, QuantizeMode

__all__ = ["ConvolutionalLayer"]

_MATRIX_UP_TO = 1024
"""Neurons up to which compiled loops get the recurrent kernel as a matrix (4 MB of float32)."""


class ConvolutionalLayer(AbstractLayer):
    """C_out maps of neurons on a grid: drive[n] = w_in * x[n] + bias (+ w_rec * S[n]), ``*`` a convolution over space.

    [B, T, C_in, *S] to [B, T, C_out, *S'] with one to three axes S: frequency channels (1), images and event frames (2).
    Weights are ``w_in`` [C_out, C_in / groups, *K], ``w_rec`` [C_out, C_out, *K_rec] (padded, so that maps keep their size)
    and ``bias`` [C_out]. Time constants are of the layer or of a map: lists have C_out entries. A state is [B, N] per
    variable, N = C_out prod(S').

    Args:
        in_channels: C_in >= 1.
        out_channels: C_out >= 1.
        kernel_size: K, one number per axis; its length decides how many axes there are.
        neuron, surrogate, bias, backend, initializer, rec_initializer, quantization, quantize, norm: as
            :class:`SpikingLayer` has them (``norm`` of C_out features); a kernel's fan-in is C_in / groups prod(K).
        stride: one number, or one per axis, >= 1.
        padding: zeros at both borders, >= 0; or ``same``: as many as keep the size (odd kernels, stride 1).
        dilation: >= 1.
        groups: divides both numbers of channels.
        recurrent: whether spikes come back to the layer through ``w_rec``.
        rec_kernel_size: K_rec, odd; ``kernel_size`` when None.

    Raises:
        ConfigurationError: sizes that are not whole numbers or do not fit together; what SpikingLayer refuses.

    Source: recurrent convolutions over frequency channels: stork, example 03 (SHD, 16-32-64 channels); differs: its layers
    have one kernel size for both.

    Example:
        >>> from snnlightning.neurons import LIF
        >>> layer = ConvolutionalLayer(1, 4, [3, 3], neuron=LIF(), padding="same", recurrent=True)
        >>> layer(torch.zeros(2, 5, 1, 8, 8))[0].shape, layer.w_rec.shape
        (torch.Size([2, 5, 4, 8, 8]), torch.Size([4, 4, 3, 3]))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        *,
        neuron: AbstractNeuron,
        surrogate: AbstractSurrogate | AbstractFiring | SpikeFunction | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        recurrent: bool = False,
        rec_kernel_size: Sequence[int] | None = None,
        bias: bool = False,
        backend: str = "auto",
        initializer: Initializer | None = None,
        rec_initializer: Initializer | None = None,
        quantization: Quantization | None = None,
        quantize: QuantizeMode = "aware",
        norm: AbstractNorm | None = None,
    ) -> None:
        kernel, self_slide = _sliding(kernel_size, stride, padding, dilation, groups)
        per_axis("in_channels, out_channels, groups", (in_channels, out_channels, groups), 3, 1)
        if in_channels % groups or out_channels % groups:
            raise ConfigurationError(
                f"groups is {groups}; it has to divide in_channels={in_channels} and out_channels={out_channels}."
            )
        super().__init__(
            neuron,
            surrogate,
            channels=out_channels,
            recurrent=recurrent,
            backend=backend,
            initializer=initializer,
            rec_initializer=rec_initializer,
            quantization=quantization,
            quantize=quantize,
            norm=norm,
        )
        self.in_channels, self.out_channels, self.kernel_size, self.slide = (
            in_channels,
            out_channels,
            kernel,
            self_slide,
        )
        self.w_in = nn.Parameter(torch.empty(out_channels, in_channels // groups, *kernel))
        self.w_rec = None
        if recurrent:
            own = per_axis("rec_kernel_size", kernel if rec_kernel_size is None else rec_kernel_size, len(kernel), 1)
            if any(k % 2 == 0 for k in own):
                raise ConfigurationError(f"rec_kernel_size is {list(own)}; an odd one keeps the size of the maps.")
            self.w_rec = nn.Parameter(torch.empty(out_channels, out_channels, *own))
        elif rec_kernel_size is not None:
            raise ConfigurationError("rec_kernel_size belongs to recurrent=True; set that, or leave the size out.")
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
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
    ) -> LayerRecord:
        """As ``forward``, with everything that metrics and regularizers need; see :meth:`AbstractStage.run`."""
        x = dense(x)
        try:
            maps = (self.out_channels, *self._sizes_after(tuple(x.shape[2:])))
            w_in, w_rec, bias, neuron, coefficients = self.effective(places=torch.Size(maps[1:]).numel())
            # State stays in the precision of the weights, also where autocast makes the product half.
            out = convolve(x.to(w_in.dtype).flatten(0, 1), w_in, bias, self.slide).to(w_in.dtype)
            drive = out.unflatten(0, x.shape[:2])
            if (norm := self.live_norm) is not None:
                drive = norm(drive)
            drive = drive.flatten(2)
            trace = scan(
                neuron,
                drive,
                None,
                None if w_rec is None else self._recurrence(neuron, drive, w_rec, maps[1:]),
                state=state,
                spike=self.surrogate,
                coefficients=coefficients,
                potentials=potentials,
                backend=self.backend,
            )
        except ShapeError as error:
            raise ShapeError(f"layer {name!r}: {error}") from None
        output = trace.output.unflatten(2, maps)
        connections = [Connection(f"{name}.w_in", kind, x, w_in, binary, self.slide, bits=self.weight_bits)]
        if w_rec is not None:
            slide = RecurrentConvolution(w_rec, maps[1:]).slide
            connections.append(
                Connection(f"{name}.w_rec", "recurrent", output, w_rec, self.sends_spikes, slide, bits=self.weight_bits)
            )
        return LayerRecord(
            name,
            self.neuron.spiking,
            output,
            trace.state,
            None if trace.potentials is None else trace.potentials.unflatten(2, maps),
            tuple(connections),
            binary=self.sends_spikes,
            bias=bias if norm is None else norm.shift,
        )

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """(C_out, *S'); the input has to be (C_in, *S)."""
        return None if shape is None else (self.out_channels, *self._sizes_after(shape))

    def extra_repr(self) -> str:
        slide = ", ".join(f"{key}={list(value)}" for key, value in self.slide._asdict().items() if key != "groups")
        parts = [f"{self.in_channels}, {self.out_channels}, {list(self.kernel_size)}", slide]
        return ", ".join([*parts, f"groups={self.slide.groups}", *self._repr_of_neurons()])

    def _sizes_after(self, shape: Shape) -> tuple[int, ...]:
        if len(shape) != len(self.kernel_size) + 1 or shape[0] != self.in_channels:
            axes = ", ".join(f"S{k}" for k in range(len(self.kernel_size)))
            raise ShapeError(
                f"a step of the input is {list(shape)}; [C_in, {axes}] with C_in = {self.in_channels} is expected "
                "(Unflatten([C_in, ...]) before the layer makes maps of flat features)."
            )
        return sizes_after(shape[1:], self.kernel_size, self.slide)

    def _recurrence(
        self, neuron: NeuronLike, drive: Tensor, w_rec: Tensor, sizes: tuple[int, ...]
    ) -> Tensor | RecurrentConvolution:
        """The kernel itself, or the matrix where that lets compiled loops run the layer."""
        recurrence = RecurrentConvolution(w_rec, sizes)
        if self.backend == "reference" or drive.shape[2] > _MATRIX_UP_TO:
            return recurrence
        return recurrence if supports("numba", neuron, drive, None, self.surrogate) else recurrence.matrix()


def _sliding(
    kernel_size: Sequence[int],
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> tuple[tuple[int, ...], Convolution]:
    axes = len(kernel_size) if isinstance(kernel_size, Sequence) else 0
    if not 1 <= axes <= 3:
        raise ConfigurationError(
            f"kernel_size is {kernel_size!r}; one number per axis is expected, for one to three axes: [5], or [3, 3]."
        )
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    steps, spread = per_axis("stride", stride, axes, 1), per_axis("dilation", dilation, axes, 1)
    if isinstance(padding, str):
        if padding != "same" or set(steps) != {1} or any(k % 2 == 0 for k in kernel):
            raise ConfigurationError(
                f"padding is {padding!r} with kernel_size={list(kernel)} and stride={list(steps)}; numbers, or 'same' for odd "
                "kernels and stride 1, are expected."
            )
        return kernel, Convolution(
            steps, tuple(d * (k // 2) for d, k in zip(spread, kernel, strict=True)), spread, groups
        )
    return kernel, Convolution(steps, per_axis("padding", padding, axes, 0), spread, groups)
