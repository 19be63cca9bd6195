"""What one tensor of activity holds, and where its events arrive: the sums that ``SynOps`` is made of.

All results are exact whole numbers. Tensors are read a piece at a time, so that the passes over a piece find it in the
cache, and a tensor that serves as the output of one layer and the input of the next is read once.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ShapeError
from ..events import Events, dense, known
from ..typing import Connection, Delay

__all__ = ["Tally", "Tallies", "active_updates", "fan_out", "weights"]

_EXACT = 2**24
"""Whole numbers up to here, and their sums, are exact in float32."""
_PIECE = 2**18
"""Elements that are read at a time: 1 MB of float32."""


class Tally(NamedTuple):
    """Per presynaptic neuron [*N], summed over batch and time, int64.

    ``events``: a whole number k is |k| events; ``analog``: elements that are no whole number; ``whole``: elements that are
    whole and not zero, a message each. ``any_at`` [B, T]: whether anything was sent in that step.
    """

    events: Tensor
    analog: Tensor
    whole: Tensor
    any_at: Tensor


class Tallies:
    """Tallies of one batch; each tensor is read once, however many connections it feeds."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Tensor | Events, Tally]] = {}

    def of(self, activity: Tensor | Events, binary: bool) -> Tally:
        """The tally of a tensor [B, T, *N], or of its events, where they are known, without a look at the tensor."""
        counted = self._known.get(id(activity))
        if counted is None:
            events = activity if isinstance(activity, Events) else known(activity)
            # The tensor is kept as well: its id stays its own as long as it lives.
            tally = _tally_of_events(events) if events is not None else _tally(dense(activity).detach(), binary)
            counted = self._known[id(activity)] = (activity, tally)
        return counted[1]


def fan_out(connection: Connection, features: torch.Size) -> Tensor:
    """Number of non-zero weights that leave each presynaptic neuron, int64 [*N_pre].

    For a convolution: the taps that land inside the output, exact at the borders, for any stride, dilation and groups: the
    transposed convolution of ones with 1[w != 0].

    Raises:
        ShapeError: activity and weight that do not fit together.
    """
    weight, slide = connection.weight.detach(), connection.convolution
    if slide is None:
        if len(features) != 1 or weight.ndim != 2 or features[0] != weight.shape[1]:
            raise _misfit(connection, "[B, T, N_pre] and [N_post, N_pre]")
        return (weight != 0).sum(dim=0)
    axes = _axes(connection, features)
    taps = (weight != 0).to(torch.float64)
    inside = features[1:]
    shape = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(inside, weight.shape[2:], slide.stride, slide.padding, slide.dilation, strict=True)
    ]
    if min(shape) < 1:
        raise _misfit(connection, "a kernel that lies inside the padded input")
    ones = taps.new_ones(1, weight.shape[0], *shape)
    full = _TRANSPOSED[axes](ones, taps, None, slide.stride, 0, 0, slide.groups, slide.dilation)[0]
    for axis, (size, padding) in enumerate(zip(inside, slide.padding, strict=True), start=1):
        # Taps on the padding are cut off; places that a stride leaves over at the far border reach nothing.
        full = full.narrow(axis, padding, min(size, full.shape[axis] - padding))
        missing = full.new_zeros([size - full.shape[axis] if k == axis else n for k, n in enumerate(full.shape)])
        full = torch.cat([full, missing], dim=axis)
    return full.round().to(torch.int64)


