"""SynOps: how many synaptic operations a network spends per sample, exactly.

An operation is one event that passes one synapse. For every set of synapses (a ``Connection`` of a layer's record)

    synops = sum_j events_j * fan_out_j,    fan_out_j = number of non-zero weights that leave neuron j,

where events_j are the spikes of presynaptic neuron j, summed over time. Every element is classified on its own:

    0                       nothing happens;
    a whole number k        |k| events (a time bin that holds k input events counts k, ternary spikes count one);
    anything else           an analog value: one multiply-accumulate per non-zero weight (``macs``), no synops.

A convolution counts the taps that land inside its output; pooling is a convolution of ones; weights that are used twice
(``shared``) count twice; with delays an operation counts when its spike is sent, also when it arrives after the last step. An
update of a neuron is active when an element that is not zero arrives through a weight that is not zero, or when the neuron
has a bias.

Recurrent synapses count like all others, autapses too, and spikes of the last step count (they are in the state that
goes to the next call), so that the counts of T1 and T2 steps add up to those of T1 + T2. A weight of zero is no synapse.

All sums are 64-bit integers; only ``compute`` divides, by the number of samples. The result does not depend on how the
samples were batched or spread over processes.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric

from ..errors import ConfigurationError
from ..typing import Connection, LayerRecord, NetworkOutput
from . import _loops
from ._again import Again
from ._counting import Row, Synapses, Tallies, active_updates
from ._reached import Together
from ._records import records_of
from .counts import SynOpsCounts

__all__ = ["SynOps"]

_KINDS = ("input", "feedforward", "recurrent", "readout")
_ROWS, _NAME_BYTES, _SEPARATOR = 256, 256, "\t"
_COLUMNS = 6
"""Of a ``Row``."""
_AXES = 5
"""Of a weight: of a convolution over three axes."""
_SPIKING, _GRADED = "spiking", "graded"
"""What stands in the place of a connection's kind where a row belongs to a layer, with threshold and without."""


