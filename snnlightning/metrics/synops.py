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

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ..errors import ConfigurationError
from ..typing import Connection, LayerRecord, NetworkOutput
from ._counting import Synapses, Tallies, active_updates
from ._records import records_of
from .counts import SynOpsCounts

__all__ = ["SynOps"]

_KINDS = ("input", "feedforward", "recurrent", "readout")
_ROWS, _NAME_BYTES, _SEPARATOR = 256, 256, "\t"
_COLUMNS = 6
"""Of a connection: synops, the same with graded spikes, macs, events, messages, slots. Of a layer: spikes, 0, analog
outputs, active updates, outputs that are not zero, updates."""
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
        self._rows: dict[str, int] = {}
        self._rows_of: Tensor | None = None
        self._synapses: dict[str, Synapses] = {}
        self._stored: dict[str, tuple[int, ...]] = {}
        self._stored_in: Tensor | None = None

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
        batch, steps = records[0].output.shape[:2]
        tallies = Tallies()
        counts: dict[str, _Row] = {}
        stored: dict[str, tuple[int, ...]] = {}
        updates = 0
        for record in records:
            slots = batch * steps * record.output.shape[2:].numel() if record.neurons else 0
            updates += slots
            synapses = []
            for connection in record.connections:
                if connection.kind not in _KINDS:
                    raise ConfigurationError(
                        f"{connection.name} is of kind {connection.kind!r}; kinds: {', '.join(_KINDS)}."
                    )
                key = _key(connection.kind, record.name, connection.name)
                synapses.append(self._synapses_of(connection))
                _put(counts, key, _of_connection(connection, synapses[-1], tallies), connection.shared)
                stored[key] = (*synapses[-1].numbers(), *_padded(connection.weight.shape))
            kind, shared = _SPIKING if record.spiking else _GRADED, all(c.shared for c in record.connections)
            _put(counts, _key(kind, record.name, record.name), _of_layer(record, slots, synapses, tallies), shared)
        device = self.table.device
        if stored != self._stored or self.stored is not self._stored_in:
            self._refuse_another_network(stored)
        names = self.names
        try:
            rows = torch.tensor([self._row(key) for key in counts], device=device)
        except ConfigurationError:
            self.names = names  # without the rows of a batch that is not counted
            raise
        self.table = self.table.index_add(0, rows, torch.tensor([*counts.values()], device=device))
        if stored != self._stored or self.stored is not self._stored_in:
            rows = torch.tensor([self._row(key) for key in stored], device=device, dtype=torch.int64)
            kept = torch.tensor([*stored.values()], device=device, dtype=torch.int64).view(-1, 3 + _AXES)
            most = torch.zeros_like(self.stored).index_copy(0, rows, kept)
            self.stored = self._stored_in = torch.maximum(self.stored, most)
            self._stored = stored
        self.samples = self.samples + batch
        self.neuron_updates = self.neuron_updates + updates

    def compute(self) -> SynOpsCounts:
        """The counts so far, per sample.

        Raises:
            ConfigurationError: nothing was counted yet.
        """
        samples = int(self.samples)
        if samples == 0:
            raise ConfigurationError("SynOps.compute() before any update; count at least one batch.")
        by_kind = dict.fromkeys(_KINDS, 0)
        by_layer: dict[str, int] = {}
        layers: dict[str, list[int]] = {}
        spiking: list[str] = []
        connections: dict[str, list[int]] = {}
        stored: dict[str, list[int]] = {}
        table, kept = self.table.tolist(), self.stored.tolist()
        for key, row, at_most in zip(_decode(self.names), table, kept, strict=False):
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

    def set_dtype(self, dst_type: str | torch.dtype) -> "SynOps":
        """Counts are whole numbers and stay so."""
        return self

    def _refuse_another_network(self, stored: Mapping[str, Sequence[int]]) -> None:
        """Weights have one shape under one name, whatever of them is zero."""
        known = dict(zip(_decode(self.names), self.stored[:, 3:].tolist(), strict=False))
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

    def _row(self, key: str) -> int:
        """The row of a connection; taken when it is new."""
        if self._rows_of is not self.names:
            # Reset, merged, moved or loaded since the last update.
            self._rows = {known: row for row, known in enumerate(_decode(self.names))}
            self._rows_of = self.names
        if key not in self._rows:
            kind, layer, name = key.split(_SEPARATOR)
            for known in self._rows:
                other_kind, other_layer, other_name = known.split(_SEPARATOR)
                if other_name == name and (other_kind in _KINDS) == (kind in _KINDS):
                    raise ConfigurationError(
                        f"two connections are called {name!r}: {other_kind} of {other_layer!r} and {kind} of {layer!r}; "
                        "count one network per metric, or reset() between two."
                    )
            row, text = len(self._rows), key.encode()
            if row >= _ROWS or len(text) > _NAME_BYTES:
                raise ConfigurationError(
                    f"{key.rsplit(_SEPARATOR, maxsplit=1)[-1]!r} does not fit: SynOps counts up to {_ROWS} connections and spiking layers "
                    f"with names of up to {_NAME_BYTES} bytes in all; count the parts of such a network with one metric each."
                )
            names = self.names.clone()
            names[row, : len(text)] = torch.tensor(list(text), dtype=torch.uint8, device=names.device)
            self.names = names
            self._rows, self._rows_of = {**self._rows, key: row}, names
        return self._rows[key]


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
    rows = names.cpu().numpy()
    return [bytes(row).rstrip(b"\0").decode() for row in rows[: int((rows[:, 0] != 0).sum())]]


_Row = tuple[int, ...]
"""Of a connection or a layer: see ``_COLUMNS``."""


def _put(counts: dict[str, _Row], key: str, row: _Row, shared: bool) -> None:
    if key in counts and not shared:
        raise ConfigurationError(
            f"two connections are called {key.rsplit(_SEPARATOR, maxsplit=1)[-1]!r}; give every layer of a network its own name "
            "(layer.run(x, name=...)), or say that they share their weights (shared=True)."
        )
    before = counts.get(key)
    counts[key] = row if before is None else tuple(a + b for a, b in zip(before, row, strict=True))


def _of_connection(connection: Connection, synapses: Synapses, tallies: Tallies) -> _Row:
    """The row of a connection, summed over the batch."""
    if synapses.plain and not synapses.full:
        tallies.events(connection)  # active_updates needs the list, and the tally is had from it
    (events, whole, analog), (synops, once, macs) = synapses.passed(tallies.of(connection))
    return synops, once, macs, events, whole + analog, connection.activity.numel()


def _of_layer(record: LayerRecord, slots: int, synapses: list[Synapses], tallies: Tallies) -> _Row:
    """The row of a layer's neurons, summed over the batch."""
    if not record.neurons:
        return (0,) * _COLUMNS
    active = active_updates(record.connections, synapses, record.bias, record.output, tallies)
    if not record.spiking:
        return 0, 0, 0, active, 0, slots
    events, whole, analog = tallies.of(record).totals
    return events, 0, analog, active, whole + analog, slots