def active_updates(
    connections: tuple[Connection, ...], bias: Tensor | None, output: Tensor, tallies: Tallies
) -> Tensor:
    """Updates of a layer's neurons that have input, through a weight that is not zero, or a bias; int64 scalar."""
    batch, steps = output.shape[:2]
    neurons = output.shape[2:]
    everywhere = torch.zeros((batch, steps), dtype=torch.bool, device=output.device)
    always = torch.zeros(neurons, dtype=torch.bool, device=output.device)
    if bias is not None:
        always = (bias.detach() != 0).view(-1, *[1] * (len(neurons) - 1)).expand(neurons)
    somewhere = None
    for connection in connections:
        tally = tallies.of(connection.activity, connection.binary)
        if tally.any_at.shape != everywhere.shape:
            raise ShapeError(
                f"{connection.name}: activity {list(connection.activity.shape)} in a layer whose output is "
                f"{list(output.shape)}; batch and steps must be the same."
            )
        weight = connection.weight.detach()
        if connection.convolution is None and connection.delay is None and bool((weight != 0).all()):
            everywhere = everywhere | tally.any_at
        elif weight.numel():
            reached = _reached(connection, tally)
            somewhere = reached if somewhere is None else somewhere | reached
    if somewhere is None:
        on = everywhere.sum()
        return on * neurons.numel() + (batch * steps - on) * always.sum()
    if somewhere.shape[2:] != neurons:
        raise ShapeError(
            f"{connections[0].name}: its connections reach {list(somewhere.shape[2:])} neurons and the output is "
            f"{list(output.shape)}; a layer's output is [B, T, *N_post]."
        )
    return (somewhere | always | everywhere.view(batch, steps, *[1] * len(neurons))).sum()


def weights(connection: Connection, leaving: Tensor) -> list[Tensor]:
    """Synapses (uses of a weight that is not zero), stored weights that are not zero, and all stored weights; int64."""
    weight = connection.weight.detach()
    synapses = leaving.sum()
    return [synapses, (weight != 0).sum(), torch.full_like(synapses, weight.numel())]


_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def _axes(connection: Connection, features: torch.Size) -> int:
    """Spatial axes of a convolution, all shapes checked."""
    slide, weight = connection.convolution, connection.weight
    assert slide is not None
    axes = weight.ndim - 2
    numbers = {len(slide.stride), len(slide.padding), len(slide.dilation), len(features) - 1}
    if axes not in _CONVOLUTION or numbers != {axes} or features[0] != weight.shape[1] * slide.groups:
        raise _misfit(connection, "[B, T, C_in, *S] and [C_out, C_in / groups, *K] with one to three axes")
    return axes


def _misfit(connection: Connection, expected: str) -> ShapeError:
    slide = "" if connection.convolution is None else f" with {connection.convolution}"
    return ShapeError(
        f"{connection.name}: activity {list(connection.activity.shape)} and weight {list(connection.weight.shape)}{slide} "
        f"do not fit; {expected} are expected."
    )


def _reached(connection: Connection, tally: Tally) -> Tensor:
    """Which neurons get an event through a weight that is not zero, bool [B, T, *N_post]."""
    weight, slide = connection.weight.detach(), connection.convolution
    sent = (dense(connection.activity).detach() != 0).to(torch.float32)
    there = (weight != 0).to(torch.float32)
    if connection.delay is not None:
        return _reached_later(sent, there, connection.delay)
    if slide is None:
        return F.linear(sent, there) > 0
    axes = _axes(connection, sent.shape[2:])
    out: Tensor = _CONVOLUTION[axes](
        sent.flatten(0, 1), there, None, slide.stride, slide.padding, slide.dilation, slide.groups
    )
    out = out.unflatten(0, tally.any_at.shape)
    return out > 0.5  # some convolutions are transforms, and round


def _reached_later(sent: Tensor, there: Tensor, delay: Delay) -> Tensor:
    """Which neurons something arrives at, sent in this sequence or before it: one product per delay that occurs."""
    past = (delay.past != 0).to(torch.float32)
    longest, steps = past.shape[1], sent.shape[1]
    both = torch.cat([past, sent], dim=1)
    reached = torch.zeros((*sent.shape[:2], there.shape[0]), dtype=torch.bool, device=sent.device)
    for d in delay.steps.unique().tolist():
        reached |= F.linear(both[:, longest - d : longest - d + steps], there * (delay.steps == d)) > 0
    return reached


