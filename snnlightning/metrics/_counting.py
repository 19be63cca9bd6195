"""What one tensor of activity holds, and where its events arrive: the sums that ``SynOps`` is made of.

All results are exact whole numbers. A tensor that is mostly zero is looked through once, for its events, and everything
is summed over those; a denser one is read a piece at a time, so that the passes over a piece find it in the cache. Which
way was taken changes no number. A tensor that serves as the output of one layer and the input of the next is read once.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ShapeError
from ..events import Events, dense, known, listed
from ..typing import Connection, Delay, LayerRecord
from ._listed import listed_by_loop
from ._loops import compiled, loop
from ._reached import Together, passed_by_ones, reached_by_events

__all__ = [
    "Row",
    "Synapses",
    "Tallies",
    "Tally",
    "active_updates",
    "all_or_none",
    "groups_of",
    "layers_with_neurons",
    "sources_of",
    "words_of",
]

Row = tuple[int, ...]
"""Of a connection: synops, the same with graded spikes, macs, events, messages, slots. Of a layer: spikes, 0, analog
outputs, active updates, outputs that are not zero, updates."""

_EXACT, _EXACT_DOUBLE = 2**24, 2**53
"""Whole numbers up to here, and their sums, are exact in float32 and in float64."""
_FEW = 2**11
"""Columns of numbers up to 1 whose sum in float32, in any order, is less than 1/4 off: n^2 / 2^24."""
_ONE = 0x3F800000
"""The bits of 1.0 in float32."""
_PIECE = 2**18
"""Elements that are read at a time: 1 MB of float32."""
_FEW_ROWS = 0.25
"""Below this share of rows, they are taken out and listed by themselves."""
_SELDOM, _MOSTLY_ZERO = 0.03, 0.5
"""Below these shares of elements that are not zero, a list is cheaper than four passes, and than a matrix product."""


class Tally:
    """What one tensor of activity holds; found when it is asked for, because the sums over neurons cost more than the totals.

    ``sums`` [3, *N], per presynaptic neuron, over batch and time, int64: events (a whole number k is |k| of them), elements
    that are whole and not zero (a message each), and elements that are no whole number. ``totals``: the same over all
    neurons. ``any_at`` [B, T]: whether anything was sent in that step.

    Args:
        activity: [B, T, *N].
        lists: where its list is, or is made.
        sent: who carries it.
    """

    def __init__(self, activity: Tensor | Events, lists: "Tallies", sent: Connection | LayerRecord) -> None:
        self._activity, self._lists, self._sent = activity, lists, sent
        self._through: dict[int, Synapses] = {}
        self._passed: dict[int, tuple[int, ...]] = {}
        self._sums: Tensor | None = None
        self._look: _Look | None = None

    def expect(self, synapses: "Synapses") -> None:
        """Say that ``passed`` will be asked for, so that several sets of synapses are looked at in one go."""
        self._through[id(synapses)] = synapses

    def passed(self, synapses: "Synapses") -> tuple[int, ...]:
        """Events, whole and analog elements, each times the fan-out of its neuron, in all."""
        if synapses.full:
            return tuple(total * synapses.there.shape[0] for total in self.totals)
        if id(synapses) not in self._passed:
            self._through[id(synapses)] = synapses
            for key, found in zip(self._through, self._times([*self._through.values()]), strict=True):
                self._passed[key] = found
            self._through = {}
        return self._passed[id(synapses)]

    @property
    def sums(self) -> Tensor:
        """Events, whole and analog elements of each presynaptic neuron, int64 [3, *N]."""
        if self._sums is None and self._lists.at_hand(self._sent) is None:
            self._sums = self._columns_of_ones()
        return self._read().sums if self._sums is None else self._sums

    def _columns_of_ones(self) -> Tensor | None:
        sums = _columns_of_ones(self._activity, self._sent.binary)
        if sums is None:
            return None
        return torch.stack([sums, sums, torch.zeros_like(sums)]).view(3, *self._activity.shape[2:])

    @property
    def totals(self) -> tuple[int, ...]:
        """Events, whole and analog elements of all neurons."""
        if self._look is None:
            if (ones := self._ones) is not None:
                return len(ones), len(ones), 0
            if self._sums is not None:
                return tuple(self._sums.flatten(1).sum(dim=1).tolist())
        return self._looked().totals

    @property
    def any_at(self) -> Tensor:
        """Whether anything was sent in a step, bool [B, T]."""
        return self._looked().any_at

    @property
    def _ones(self) -> Tensor | None:
        """The neurons that sent, an entry for each time, where a list is at hand and every event of it is a one."""
        events = self._lists.at_hand(self._sent)
        return None if events is None or events.value is not None else events.index

    def _times(self, synapses: "list[Synapses]") -> list[tuple[int, ...]]:
        if (ones := self._ones) is not None:
            return [(times, times, 0) for times in passed_by_ones(ones, [own.leaving for own in synapses])]
        sums = self.sums.view(3, -1)
        return [tuple((sums * own.leaving).sum(dim=1).tolist()) for own in synapses]

    def _looked(self) -> "_Look":
        if self._look is None:
            events = self._lists.at_hand(self._sent)
            if events is None:
                self._look = _look_at_ones(self._activity, self._sent.binary)
            elif events.value is None:
                pointer, count = events.pointer, len(events.index)
                any_at = (pointer[1:] > pointer[:-1]).view(self._activity.shape[:2])
                self._look = _Look((count, count, 0), any_at)
        return self._read().look if self._look is None else self._look

    def _read(self) -> "_Read":
        events = self._lists.at_hand(self._sent)
        events = self._lists.if_seldom(self._sent) if events is None else events
        if events is None:
            sums, any_at = _tally(dense(self._activity), self._sent.binary)
        else:
            sums, any_at = _tally_of_events(events, self._activity.shape)
        self._sums = sums
        self._look = _Look(tuple(sums.flatten(1).sum(dim=1).tolist()), any_at)
        return _Read(self._sums, self._look)


class _Look(NamedTuple):
    """``totals`` and ``any_at`` of a :class:`Tally`."""

    totals: tuple[int, ...]
    any_at: Tensor


class _Read(NamedTuple):
    """All of a :class:`Tally`."""

    sums: Tensor
    look: _Look


class Tallies:
    """Tallies and lists of one batch; each tensor is read once, however many connections it feeds."""

    def __init__(self) -> None:
        # The tensors are kept as well: an id stays its own as long as its tensor lives.
        self._tallies: dict[int, tuple[Tensor | Events, Tally]] = {}
        self._lists: dict[int, tuple[Tensor | Events, Events | None]] = {}

    def of(self, sent: Connection | LayerRecord) -> Tally:
        """The tally of what a connection carries, or of what a layer sends: [B, T, *N]."""
        activity = _activity(sent)
        counted = self._tallies.get(id(activity))
        if counted is None:
            counted = self._tallies[id(activity)] = (activity, Tally(activity, self, sent))
        return counted[1]

    def events(self, sent: Connection | LayerRecord) -> Events | None:
        """The same as a list, its axes *N flattened; None where one would not pay."""
        activity = _activity(sent)
        events = self.at_hand(sent)
        if events is None and isinstance(activity, Tensor):
            found = self._lists.get(id(activity))
            if found is None:
                found = self._lists[id(activity)] = (activity, _events(activity))
            events = found[1]
        return events

    def at_hand(self, sent: Connection | LayerRecord) -> Events | None:
        """The list that came along, or that somebody made before."""
        activity = _activity(sent)
        if isinstance(activity, Events):
            return activity
        found = self._lists.get(id(activity))
        if found is None:
            given = sent.events
            given = given if given is not None and given.stands_for(activity) else known(activity)
            if given is None:
                return None
            found = self._lists[id(activity)] = (activity, given)
        return found[1]

    def if_seldom(self, sent: Connection | LayerRecord) -> Events | None:
        """A list, where it is the faster way to a tally."""
        activity = _activity(sent)
        return self.events(sent) if isinstance(activity, Events) or _seldom(activity) else None


def _activity(sent: Connection | LayerRecord) -> Tensor | Events:
    return sent.activity if isinstance(sent, Connection) else sent.output


class Synapses:
    """The weights of a connection that are not zero; the weight is read once.

    ``there`` bool, as the weight; ``fan_out`` int64 [*N_pre], how many leave each presynaptic neuron; ``plain``: from each
    neuron to each, in the same step; ``whole``: no weight is zero; ``full``: both. ``uses`` and ``stored``: synapses, weights.

    Raises:
        ShapeError: activity and weight that do not fit together.
    """

    def __init__(self, connection: Connection) -> None:
        self.there = connection.weight.detach().bool()
        self.fan_out = _fan_out(connection, self.there)
        self.leaving = self.fan_out.flatten().contiguous()
        self.uses = int(self.fan_out.sum())
        self.stored = self.uses if connection.convolution is None else int(self.there.sum())
        self.plain = connection.convolution is None and connection.delay is None
        self.whole = self.stored == self.there.numel()
        self.full = self.plain and self.whole
        self._made_of = self._shape_of(connection)
        self._flat = self.there.view(torch.uint8).flatten()

    def still(self, connection: Connection) -> bool:
        """Whether this is what would be made of ``connection`` too, so that nobody has to.

        The weights are compared, not their versions: code that prunes writes to ``weight.data``, which has none.
        """
        if self._made_of != self._shape_of(connection):
            return False
        weight = connection.weight.detach()
        if compiled() and weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.is_contiguous():
            return not loop("differ")(weight.numpy().reshape(-1), self.bytes)
        there = weight.bool()
        if there.device.type == "cpu":
            return bool((there.numpy() == self.there.numpy()).all())  # several times sooner than torch.equal of bool
        return torch.equal(there, self.there)

    @property
    def bytes(self) -> Any:
        """``there`` as an array of zeros and ones, uint8."""
        return self._flat.numpy()

    def numbers(self) -> tuple[int, int, int]:
        """Synapses (uses of a weight that is not zero), stored weights that are not zero, and all stored weights."""
        return self.uses, self.stored, self.there.numel()

    @staticmethod
    def _shape_of(connection: Connection) -> tuple[Any, ...]:
        weight = connection.weight
        return (
            connection.activity.shape[2:], connection.convolution, connection.delay is None, weight.shape, weight.device
        )  # fmt: skip


def _fan_out(connection: Connection, there: Tensor) -> Tensor:
    """Number of non-zero weights that leave each presynaptic neuron, int64 [*N_pre].

    For a convolution: the taps that land inside the output, exact at the borders, for any stride, dilation and groups: the
    transposed convolution of ones with 1[w != 0].
    """
    features, weight, slide = connection.activity.shape[2:], connection.weight, connection.convolution
    if slide is None:
        if len(features) != 1 or weight.ndim != 2 or features[0] != weight.shape[1]:
            raise _misfit(connection, "[B, T, N_pre] and [N_post, N_pre]")
        return there.sum(dim=0)
    axes = _axes(connection, features)
    taps = there.to(torch.float64)
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


class _Layer(NamedTuple):
    """A layer, the ``at``-th one. Where it has connections that go ``partly``, its updates depend on which weights are zero."""

    at: int
    record: LayerRecord
    partly: list[tuple[Connection, Synapses]]
    fully: list[Connection]
    bias: Tensor | None


def active_updates(
    records: Sequence[LayerRecord],
    synapses: Sequence[Sequence[Synapses]],
    tallies: Tallies,
    together: "dict[tuple[Any, ...], Together]",
) -> list[int]:
    """Updates of each layer's neurons that have input, through a weight that is not zero, or a bias.

    Args:
        records: the layers.
        synapses: those of the connections of each.
        tallies: of this batch.
        together: what was found out about these synapses before; more may be written into it.
    """
    found = [0] * len(records)
    layers = layers_with_neurons(records, synapses)
    for layer in layers:
        if not layer.partly:
            found[layer.at] = all_or_none(layer.record, layer.bias, _steps_with_input(layer, tallies))
    for group in groups_of([layer for layer in layers if layer.partly]):
        counts = _by_lists(group, tallies, together)
        if counts is None:
            counts = [_by_products(layer, synapses[layer.at], tallies) for layer in group]
        for layer, count in zip(group, counts, strict=True):
            found[layer.at] = count
    return found


def layers_with_neurons(records: Sequence[LayerRecord], synapses: Sequence[Sequence[Synapses]]) -> "list[_Layer]":
    """Each with its connections, sorted by whether they go from each neuron to each."""
    return [
        _layer(at, record, own)
        for at, (record, own) in enumerate(zip(records, synapses, strict=True))
        if record.neurons
    ]


def _layer(at: int, record: LayerRecord, synapses: Sequence[Synapses]) -> _Layer:
    batch, steps = record.output.shape[:2]
    fully: list[Connection] = []
    partly: list[tuple[Connection, Synapses]] = []
    for connection, own in zip(record.connections, synapses, strict=True):
        if connection.activity.shape[:2] != (batch, steps):
            raise ShapeError(
                f"{connection.name}: activity {list(connection.activity.shape)} in a layer whose output is "
                f"{list(record.output.shape)}; batch and steps must be the same."
            )
        if own.full:
            fully.append(connection)
        elif own.there.numel():
            partly.append((connection, own))
    bias = None if record.bias is None else record.bias.detach().bool()
    return _Layer(at, record, partly, fully, bias)


def _everywhere(layer: _Layer, tallies: Tallies) -> Tensor | None:
    """The steps in which all neurons of a layer have input, bool [B, T]; None: it has no synapses from each neuron to each."""
    found: Tensor | None = None
    for connection in layer.fully:
        any_at = tallies.of(connection).any_at
        found = any_at if found is None else found | any_at
    return found


def _steps_with_input(layer: _Layer, tallies: Tallies) -> int:
    """How many steps those are."""
    if compiled() and 1 <= len(layer.fully) <= 2:
        lists = [tallies.at_hand(connection) for connection in layer.fully]
        given = [events.pointer for events in lists if events is not None]
        if len(given) == len(lists) and given[0].device.type == "cpu":
            steps: int = loop("steps_with_events")(given[0].numpy(), given[-1].numpy())
            return steps
    everywhere = _everywhere(layer, tallies)
    return 0 if everywhere is None else int(torch.count_nonzero(everywhere))


def all_or_none(record: LayerRecord, bias: Tensor | None, on: int) -> int:
    """Updates of a layer in which whatever arrives arrives at all neurons, in ``on`` steps."""
    batch, steps, *neurons = record.output.shape
    constant = 0 if bias is None else int(torch.count_nonzero(bias)) * math.prod(neurons[1:])
    return on * math.prod(neurons) + (batch * steps - on) * constant


def groups_of(waiting: list[_Layer]) -> list[list[_Layer]]:
    """Layers that are looked at together: one whose input the layer before it has too, such as a readout, goes with that one."""
    groups: list[list[_Layer]] = []
    for layer in waiting:
        if groups and _joins(layer, groups[-1]):
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def _joins(layer: _Layer, group: list[_Layer]) -> bool:
    if layer.fully or group[0].fully or not _may_be_listed(layer):
        return False
    sent = {id(connection.activity) for other in group for connection, _ in other.partly}
    return _may_be_listed(group[0]) and sent >= {id(connection.activity) for connection, _ in layer.partly}


def _may_be_listed(layer: _Layer) -> bool:
    """Whether its updates can be had from lists of events."""
    neurons = layer.record.output.shape[2:]
    return (
        len(neurons) == 1
        and layer.record.output.device.type == "cpu"
        and all(own.plain and own.there.shape[0] == neurons[0] for _, own in layer.partly)
    )


def _by_lists(group: list[_Layer], tallies: Tallies, together: "dict[tuple[Any, ...], Together]") -> list[int] | None:
    """From lists of events; None where they would not pay.

    NumPy takes longer to list a tensor than to add it up: where one source is listed, it looks through the others only for
    the rows that this one leaves open.
    """
    if not _may_be_listed(group[0]):
        return None
    sources = sources_of(group)
    lists: dict[int, Events | _Later | None] = {key: tallies.at_hand(sent) for key, sent in sources.items()}
    for key in sorted(sources, key=lambda key: sources[key].activity.numel()):
        if lists[key] is None:
            later = any(isinstance(events, Events) for events in lists.values()) and not compiled()
            lists[key] = _Later(sources[key], tallies) if later else tallies.events(sources[key])
    given = [events for events in lists.values() if events is not None]
    if len(given) < len(lists):
        return None
    words = words_of(group, together)
    return reached_by_events(given, words, _everywhere(group[0], tallies), [layer.bias for layer in group])


def sources_of(group: list[_Layer]) -> dict[int, Connection]:
    """What reaches some of the neurons: by the id of the activity, one of the connections that carry it."""
    sources: dict[int, Connection] = {}
    for layer in group:
        for connection, _ in layer.partly:
            sources.setdefault(id(connection.activity), connection)
    return sources


def words_of(group: list[_Layer], together: "dict[tuple[Any, ...], Together]") -> Together:
    """The layers by their synapses, with sources in the order of ``sources_of``; made once."""
    number = {key: k for k, key in enumerate(sources_of(group))}
    into = tuple(tuple((number[id(c.activity)], own) for c, own in layer.partly) for layer in group)
    if into not in together:
        together[into] = Together([_by_source(layer) for layer in into])
    return together[into]


def _by_source(layer: Sequence[tuple[int, Synapses]]) -> dict[int, Tensor]:
    """The weights of a layer that are not zero by the number of their source."""
    there: dict[int, Tensor] = {}
    for k, own in layer:
        there[k] = there[k] | own.there if k in there else own.there
    return there


class _Later:
    """What lists the rows of an activity that are still open."""

    def __init__(self, sent: Connection, tallies: Tallies) -> None:
        self._sent, self._tallies = sent, tallies

    def __call__(self, rows: Any) -> tuple[Any, Any, Any]:
        """Where the events of rows [R] begin and end, and their neurons."""
        activity = dense(self._sent.activity).detach()
        events = None
        if len(rows) > _FEW_ROWS * activity.shape[:2].numel():
            events = self._tallies.events(self._sent)
        if events is None:
            some = listed(activity.reshape(-1, activity.shape[2])[torch.from_numpy(rows)])
            assert some is not None
            return some[0][:-1].numpy(), some[0][1:].numpy(), some[1].numpy()
        pointer = events.pointer.numpy()
        return pointer[rows], pointer[rows + 1], events.index.numpy()


def _by_products(layer: _Layer, synapses: Sequence[Synapses], tallies: Tallies) -> int:
    """By passes over all elements."""
    output, connections, partly, everywhere = (
        layer.record.output,
        layer.record.connections,
        layer.partly,
        _everywhere(layer, tallies),
    )
    batch, steps, *_ = output.shape
    neurons = output.shape[2:]
    if everywhere is None:
        everywhere = torch.zeros((batch, steps), dtype=torch.bool, device=output.device)
    always = torch.zeros(neurons, dtype=torch.bool, device=output.device)
    if layer.bias is not None:
        always = layer.bias.view(-1, *[1] * (len(neurons) - 1)).expand(neurons)
    places = [_places(c, own, tallies) for c, own in partly if c.convolution is not None and own.whole]
    if (
        len(places) == len(connections)
        and len({p.shape for p in places}) == 1
        and places[0].shape[2:] == neurons[1:]
        and all(own.there.shape[0] == neurons[0] for own in synapses)
    ):
        return _in_all_channels(places, always.flatten(1)[:, 0])
    somewhere = _reached(*partly[0], tallies)
    for connection, own in partly[1:]:
        somewhere = somewhere | _reached(connection, own, tallies)
    if somewhere.shape[2:] != neurons:
        raise ShapeError(
            f"{connections[0].name}: its connections reach {list(somewhere.shape[2:])} neurons and the output is "
            f"{list(output.shape)}; a layer's output is [B, T, *N_post]."
        )
    return int((somewhere | always | everywhere.view(batch, steps, *[1] * len(neurons))).sum())


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


def _reached(connection: Connection, synapses: Synapses, tallies: Tallies) -> Tensor:
    """Which neurons get an event through a weight that is not zero, bool [B, T, *N_post]."""
    slide, there = connection.convolution, synapses.there
    sent = dense(connection.activity).detach().bool()
    if connection.delay is not None:
        return _reached_later(sent.float(), there.float(), connection.delay)
    if slide is None:
        return F.linear(sent.float(), there.float()) > 0
    axes = _axes(connection, sent.shape[2:])
    any_at = tallies.of(connection).any_at
    out: Tensor = _CONVOLUTION[axes](
        sent.flatten(0, 1).float(), there.float(), None, slide.stride, slide.padding, slide.dilation, slide.groups
    )
    reached: Tensor = (out > 0.5).unflatten(0, any_at.shape)  # some convolutions are transforms, and round
    return reached


def _places(connection: Connection, synapses: Synapses, tallies: Tallies) -> Tensor:
    """Where something arrives, of a kernel without zeros: bool [B T, groups, *S_post], the same for all channels of a group."""
    slide, there = connection.convolution, synapses.there
    assert slide is not None
    features = connection.activity.shape[2:]
    _axes(connection, features)
    size, groups = features[1:], slide.groups
    rows, place = connection.activity.shape[:2].numel(), size.numel()
    events = tallies.events(connection)
    sent: Tensor
    if events is None:
        sent = dense(connection.activity).detach().bool().flatten(0, 1).unflatten(1, (groups, -1))
        sent = sent.view(torch.uint8).amax(dim=2).bool()
    else:
        index = events.index.to(torch.int64)
        group = index.div(max(1, features[0] // groups * place), rounding_mode="floor")
        sent = torch.zeros(rows * groups * place, dtype=torch.bool, device=index.device)
        sent[(events.rows() * groups + group) * place + index % max(1, place)] = True
        sent = sent.view(rows, groups, *size)
    sizes = zip(size, there.shape[2:], slide.stride, slide.padding, slide.dilation, strict=True)
    for axis, (n, taps, stride, padding, dilation) in enumerate(sizes, start=2):
        # A box reaches what its sides reach, one after the other.
        before, behind = [*sent.shape], (n + 2 * padding - dilation * (taps - 1) - 1) // stride + 1
        padded = sent.new_zeros([*before[:axis], n + 2 * padding, *before[axis + 1 :]])
        padded.narrow(axis, padding, n).copy_(sent)
        sent = sent.new_zeros([*before[:axis], behind, *before[axis + 1 :]])
        for start in range(0, taps * dilation, dilation):
            seen = slice(start, start + stride * (behind - 1) + 1, stride)
            sent |= padded[(slice(None),) * axis + (seen,)]
    return sent


def _in_all_channels(places: list[Tensor], always: Tensor) -> int:
    """Updates with input where all channels [C] of a group share their places: those and, elsewhere, the ones with a bias."""
    reached = places[0]
    for more in places[1:]:
        reached = reached | more
    constant = always.view(reached.shape[1], -1)
    on = reached.transpose(0, 1).flatten(1).sum(dim=1)
    elsewhere = reached.numel() // max(1, reached.shape[1]) - on
    return int((on * constant.shape[1] + elsewhere * constant.sum(dim=1)).sum())


def _seldom(activity: Tensor) -> bool:
    """Whether a list is the faster way to a tally, by the look of some steps."""
    if activity.device.type != "cpu" or not activity.numel():
        return False
    rows = activity.detach().flatten(0, 1)
    looks = max(8, min(64, 2**15 * len(rows) // activity.numel()))
    # Multiples of the golden ratio lie everywhere, and in step with no length of a sequence.
    some = rows[(torch.arange(looks, dtype=torch.float64) * 0.6180339887498949 % 1.0 * len(rows)).long()]
    return int(some.bool().sum()) < _SELDOM * some.numel()


def _events(activity: Tensor) -> Events | None:
    """See :meth:`Tallies.events`."""
    if activity.device.type != "cpu" or not activity.numel():
        return None
    shape = (*activity.shape[:2], activity.shape[2:].numel())
    rows, at_most = activity.reshape(-1, shape[2]), int(_MOSTLY_ZERO * activity.numel())
    if compiled() and activity.dtype in (torch.float32, torch.float64):
        found = listed_by_loop(rows, at_most)
    else:
        found = listed(rows, at_most)
    if found is None:
        return None
    pointer, index, value = found
    if value is not None and not value.is_floating_point():
        value = value.to(torch.int64)
        if not -_EXACT_DOUBLE <= int(value.min()) <= int(value.max()) <= _EXACT_DOUBLE:
            return None
        value = value.to(torch.float64)
    return Events.trusted(pointer, index, value, shape)


def _reached_later(sent: Tensor, there: Tensor, delay: Delay) -> Tensor:
    """Which neurons something arrives at, sent in this sequence or before it: one product per delay that occurs."""
    past = (delay.past != 0).to(torch.float32)
    longest, steps = past.shape[1], sent.shape[1]
    both = torch.cat([past, sent], dim=1)
    reached = torch.zeros((*sent.shape[:2], there.shape[0]), dtype=torch.bool, device=sent.device)
    for d in delay.steps.unique().tolist():
        reached |= F.linear(both[:, longest - d : longest - d + steps], there * (delay.steps == d)) > 0
    return reached


def _look_at_ones(activity: Tensor | Events, binary: bool) -> _Look | None:
    """What activity holds when that is zeros and ones, by its rows' sums; None when a closer look is needed."""
    columns = activity.shape[2:].numel()
    if columns > (_EXACT if binary else _FEW):
        return None
    sums = _sums_of_ones(activity, binary, 1, max(1, 4 * _PIECE // max(1, columns)))
    if sums is None:
        return None
    in_rows = np.concatenate(sums)
    total = int(in_rows.sum(dtype=np.float64))
    return _Look((total, total, 0), torch.from_numpy(in_rows > 0).view(activity.shape[:2]))


def _columns_of_ones(activity: Tensor | Events, binary: bool) -> Tensor | None:
    """The ones of each neuron, int64 [N], when activity is zeros and ones; None when a closer look is needed."""
    columns = activity.shape[2:].numel()
    sums = _sums_of_ones(activity, binary, 0, min(_FEW, max(1, 4 * _PIECE // max(1, columns))))
    return None if sums is None else torch.from_numpy(np.sum(sums, axis=0, dtype=np.float64)).to(torch.int64)


def _sums_of_ones(activity: Tensor | Events, binary: bool, axis: int, step: int) -> list[Any] | None:
    """The sums of rows [R, N], or of columns, of ``step`` rows at a time; None when not all elements are zeros and ones.

    Nobody says so of an input, and it is proved in whole numbers: when the bits of all elements together are those of 1.0,
    every element is 0 or a power of two up to 1. One that is neither 0 nor 1 then takes at least 1/2 from a sum, far
    more than rounding can give back over so few elements, and elements that are not zero outnumber the sum.
    """
    if not isinstance(activity, Tensor) or activity.device.type != "cpu" or activity.dtype != torch.float32:
        return None
    if not activity.numel():
        return None
    sums, count, total = [], 0, 0.0
    for piece in activity.detach().flatten(2).flatten(0, 1).split(step):
        sums.append(torch.sum(piece, dim=axis).numpy())
        if not binary:
            bits = piece.numpy().view(np.int32)
            if int(np.bitwise_or.reduce(bits.reshape(-1))) not in (0, _ONE):
                return None
            count += int(np.count_nonzero(bits))
            total += float(sums[-1].sum(dtype=np.float64))
    return sums if binary or total == count else None


def _tally(activity: Tensor, binary: bool) -> tuple[Tensor, Tensor]:
    """``sums`` and ``any_at`` of a :class:`Tally`."""
    activity = activity.detach()
    batch, steps = activity.shape[:2]
    features = activity.shape[2:]
    if not activity.is_floating_point():
        # Signed integers at the end of their range have no opposite: widened before abs.
        activity = activity.to(torch.int64).abs()
        any_at = (activity != 0).flatten(2).any(dim=-1) if activity.numel() else activity.new_zeros(batch, steps).bool()
        events, sent = activity.sum(dim=(0, 1)), (activity != 0).sum(dim=(0, 1))
        return torch.stack([events, sent, torch.zeros_like(events)]), any_at
    flat = activity.reshape(batch * steps, features.numel())
    sums = torch.zeros((3, features.numel()), dtype=torch.int64, device=activity.device)
    rows = []
    for piece in flat.split(max(1, _PIECE // max(1, flat.shape[1]))) if flat.numel() else ():
        more, any_in = _tally_of_piece(piece, binary)
        sums = sums + torch.stack(more)
        rows.append(any_in)
    any_at = torch.cat(rows) if rows else torch.zeros(batch * steps, dtype=torch.bool, device=activity.device)
    return sums.view(3, *features), any_at.view(batch, steps)


def _tally_of_events(events: Events, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """One pass over the events instead of one over all elements [B, T, *N]."""
    features, value = events.shape[2], events.value
    any_at = (events.pointer.diff() > 0).view(shape[:2])
    whole = torch.bincount(events.index, minlength=features)
    weighted, analog = whole, torch.zeros_like(whole)
    if value is not None:
        is_whole = value.frac() == 0  # NaN for what is not finite
        if not bool(is_whole.all()):
            whole = torch.bincount(events.index[is_whole], minlength=features)
            analog = torch.bincount(events.index[~is_whole], minlength=features)
            value = torch.where(is_whole, value, 0.0)
        # Whole numbers and their sums are exact in float64.
        weighted = torch.bincount(events.index, value.abs().to(torch.float64), minlength=features).to(torch.int64)
    return torch.stack([weighted, whole, analog]).view(3, *shape[2:]), any_at


def _tally_of_piece(piece: Tensor, binary: bool) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Rows [R, N]: events, whole and analog elements per column, and which rows hold anything."""
    if binary:
        events = _sum_whole(piece, 1.0)
        return (events, events, torch.zeros_like(events)), piece.amax(dim=1) != 0
    low, high = map(float, piece.aminmax())
    magnitude = piece if low >= 0 else piece.abs()
    largest = max(-low, high)
    # frac is 0 for whole numbers and NaN for what is not finite: one pass and a maximum, where == and all() take four.
    if bool(magnitude.frac().amax() == 0):
        events = _sum_whole(magnitude, largest)
        whole = events if largest <= 1 else (magnitude != 0).sum(dim=0)
        return (events, whole, torch.zeros_like(events)), magnitude.amax(dim=1) != 0
    is_whole = magnitude.frac() == 0
    counted = torch.where(is_whole, magnitude, 0.0)
    rows = (magnitude != 0).any(dim=1)  # true for NaN, which is an analog element
    return (_sum_whole(counted, float(counted.max())), (counted != 0).sum(dim=0), (~is_whole).sum(dim=0)), rows


def _sum_whole(counts: Tensor, largest: float) -> Tensor:
    """The sums of the columns of whole numbers >= 0 as int64, exact: in float32 where no sum can leave its range."""
    if largest * counts.shape[0] < _EXACT:
        # A product with ones is one pass of vector instructions, and any order of exact sums gives the same number.
        ones = torch.ones(counts.shape[0], dtype=torch.float32, device=counts.device)
        return (ones @ counts.to(torch.float32)).to(torch.int64)
    return counts.sum(dim=0, dtype=torch.float64).to(torch.int64)
