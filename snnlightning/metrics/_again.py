"""A batch like the one before: the same synapses, and every list of events at hand, of ones.

Who reads which list, which layers are looked at together and what leaves each neuron is settled once; a batch then costs the
loops of ``_loops`` and little around them. The numbers are those of ``Tally`` and ``active_updates``, which say what they mean:
of a network that is small they take longer to arrange than to add up.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..events import Events, known
from ..typing import Connection, LayerRecord
from ._counting import Row, Synapses, all_or_none, groups_of, layers_with_neurons, sources_of, words_of
from ._loops import loop
from ._reached import List, Together, by_loop, passed_by_loop

__all__ = ["Again"]

Array = np.ndarray[Any, Any]


class Again:
    """What is settled of such batches.

    Args:
        records: of a batch that was counted; :meth:`suits` says whether they do.
        synapses: those of its connections.
        together: as ``active_updates`` has it; more may be written into it.
    """

    def __init__(
        self, records: Sequence[LayerRecord], synapses: list[list[Synapses]], together: dict[tuple[Any, ...], Together]
    ) -> None:
        number: dict[int, int] = {}
        self._layers: list[_Layer] = []
        self._leaving: list[list[Array]] = []
        for record, own in zip(records, synapses, strict=True):
            ways = []
            for connection, one in zip(record.connections, own, strict=True):
                source = number.setdefault(id(connection.activity), len(number))
                self._leaving += [[]] * (len(number) - len(self._leaving))
                if not one.full:
                    self._leaving[source] = [*self._leaving[source], one.leaving.numpy()]
                ways.append(_Way(connection, one, source))
            asked = record.neurons and record.spiking
            output = number.setdefault(id(record.output), len(number)) if asked else None
            self._layers.append(
                _Layer(record.name, record.spiking, record.neurons, record.output.shape[2:], ways, output)
            )
        self._leaving += [[]] * (len(number) - len(self._leaving))
        layers = layers_with_neurons(records, synapses)
        fully = {layer.at: [number[id(c.activity)] for c in layer.fully] for layer in layers}
        self._alone = [(layer.at, fully[layer.at]) for layer in layers if not layer.partly]
        self._groups = [
            _Group(
                [layer.at for layer in group],
                [number[key] for key in sources_of(group)],
                words_of(group, together),
                fully[group[0].at],
            )
            for group in groups_of([layer for layer in layers if layer.partly])
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a metric settles this for itself: what is kept here lies at addresses of this process."""
        return type(None), ()

    @staticmethod
    def suits(records: Sequence[LayerRecord], synapses: list[list[Synapses]]) -> bool:
        """Whether batches like this one can be counted so."""
        return all(
            record.output.ndim == 3
            and record.output.device.type == "cpu"
            and all(one.plain and one.there.shape[0] == record.output.shape[2] for one in own)
            and all(_list(c.activity, c.events) is not None and _comparable(c.weight) for c in record.connections)
            and (not (record.neurons and record.spiking) or _list(record.output, record.events) is not None)
            for record, own in zip(records, synapses, strict=True)
        )

    def rows(self, records: Sequence[LayerRecord]) -> tuple[list[Row], int] | None:
        """The rows of a batch and the updates of all neurons; None where something is not as it was."""
        lists = self._lists(records)
        if lists is None:
            return None
        active = self._active(records, lists)
        counts = [len(index) for _, index in lists]
        passed = [passed_by_loop(index, tables) for (_, index), tables in zip(lists, self._leaving, strict=True)]
        rows: list[Row] = []
        updates = 0
        for record, layer, with_input in zip(records, self._layers, active, strict=True):
            for connection, way in zip(record.connections, layer.ways, strict=True):
                count = counts[way.source]
                times = passed[way.source].pop(0) if way.fan_out is None else count * way.fan_out
                rows.append((times, times, 0, count, count, connection.activity.numel()))
            slots = record.output.numel() if layer.neurons else 0
            updates += slots
            count = 0 if layer.output is None else counts[layer.output]
            rows.append((count, 0, 0, with_input, count, slots))
        return rows, updates

    def _lists(self, records: Sequence[LayerRecord]) -> list[List] | None:
        """The lists by their numbers; None where one is not at hand, or another synapse, layer or shape came."""
        if len(records) != len(self._layers):
            return None
        numbers: dict[int, int] = {}
        lists: list[List] = []
        differ = loop("differ")

        def note(activity: Tensor | Events, events: Events | None, expected: int) -> bool:
            number = numbers.setdefault(id(activity), len(lists))
            if number == len(lists) and (found := _list(activity, events)) is not None:
                lists.append(found)
            return number == expected < len(lists)

        for record, layer in zip(records, self._layers, strict=True):
            output, connections = record.output, record.connections
            size = output.shape[:2]
            if (
                record.name != layer.name
                or record.spiking != layer.spiking
                or record.neurons != layer.neurons
                or output.shape[2:] != layer.shape
                or output.device.type != "cpu"
                or len(connections) != len(layer.ways)
            ):
                return None
            for connection, way in zip(connections, layer.ways, strict=True):
                name, kind, activity, weight, _, convolution, shared, delay, events, _ = connection
                elements = way.elements(weight)
                if (
                    name != way.name
                    or kind != way.kind
                    or shared != way.shared
                    or convolution is not None
                    or delay is not None
                    or activity.shape[:2] != size
                    or activity.shape[2:] != way.sent
                    or elements is None
                    or not note(activity, events, way.source)
                    or differ(elements, way.bytes)
                ):
                    return None
            if layer.output is not None and not note(output, record.events, layer.output):
                return None
        return lists

    def _active(self, records: Sequence[LayerRecord], lists: list[List]) -> list[int]:
        """As ``active_updates`` has it."""
        biases = [None if record.bias is None else record.bias.detach().bool() for record in records]
        active = [0] * len(records)
        for at, sources in self._alone:
            active[at] = all_or_none(records[at], biases[at], _steps([lists[k] for k in sources]))
        for group in self._groups:
            given, always = [lists[k] for k in group.sources], [biases[at] for at in group.layers]
            everywhere = _everywhere([lists[k] for k in group.everywhere])
            for at, count in zip(group.layers, by_loop(given, group.together, everywhere, always), strict=True):
                active[at] = count
        return active