def _tally(activity: Tensor, binary: bool) -> Tally:
    batch, steps = activity.shape[:2]
    features = activity.shape[2:]
    if not activity.is_floating_point():
        # Signed integers at the end of their range have no opposite: widened before abs.
        activity = activity.to(torch.int64).abs()
        any_at = (activity != 0).flatten(2).any(dim=-1) if activity.numel() else activity.new_zeros(batch, steps).bool()
        events = activity.sum(dim=(0, 1))
        return Tally(events, torch.zeros_like(events), (activity != 0).sum(dim=(0, 1)), any_at)
    flat = activity.reshape(batch * steps, features.numel())
    none = torch.zeros(features.numel(), dtype=torch.int64, device=activity.device)
    events, analog, whole, sent = none, none, none, []
    for piece in flat.split(max(1, _PIECE // max(1, flat.shape[1]))) if flat.numel() else ():
        more_events, more_analog, more_whole, any_in = _tally_of_piece(piece, binary)
        events, analog, whole = events + more_events, analog + more_analog, whole + more_whole
        sent.append(any_in)
    any_at = torch.cat(sent) if sent else torch.zeros(batch * steps, dtype=torch.bool, device=activity.device)
    return Tally(events.view(features), analog.view(features), whole.view(features), any_at.view(batch, steps))


def _tally_of_events(events: Events) -> Tally:
    """One pass over the events instead of one over all elements."""
    features, value = events.shape[2], events.value
    any_at = (events.pointer.diff() > 0).view(events.shape[:2])
    whole = torch.bincount(events.index, minlength=features)
    none = torch.zeros_like(whole)
    if value is None:
        return Tally(whole, none, whole, any_at)
    is_whole = value.frac() == 0  # NaN for what is not finite
    if bool(is_whole.all()):
        # Whole numbers and their sums are exact in float64.
        weighted = torch.bincount(events.index, value.abs().to(torch.float64), minlength=features)
        return Tally(weighted.to(torch.int64), none, whole, any_at)
    counted = torch.where(is_whole, value.abs(), 0.0).to(torch.float64)
    weighted = torch.bincount(events.index, counted, minlength=features).to(torch.int64)
    whole = torch.bincount(events.index[is_whole], minlength=features)
    return Tally(weighted, torch.bincount(events.index[~is_whole], minlength=features), whole, any_at)


def _tally_of_piece(piece: Tensor, binary: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows [R, N]: events, analog and whole elements per column, and which rows hold anything."""
    if binary:
        events = _sum_whole(piece, 1.0)
        return events, torch.zeros_like(events), events, piece.amax(dim=1) != 0
    low, high = map(float, piece.aminmax())
    magnitude = piece if low >= 0 else piece.abs()
    largest = max(-low, high)
    # frac is 0 for whole numbers and NaN for what is not finite: one pass and a maximum, where == and all() take four.
    if bool(magnitude.frac().amax() == 0):
        events = _sum_whole(magnitude, largest)
        whole = events if largest <= 1 else (magnitude != 0).sum(dim=0)
        return events, torch.zeros_like(events), whole, magnitude.amax(dim=1) != 0
    is_whole = magnitude.frac() == 0
    counted = torch.where(is_whole, magnitude, 0.0)
    rows = (magnitude != 0).any(dim=1)  # true for NaN, which is an analog element
    return _sum_whole(counted, float(counted.max())), (~is_whole).sum(dim=0), (counted != 0).sum(dim=0), rows


def _sum_whole(counts: Tensor, largest: float) -> Tensor:
    """The sums of the columns of whole numbers >= 0 as int64, exact: in float32 where no sum can leave its range."""
    if largest * counts.shape[0] < _EXACT:
        # A product with ones is one pass of vector instructions, and any order of exact sums gives the same number.
        ones = torch.ones(counts.shape[0], dtype=torch.float32, device=counts.device)
        return (ones @ counts.to(torch.float32)).to(torch.int64)
    return counts.sum(dim=0, dtype=torch.float64).to(torch.int64)