class SynOps(Metric):
    """Exact synaptic operations per sample, by layer and by kind; lower is better.

    ``update`` takes what a network returned (or its records); ``compute`` gives :class:`SynOpsCounts`. Counting reads the
    records and nothing else: no hooks, no second pass, no copy of the network.

    All states have a fixed shape, whatever is counted (a table of counts and a table of names, one row per connection), so
    that processes which saw no batch, metrics that are merged and ``metric(output)`` all work as torchmetrics means them to.

    Differs from NeuroBench 2.3.0 where that is wrong or depends on the batch: see the module's docstring for the rules.

    Example:
        >>> from snnlightning.typing import Connection, LayerRecord
        >>> spikes = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])  # 1 sample, 2 steps, 2 neurons: 3 spikes
        >>> synapses = Connection("readout.w_in", "input", spikes, torch.tensor([[0.5, 0.0], [1.0, 1.0]]), True)
        >>> metric = SynOps()
        >>> metric.update([LayerRecord("readout", False, torch.zeros(1, 2, 2), (), None, (synapses,))])
        >>> metric.compute().total  # neuron 0 spikes twice into 2 synapses, neuron 1 once into 1
        5.0
    """

    full_state_update = False
    higher_is_better = False
    samples: Tensor
    neuron_updates: Tensor
    names: Tensor
    table: Tensor
    stored: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("samples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("neuron_updates", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        # Rows are taken in the order of the records, so they agree between processes; max fills the rows of a process
        # that saw nothing.
        self.add_state("names", torch.zeros((_ROWS, _NAME_BYTES), dtype=torch.uint8), dist_reduce_fx="max")
        self.add_state("table", torch.zeros((_ROWS, _COLUMNS), dtype=torch.int64), dist_reduce_fx="sum")
        # Synapses and weights are of the network, not of the batch: the most that any batch met, and the shape of the weight,
        # by which another network is told whose layers are called the same.
        self.add_state("stored", torch.zeros((_ROWS, 3 + _AXES), dtype=torch.int64), dist_reduce_fx="max")
        self._described: tuple[Any, ...] | None = None
        self._keys: list[str] = []
        self._rows: dict[str, int] = {}
        self._rows_in: Tensor | None = None
        self._synapses: dict[str, Synapses] = {}
        self._known: list[Synapses] = []
        self._together: dict[tuple[Any, ...], Together] = {}
        self._again: Again | None = None
        self._rows_again: list[int] = []
        self._stored_in: Tensor | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Without the search for parameters and modules, of which there are none: torchmetrics sets two numbers per batch."""
        object.__setattr__(self, name, value)

    def update(self, output: NetworkOutput | Sequence[LayerRecord]) -> None:
        """Count one batch.

        Args:
            output: what the network returned for it, or its records.

        Raises:
            ShapeError: a connection whose activity and weight do not fit.
            ConfigurationError: a kind of connection that there is not, two connections of one name, or weights of another
                shape than those that were counted under this name.
        """
        records = records_of(output)
        # Mixed precision would round the sums: whole numbers above 256 are not exact in half of it.
        kind = records[0].output.device.type
        with torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext():
            self._count(records)

    def _count(self, records: Sequence[LayerRecord]) -> None:
        counted = None if self._again is None else self._again.rows(records)
        if counted is not None and self.names is self._rows_in and self.stored is self._stored_in:
            self._add(self._rows_again, *counted, records[0].output.shape[0])
            return
        keys, known, again = self._keys_of(records), self._known, self._again
        if counted is None:
            synapses = [[self._synapses_of(connection) for connection in record.connections] for record in records]
            known = [own for of_layer in synapses for own in of_layer]
            if known != self._known:
                self._together = {}
            start = time.thread_time()
            counted = self._found(records, synapses)
            if not _loops.compiled():
                _loops.patience.lose(time.thread_time() - start)
            again = (
                Again(records, synapses, self._together)
                if _loops.compiled() and Again.suits(records, synapses)
                else None
            )
        new = known != self._known or self.stored is not self._stored_in
        stored = _stored(records, known) if new else {}
        if new:
            self._refuse_another_network(stored)
        rows = self._rows_of(keys)
        self._add(rows, *counted, records[0].output.shape[0])
        if new:
            at = torch.tensor(self._rows_of([*stored]), device=self.stored.device, dtype=torch.int64)
            kept = torch.tensor([*stored.values()], device=self.stored.device, dtype=torch.int64).view(-1, 3 + _AXES)
            most = torch.zeros_like(self.stored).index_copy(0, at, kept)
            self.stored = self._stored_in = torch.maximum(self.stored, most)
            self._known = known
        self._again, self._rows_again = again, rows

    def _found(self, records: Sequence[LayerRecord], synapses: list[list[Synapses]]) -> tuple[list[Row], int]:
        """The rows of this batch, and the updates of all neurons."""
        tallies = Tallies()
        for record, own in zip(records, synapses, strict=True):
            for connection, one in zip(record.connections, own, strict=True):
                if not one.full:
                    tallies.of(connection).expect(one)
        # First, because the lists that are made on the way serve the sums too.
        active = active_updates(records, synapses, tallies, self._together)
        found: list[Row] = []
        updates = 0
        for record, own, with_input in zip(records, synapses, active, strict=True):
            slots = record.output.numel() if record.neurons else 0
            updates += slots
            found += [_of_connection(c, one, tallies) for c, one in zip(record.connections, own, strict=True)]
            found.append(_of_layer(record, slots, with_input, tallies))
        return found, updates

    def _add(self, rows: list[int], found: list[Row], updates: int, batch: int) -> None:
        if self.table.device.type != "cpu":
            device = self.table.device
            self.table = self.table.index_add(0, torch.tensor(rows, device=device), torch.tensor(found, device=device))
            self.samples, self.neuron_updates = self.samples + batch, self.neuron_updates + updates
            return
        # In place and number by number: of what costs the same for every batch these sums were a third, and torch refuses to
        # write to a state that was reset in inference mode.
        table = self.table.numpy().data
        for row, numbers in zip(rows, found, strict=True):
            for column, number in enumerate(numbers):
                if number:
                    table[row, column] += number
        for state, more in ((self.samples, batch), (self.neuron_updates, updates)):
            state.numpy().data[()] += more

    def compute(self) -> SynOpsCounts:
        """The counts so far, per sample.

        Raises:
            ConfigurationError: nothing was counted yet.
        """
        return self._counts()

    def counts(self) -> SynOpsCounts:
        """What ``compute`` gives, over all processes too, without what takes torchmetrics most of its time: looking for tensors in it."""
        kept: Any = self._computed  # where torchmetrics keeps what ``compute`` gave
        if kept is None:
            with self.sync_context(
                dist_sync_fn=self.dist_sync_fn, should_sync=self._to_sync, should_unsync=self._should_unsync
            ):
                kept = self._counts()
            if self.compute_with_cache:
                self._computed = cast(Any, kept)
        found: SynOpsCounts = kept
        return found

    def _counts(self) -> SynOpsCounts:
        samples = int(self.samples)
        if samples == 0:
            raise ConfigurationError("SynOps.compute() before any update; count at least one batch.")
        by_kind = dict.fromkeys(_KINDS, 0)
        by_layer: dict[str, int] = {}
        layers: dict[str, list[int]] = {}
        spiking: list[str] = []
        connections: dict[str, list[int]] = {}
        stored: dict[str, list[int]] = {}
        keys = _decode(self.names)
        table, kept = self.table[: len(keys)].tolist(), self.stored[: len(keys)].tolist()
        for key, row, at_most in zip(keys, table, kept, strict=True):
            kind, layer, name = key.split(_SEPARATOR)
            if kind in (_SPIKING, _GRADED):
                layers[name] = row
                spiking += [name] if kind == _SPIKING else []
                continue
            connections[name], stored[name] = row, at_most
            by_layer[layer] = by_layer.get(layer, 0) + row[0]
            by_kind[kind] += row[0]

        def per_sample(counts: dict[str, int]) -> dict[str, float]:
            return {key: count / samples for key, count in counts.items()}

        def column(rows: dict[str, list[int]], at: int) -> dict[str, float]:
            return per_sample({name: row[at] for name, row in rows.items()})

        def total(at: int) -> float:
            return sum(row[at] for row in connections.values()) / samples

        outputs = {name: layers[name] for name in spiking}
        return SynOpsCounts(
            samples=samples,
            total=total(0),
            by_layer=per_sample(by_layer),
            by_kind=per_sample(by_kind),
            by_connection=column(connections, 0),
            macs=total(2),
            neuron_updates=int(self.neuron_updates) / samples,
            spikes=per_sample({name: row[0] + row[2] for name, row in outputs.items()}),
            active_updates=column(layers, 3),
            updates=column(layers, 5),
            events=column(connections, 3),
            messages=column(connections, 4),
            slots=column(connections, 5),
            macs_by_connection=column(connections, 2),
            total_graded=total(1),
            nonzero_outputs=column(outputs, 4),
            synapses={name: at_most[0] for name, at_most in stored.items()},
            weights={name: (at_most[1], at_most[2]) for name, at_most in stored.items()},
        )

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add what another metric has counted of the same network.

        Raises:
            ConfigurationError: its layers are called otherwise, or have weights of other shapes.
        """
        theirs: dict[str, Any] = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        if isinstance(theirs, dict) and {"names", "stored"} <= theirs.keys():
            keys = _decode(theirs["names"])
            for mine, other in zip(_decode(self.names), keys, strict=False):
                if mine != other:
                    raise ConfigurationError(
                        f"counts of another network: {_named(other)} where {_named(mine)} was counted; give each network a "
                        "metric of its own."
                    )
            self._refuse_another_network(dict(zip(keys, theirs["stored"].tolist(), strict=False)))
        super().merge_state(incoming_state)
        self._computed = None  # torchmetrics would give the counts of before

    def set_dtype(self, dst_type: str | torch.dtype) -> "SynOps":
        """Counts are whole numbers and stay so."""
        return self

    def _refuse_another_network(self, stored: Mapping[str, Sequence[int]]) -> None:
        """Weights have one shape under one name, whatever of them is zero."""
        keys = _decode(self.names)
        known = dict(zip(keys, self.stored[: len(keys), 3:].tolist(), strict=True))
        for key, numbers in stored.items():
            before, now = (tuple(n for n in shape if n) for shape in (known.get(key, ()), numbers[3:]))
            if before and now and before != now:
                raise ConfigurationError(
                    f"counts of another network: the weight of {_named(key)} is {[*now]}, and {[*before]} was counted under this "
                    "name; give each network a metric of its own, or reset() between two."
                )

    def _synapses_of(self, connection: Connection) -> Synapses:
        """Those of the last batch, when the weights that are zero are still the same ones."""
        known = self._synapses.get(connection.name)
        if known is None or not known.still(connection):
            known = self._synapses[connection.name] = Synapses(connection)
        return known

    def _keys_of(self, records: Sequence[LayerRecord]) -> list[str]:
        """The key of each connection and each layer, in their order; checked once for a network that stays as it is."""
        described = tuple(
            (record.name, record.spiking, *((c.kind, c.name, c.shared) for c in record.connections))
            for record in records
        )
        if described != self._described:
            self._keys = _keys(records)
            self._described = described
        return self._keys

    def _rows_of(self, keys: list[str]) -> list[int]:
        """The row of each key; taken where it is new.

        Raises:
            ConfigurationError: it cannot be; then none is taken.
        """
        if self._rows_in is not self.names:
            # Reset, merged, moved or loaded since the last update.
            self._rows = {known: row for row, known in enumerate(_decode(self.names))}
            self._rows_in = self.names
        new = [key for key in dict.fromkeys(keys) if key not in self._rows]
        if new:
            rows, names = {**self._rows}, self.names.clone()
            for key in new:
                _refuse_second(key, rows)
                row, text = len(rows), key.encode()
                if row >= _ROWS or len(text) > _NAME_BYTES:
                    raise ConfigurationError(
                        f"{key.rsplit(_SEPARATOR, maxsplit=1)[-1]!r} does not fit: SynOps counts up to {_ROWS} connections and spiking layers "
                        f"with names of up to {_NAME_BYTES} bytes in all; count the parts of such a network with one metric each."
                    )
                names[row, : len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
                rows[key] = row
            self.names = self._rows_in = names
            self._rows = rows
        return [self._rows[key] for key in keys]


def _keys(records: Sequence[LayerRecord]) -> list[str]:
    """See :meth:`SynOps._keys_of`."""
    keys: list[str] = []
    for record in records:
        for c in record.connections:
            if c.kind not in _KINDS:
                raise ConfigurationError(f"{c.name} is of kind {c.kind!r}; kinds: {', '.join(_KINDS)}.")
        own = [(_key(c.kind, record.name, c.name), c.shared) for c in record.connections]
        kind, shared = _SPIKING if record.spiking else _GRADED, all(c.shared for c in record.connections)
        for key, again in (*own, (_key(kind, record.name, record.name), shared)):
            if key in keys and not again:
                raise ConfigurationError(
                    f"two connections are called {key.rsplit(_SEPARATOR, maxsplit=1)[-1]!r}; give every layer of a network its own name "
                    "(layer.run(x, name=...)), or say that they share their weights (shared=True)."
                )
            keys.append(key)
    return keys


def _refuse_second(key: str, rows: Mapping[str, int]) -> None:
    """One name stands for one set of synapses."""
    kind, layer, name = key.split(_SEPARATOR)
    for known in rows:
        other_kind, other_layer, other_name = known.split(_SEPARATOR)
        if other_name == name and (other_kind in _KINDS) == (kind in _KINDS):
            raise ConfigurationError(
                f"two connections are called {name!r}: {other_kind} of {other_layer!r} and {kind} of {layer!r}; "
                "count one network per metric, or reset() between two."
            )


def _stored(records: Sequence[LayerRecord], known: list[Synapses]) -> dict[str, tuple[int, ...]]:
    """Of each connection: synapses, weights that are not zero, all weights, and the shape of the weight."""
    connections = [(record.name, connection) for record in records for connection in record.connections]
    return {
        _key(c.kind, layer, c.name): (*own.numbers(), *_padded(c.weight.shape))
        for (layer, c), own in zip(connections, known, strict=True)
    }


def _key(kind: str, layer: str, name: str) -> str:
    return _SEPARATOR.join((kind, layer, name))


def _named(key: str) -> str:
    """A row as messages call it."""
    kind, _, name = key.split(_SEPARATOR)
    return f"layer {name!r}" if kind in (_SPIKING, _GRADED) else f"{name!r} ({kind})"


def _padded(shape: torch.Size) -> tuple[int, ...]:
    return (*shape, *[0] * (_AXES - len(shape)))


def _decode(names: Tensor) -> list[str]:
    """The keys of the rows that are taken: the first ones."""
    taken = names[: int(torch.count_nonzero(names[:, 0]))].cpu().numpy()
    return [bytes(row).rstrip(b"\0").decode() for row in taken]


def _of_connection(connection: Connection, synapses: Synapses, tallies: Tallies) -> Row:
    """The row of a connection, summed over the batch."""
    tally = tallies.of(connection)
    synops, once, macs = tally.passed(synapses)
    events, whole, analog = tally.totals
    return synops, once, macs, events, whole + analog, connection.activity.numel()


def _of_layer(record: LayerRecord, slots: int, active: int, tallies: Tallies) -> Row:
    """The row of a layer's neurons, summed over the batch."""
    if not record.neurons:
        return (0,) * _COLUMNS
    if not record.spiking:
        return 0, 0, 0, active, 0, slots
    events, whole, analog = tallies.of(record).totals
    return events, 0, analog, active, whole + analog, slots