class _Way:
    """A connection: what it is called, its synapses, the number of its list; ``fan_out`` where all neurons have the same."""

    def __init__(self, connection: Connection, synapses: Synapses, source: int) -> None:
        self.source, self.fan_out = source, synapses.there.shape[0] if synapses.full else None
        self.name, self.kind, self.shared = connection.name, connection.kind, connection.shared
        self.sent = connection.activity.shape[2:]
        self.bytes = synapses.bytes
        self._shape = connection.weight.shape
        self._weight = connection.weight.detach().numpy().reshape(-1)
        self._at = connection.weight.data_ptr()

    def elements(self, weight: Tensor) -> Array | None:
        """The weight as :meth:`Synapses.still` compares it; None where it is of another shape or type."""
        if weight.shape != self._shape or not _comparable(weight):
            return None
        # An array of one's own keeps the memory, so at its address there is nothing else.
        return self._weight if weight.data_ptr() == self._at else weight.detach().numpy().reshape(-1)


class _Layer(NamedTuple):
    """A layer: what it is, and the number of the list of its spikes, where somebody asks for them."""

    name: str
    spiking: bool
    neurons: bool
    shape: torch.Size
    ways: list[_Way]
    output: int | None


class _Group(NamedTuple):
    """Layers that are looked at together."""

    layers: list[int]
    sources: list[int]
    together: Together
    everywhere: list[int]
    """Sources that reach every neuron of each."""


def _comparable(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.is_contiguous()


def _list(activity: Tensor | Events, given: Events | None) -> List | None:
    """Pointer and index of the list that came along; None without one, or where it has values or is not on the CPU."""
    events: Events | None
    if isinstance(activity, Events):
        events = activity
    else:
        events = given if given is not None and given.stands_for(activity) else known(activity)
    if events is None or events.value is not None or events.pointer.device.type != "cpu":
        return None
    return events.pointer.numpy(), events.index.numpy()


def _everywhere(lists: list[List]) -> Array | None:
    """The steps in which any of them holds something, bool [B T]; None without a list."""
    found: Array | None = None
    for pointer, _ in lists:
        own: Array = pointer[1:] != pointer[:-1]
        found = own if found is None else found | own
    return found


def _steps(lists: list[List]) -> int:
    """How many steps those are."""
    if 1 <= len(lists) <= 2:
        steps: int = loop("steps_with_events")(lists[0][0], lists[-1][0])
        return steps
    everywhere = _everywhere(lists)
    return 0 if everywhere is None else int(np.count_nonzero(everywhere))
