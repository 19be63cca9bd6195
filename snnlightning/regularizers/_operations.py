"""Synaptic operations of a batch as a function that has a gradient: what ``metrics.SynOps`` counts, through the spikes."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..events import dense
from ..typing import Connection, LayerRecord

__all__ = ["KINDS", "operations"]

KINDS = ("input", "feedforward", "recurrent", "readout")
_CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def operations(records: Sequence[LayerRecord], kinds: Collection[str] = KINDS) -> Tensor:
    """sum over connections of sum_j events_j fan_out_j, per sample: events of presynaptic neuron j times its weights != 0.

    What is no whole number (an analog input) causes no operation, as in ``metrics.SynOps``.

    Args:
        records: of all layers.
        kinds: which connections count.

    Returns:
        A scalar, in the dtype of the spikes.

    Gradient: fan_out_j / B for every spike; none through the weights, whose number does not change by a gradient.
    """
    terms = [_of(c) for record in records for c in record.connections if c.kind in kinds]
    total = torch.stack(terms).sum() if terms else records[0].output.new_zeros(())
    return total / records[0].output.shape[0]


def _of(connection: Connection) -> Tensor:
    x = dense(connection.activity)
    x = x if x.is_floating_point() else x.to(connection.weight.dtype)
    if not x.requires_grad and not connection.binary:
        x = torch.where(x.frac() == 0, x.abs(), 0.0)
    per_neuron, there = x.sum(dim=(0, 1)), (connection.weight.detach() != 0).to(x.dtype)
    slide = connection.convolution
    if slide is None:
        return (per_neuron * there.sum(dim=0)).sum()
    # Linear in the activity: the sum over batch and steps goes through the kernel of ones once.
    conv = _CONVOLUTION[there.ndim - 2]
    out: Tensor = conv(per_neuron[None], there, None, slide.stride, slide.padding, slide.dilation, slide.groups)
    return out.sum()
