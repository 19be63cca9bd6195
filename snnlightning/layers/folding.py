"""fold: a trained network with everything that acts on its weights made part of them, ready to be exported or placed."""

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

from ..errors import ConfigurationError
from .abstract import AbstractLayer

__all__ = ["fold"]

Net = TypeVar("Net", bound=nn.Module)


@torch.no_grad()
def fold(network: Net) -> Net:
    """A copy in ``eval()`` mode whose weights are those in effect: parametrisations computed, batch normalisation multiplied in.

    w' = scale w, b' = scale b + shift (:class:`~snnlightning.layers.BatchNorm`). Output and counts in ``eval()`` are those of the network
    itself, up to the order of rounding.

    Args:
        network: any module with layers in it; it stays as it is.

    Raises:
        ConfigurationError: a normalisation that depends on the input.

    Example:
        >>> from snnlightning.layers import BatchNorm, SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> folded = fold(SpikingLayer(3, 4, neuron=LIF(), norm=BatchNorm(4)))
        >>> folded.norm is None, folded.bias.shape
        (True, torch.Size([4]))
    """
    folded = copy.deepcopy(network).eval()
    for name, layer in folded.named_modules():
        if not isinstance(layer, AbstractLayer):
            continue
        _write_down(layer)
        if layer.norm is None:
            continue
        if layer.norm.folded() is None:
            raise ConfigurationError(
                f"{name or 'the layer'} has a {type(layer.norm).__name__}, whose mean and variance depend on the input; only "
                "BatchNorm can be folded into weights."
            )
        w_in, bias = layer.normalised_weights()
        layer.w_in.copy_(w_in)
        layer.bias = None if bias is None else nn.Parameter(bias.clone())
        layer.norm = None
    return folded


def _write_down(layer: AbstractLayer) -> None:
    """Parameters in the place of parametrisations. Not by ``remove_parametrizations``, which edits the class that a copy shares
    with its original."""
    if not parametrize.is_parametrized(layer):
        return
    values = {name: getattr(layer, name).clone() for name in layer.parametrizations}  # type: ignore[union-attr]
    del layer.parametrizations
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    for name, value in values.items():
        layer.register_parameter(name, nn.Parameter(value))
