"""What one call of a layer costs in NeuroBench's arithmetic: the numbers that ``NeuroBenchSynOps`` adds up.

    E(c) = int( sum layer(1[x != 0]; weight = 1[W != 0], bias = 0) )        D(c): the same with ones for x and W

are whole numbers that NeuroBench adds up in the layer's dtype. As long as they are within its whole numbers (2^24 in
float32), every partial sum is exact in any order, and the count is had from each presynaptic neuron's fan-out, all calls in
one product. Beyond that the rounding is part of NeuroBench's answer: the layer is then run as NeuroBench runs it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigurationError
from ..events import dense
from ..typing import Connection
from ._counting import Synapses

__all__ = ["Calls", "calls_of"]

_CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class Calls(NamedTuple):
    """One row per call, first to last: ``effective`` and ``dense`` operations of the whole batch (int64), and whether the
    call is ``spiking`` (bool): all that came in is 0, 1 or -1."""

    effective: Tensor
    dense: Tensor
    spiking: Tensor


def calls_of(parts: Sequence[Connection], whole: bool) -> Calls:
    """The calls of one module.

    Args:
        parts: its sets of synapses: one, or those of a cell, whose products are added before they are summed. The first one
            decides the class.
        whole: whether the module got the whole sequence in one call, instead of one step after the other.

    Raises:
        ShapeError: activity and weight that do not fit together.
        ConfigurationError: counts that the layer's dtype cannot hold.
    """
    parts = [_as_called(part) for part in parts]
    batch, steps = parts[0].activity.shape[:2]
    leaving = [Synapses(part).fan_out for part in parts]
    reached = [_dense_fan_out(part) for part in parts]
    limit = _whole_numbers(parts[0].weight.dtype)
    counted = [_by_step(part, out) for part, out in zip(parts, leaving, strict=True)]
    effective, spiking = torch.stack([steps_of for steps_of, _ in counted]).sum(dim=0), counted[0][1]
    dense = torch.stack([out.sum() for out in reached]).sum() * batch
    if whole:
        effective, dense, spiking = effective.sum(dim=0, keepdim=True), dense * steps, spiking.all(dim=0, keepdim=True)
    for call in (effective > limit).nonzero().flatten().tolist():
        effective[call] = _as_run(parts, slice(None) if whole else call, ones=False)
    if int(dense) > limit:
        dense = torch.full_like(dense, _as_run(parts, slice(None) if whole else 0, ones=True))
    return Calls(effective, dense.expand(effective.shape), spiking)


def _as_called(connection: Connection) -> Connection:
    """With the activity that arrives: recurrent synapses get what their layer sent a step earlier, and zeros at first."""
    if connection.kind != "recurrent":
        return connection
    sent = dense(connection.activity).detach()
    return connection._replace(activity=torch.cat([torch.zeros_like(sent[:, :1]), sent[:, :-1]], dim=1))


def _whole_numbers(dtype: torch.dtype) -> int:
    """Up to where all whole numbers are exact."""
    return int(2 / torch.finfo(dtype).eps) if dtype.is_floating_point else 2**24


def _dense_fan_out(connection: Connection) -> Tensor:
    ones = connection._replace(weight=torch.ones_like(connection.weight.detach()))
    return Synapses(ones).fan_out


def _by_step(connection: Connection, leaving: Tensor) -> tuple[Tensor, Tensor]:
    """Exact operations of the whole batch in each step, int64 [T], and whether its tensor [B, *N] is all 0, 1 and -1, bool [T]."""
    present, spiking = _present(connection)
    # A row cannot exceed the sum of all fan-outs.
    dtype = torch.float32 if int(leaving.sum()) <= 2**24 else torch.float64
    rows = present.flatten(2).to(dtype) @ leaving.flatten().to(dtype)
    return rows.to(torch.int64).sum(dim=0), spiking


def _present(connection: Connection) -> tuple[Tensor, Tensor]:
    """1[x != 0] [B, T, *N], in whatever dtype, and per step whether all of x is 0, 1 or -1."""
    x = dense(connection.activity).detach()
    spiking = torch.ones(x.shape[1], dtype=torch.bool, device=x.device)
    if connection.binary or x.dtype == torch.bool or not x.numel():
        return x, spiking
    if x.is_floating_point():
        low, high = map(float, x.aminmax())
        # frac is 0 for whole numbers and NaN for what is not finite: two passes settle it for spikes.
        if low >= -1 and high <= 1 and bool(x.frac().abs_().amax() == 0):
            return x if low >= 0 else x.abs(), spiking
    else:
        x = x.to(torch.int64)  # unsigned ones have no -1 to be compared with
    classic = (x == 0) | (x == 1) | (x == -1)
    return x != 0, classic.transpose(0, 1).flatten(1).all(dim=1)


def _as_run(parts: Sequence[Connection], call: int | slice, *, ones: bool) -> int:
    """E or D of one call in the layer's dtype, summed as NeuroBench sums it, rounding included."""
    total: Tensor | None = None
    for part in parts:
        weight = part.weight.detach()
        dtype = weight.dtype if weight.is_floating_point() else torch.float32
        x, there = dense(part.activity).detach()[:, call], weight
        x = torch.ones_like(x, dtype=dtype) if ones else (x != 0).to(dtype)
        there = torch.ones_like(there, dtype=dtype) if ones else (there != 0).to(dtype)
        if len(parts) > 1:  # a cell: features first
            out = torch.matmul(there, x.transpose(0, -1))
        elif part.convolution is None:
            out = F.linear(x, there)
        else:
            slide = part.convolution
            if isinstance(call, slice):
                x = x.flatten(0, 1)
            out = _CONVOLUTION[there.ndim - 2](
                x, there, None, slide.stride, slide.padding, slide.dilation, slide.groups
            )
        total = out if total is None else total + out
    assert total is not None
    found = float(total.sum())
    if not math.isfinite(found):
        raise ConfigurationError(
            f"{parts[0].name}: one call costs more than {total.dtype} can hold, and NeuroBench gives up; count the network in "
            "float32, or use SynOps, which has no such limit."
        )
    return int(found)
