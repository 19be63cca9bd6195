"""Quantising a network: switching every layer of it to a chip's precision, and reading the integers."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from .abstract import AbstractLayer
from .quantization import Quantization, QuantizeMode

__all__ = ["IntegerWeights", "integer_weights", "quantize"]


class IntegerWeights(NamedTuple):
    """What a chip stores of a layer.

    Attributes:
        w_in: whole numbers k, int32 [N, N_in], or a kernel [C_out, C_in, *K]; ``w_in * scale`` is the weight in effect, bit for bit.
        w_rec: the same [N, N], or None.
        bias: whole numbers m, int64 [N], in units of ``state_lsb``; None without a bias or with a state that is not rounded.
        scale: s, [] or [N, 1], in units of the potential.
        state_lsb: [] or [N], one step of the state; None when the state is not rounded.
    """

    w_in: Tensor
    w_rec: Tensor | None
    bias: Tensor | None
    scale: Tensor
    state_lsb: Tensor | None


def quantize(network: nn.Module, quantization: Quantization | None, mode: QuantizeMode = "aware") -> nn.Module:
    """Run every layer of neurons of a network at this precision; the float weights stay where they are.

    Parameters, their names and a checkpoint are the same with and without, so that a network that was trained in float
    loads into a quantised one and the other way round.

    Args:
        network: any module with spiking layers in it; changed in place and returned.
        quantization: what is rounded and how; None: nothing, from now on.
        mode: ``aware``: always, so that training is quantisation-aware (straight through); ``after``: in ``eval()`` mode
            only, so that training stays in float.

    Raises:
        ConfigurationError: no spiking layer, or no such mode.

    Example:
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> layer = quantize(SpikingLayer(3, 4, neuron=LIF()), Quantization(weight_bits=2))
        >>> layer.run(torch.zeros(1, 5, 3)).connections[0].weight.unique().numel() <= 3
        True
    """
    layers = [module for module in network.modules() if isinstance(module, AbstractLayer)]
    if not layers:
        raise ConfigurationError(
            f"{type(network).__name__} has no spiking layer in it; quantization rounds the weights and states of those."
        )
    for layer in layers:
        layer.set_quantization(quantization, mode)
    return network


@torch.no_grad()
def integer_weights(layer: AbstractLayer) -> IntegerWeights:
    """The integers of a quantised layer with their scales.

    Raises:
        ConfigurationError: the layer is not quantised.

    Example:
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> layer = SpikingLayer(1, 2, neuron=LIF(), quantization=Quantization(weight_bits=4))
        >>> with torch.no_grad():
        ...     _ = layer.w_in.copy_(torch.tensor([[0.875], [-0.3]]))
        >>> integer_weights(layer).w_in.flatten().tolist()
        [7, -2]
    """
    quantization = layer.quantization
    if quantization is None:
        raise ConfigurationError("this layer has no quantization; quantize(network, Quantization(...)) gives it one.")
    (w_in, bias_in_effect), w_rec = layer.normalised_weights(), layer.w_rec
    rounded = quantization.rounded(w_in.flatten(1), None if w_rec is None else w_rec.flatten(1), bias_in_effect)
    bias, scale = rounded.bias, rounded.scale
    lsb = None if quantization.state_bits is None else quantization.state_lsb(scale)
    return IntegerWeights(
        _units(rounded.w_in, scale, torch.int32).view_as(w_in),
        None if w_rec is None or rounded.w_rec is None else _units(rounded.w_rec, scale, torch.int32).view_as(w_rec),
        None if bias is None or lsb is None else _units(bias, lsb, torch.int64),
        scale,
        lsb,
    )


def _units(x: Tensor, lsb: Tensor, dtype: torch.dtype) -> Tensor:
    return (x / lsb).round().to(dtype)
