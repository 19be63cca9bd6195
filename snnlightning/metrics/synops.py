"""SynOps: how many synaptic operations a network spends per sample, exactly.

An operation is one event that passes one synapse. For every set of synapses (a ``Connection`` of a layer's record)

    synops = sum_j events_j * fan_out_j,    fan_out_j = number of non-zero weights that leave neuron j,

where events_j are the spikes of presynaptic neuron j, summed over time. Every element is classified on its own:

    0                       nothing happens;
    a whole number k        |k| events (a time bin that holds k input events counts k, ternary spikes count one);
    anything else           an analog value: one multiply-accumulate per non-zero weight (``macs``), no synops.

Recurrent synapses count like all others, autapses too, and spikes of the last step count (they are in the state that
goes to the next call), so that the counts of T1 and T2 steps add up to those of T1 + T2. A weight of zero is no synapse.

All sums are 64-bit integers; only ``compute`` divides, by the number of samples. The result does not depend on how the
samples were batched or spread over processes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from ..errors import ConfigurationError, ShapeError
from ..typing import Connection, LayerRecord, NetworkOutput

__all__ = ["SynOps", "SynOpsCounts"]

_KINDS = ("input", "feedforward", "recurrent", "readout")
_EXACT = 2**24
"""Whole numbers up to here, and their sums, are exact in float32."""
_ROWS, _NAME_BYTES, _SEPARATOR = 256, 256, "\t"


class SynOpsCounts(NamedTuple):
    """Counts per sample; lower is better for all of them.

    Attributes:
        samples: how many samples were counted.
        total: synaptic operations, all layers.
        by_layer: synaptic operations of the synapses that end in a layer.
        by_kind: the same by kind of synapse: input, feedforward, recurrent, readout.
        by_connection: the same by weight matrix (``hidden_0.w_in``).
        macs: multiply-accumulates caused by analog values.
        neuron_updates: neurons times steps.
        spikes: spikes of each spiking layer.
    """

    samples: int
    total: float
    by_layer: dict[str, float]
    by_kind: dict[str, float]
    by_connection: dict[str, float]
    macs: float
    neuron_updates: float
    spikes: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON."""
        return self._asdict()


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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("samples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("neuron_updates", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        # Rows are taken in the order of the records, so they agree between processes; max fills the rows of a process
        # that saw nothing.
        self.add_state("names", torch.zeros((_ROWS, _NAME_BYTES), dtype=torch.uint8), dist_reduce_fx="max")
        self.add_state("table", torch.zeros((_ROWS, 2), dtype=torch.int64), dist_reduce_fx="sum")
        self._rows: dict[str, int] = {}
        self._rows_of: Tensor | None = None

    def update(self, output: NetworkOutput | Sequence[LayerRecord]) -> None:
        """Count one batch.

        Args:
            output: what the network returned for it, or its records.

        Raises:
            ShapeError: a connection whose activity and weight do not fit.
            ConfigurationError: a kind of connection that there is not, or two connections of one name.
        """
        records = output.records if isinstance(output, NetworkOutput) else output
        if not isinstance(records, list | tuple) or not records:
            raise ConfigurationError(
                "no records to count; pass what the network returned: a NetworkOutput, or its records."
            )
        batch, steps = records[0].output.shape[:2]
        counts: dict[str, Tensor] = {}
        for record in records:
            if record.spiking:
                events, analog = _events(record.output.detach(), record.binary)
                _put(counts, _key("spikes", record.name, record.name), events.sum(), analog.sum())
            for connection in record.connections:
                if connection.kind not in _KINDS:
                    raise ConfigurationError(
                        f"{connection.name} is of kind {connection.kind!r}; kinds: {', '.join(_KINDS)}."
                    )
                _put(counts, _key(connection.kind, record.name, connection.name), *_operations(connection))
        rows = torch.tensor([self._row(key) for key in counts], device=self.table.device)
        self.table = self.table.index_add(0, rows, torch.stack(list(counts.values())).to(self.table.device))
        self.samples = self.samples + batch
        self.neuron_updates = self.neuron_updates + batch * steps * sum(r.output.shape[-1] for r in records)

    def compute(self) -> SynOpsCounts:
        """The counts so far, per sample.

        Raises:
            ConfigurationError: nothing was counted yet.
        """
        samples = int(self.samples)
        if samples == 0:
            raise ConfigurationError("SynOps.compute() before any update; count at least one batch.")
        by_connection: dict[str, int] = {}
        by_layer: dict[str, int] = {}
        by_kind = dict.fromkeys(_KINDS, 0)
        spikes: dict[str, int] = {}
        macs = 0
        for key, (events, analog) in zip(_decode(self.names), self.table.tolist(), strict=False):
            kind, layer, name = key.split(_SEPARATOR)
            if kind == "spikes":
                spikes[name] = events + analog
                continue
            by_connection[name] = events
            by_layer[layer] = by_layer.get(layer, 0) + events
            by_kind[kind] += events
            macs += analog

        def per_sample(counts: dict[str, int]) -> dict[str, float]:
            return {key: count / samples for key, count in counts.items()}

        return SynOpsCounts(
            samples=samples,
            total=sum(by_connection.values()) / samples,
            by_layer=per_sample(by_layer),
            by_kind=per_sample(by_kind),
            by_connection=per_sample(by_connection),
            macs=macs / samples,
            neuron_updates=int(self.neuron_updates) / samples,
            spikes=per_sample(spikes),
        )

    def set_dtype(self, dst_type: str | torch.dtype) -> "SynOps":
        """Counts are whole numbers and stay so."""
        return self

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
                if other_name == name and (other_kind == "spikes") == (kind == "spikes"):
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


def _decode(names: Tensor) -> list[str]:
    """The keys of the rows that are taken."""
    texts = (bytes(row).rstrip(b"\0") for row in names.cpu().numpy())
    return [text.decode() for text in texts if text]


def _put(counts: dict[str, Tensor], key: str, events: Tensor, analog: Tensor) -> None:
    if key in counts:
        raise ConfigurationError(
            f"two connections are called {key.rsplit(_SEPARATOR, maxsplit=1)[-1]!r}; give every layer of a network its own name "
            "(layer.run(x, name=...))."
        )
    counts[key] = torch.stack([events, analog])


def _operations(connection: Connection) -> tuple[Tensor, Tensor]:
    """Synaptic operations and MACs of one connection, summed over the batch; int64 scalars."""
    activity, weight = connection.activity.detach(), connection.weight.detach()
    if activity.ndim != 3 or weight.ndim != 2 or activity.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"{connection.name}: activity {list(activity.shape)} and weight {list(weight.shape)} do not fit; "
            "[B, T, N_pre] and [N_post, N_pre] are expected."
        )
    fan_out = (weight != 0).sum(dim=0)
    events, analog = _events(activity, connection.binary)
    return (events * fan_out).sum(), (analog * fan_out).sum()


def _events(activity: Tensor, binary: bool) -> tuple[Tensor, Tensor]:
    """Events and analog elements of each presynaptic neuron, summed over batch and time; int64 [N_pre]."""
    none = torch.zeros(activity.shape[-1], dtype=torch.int64, device=activity.device)
    if not activity.numel():
        return none, none
    if not activity.is_floating_point():
        return activity.to(torch.int64).abs().sum(dim=(0, 1)), none
    if binary:
        return _sum_whole(activity), none
    magnitude = activity if bool(activity.amin() >= 0) else activity.abs()
    if _whole(magnitude):
        return _sum_whole(magnitude), none
    whole = magnitude.frac() == 0
    return _sum_whole(torch.where(whole, magnitude, 0.0)), (~whole).sum(dim=(0, 1))


def _whole(magnitude: Tensor, samples: int = 16) -> bool:
    """Whether all numbers >= 0 are whole; some samples at a time, so that the work space stays small and warm."""
    # frac is 0 for whole numbers and NaN for what is not finite: one pass and a maximum, where == and all() take four.
    return all(bool(part.frac().amax() == 0) for part in magnitude.split(samples))


def _sum_whole(counts: Tensor) -> Tensor:
    """The sum of whole numbers >= 0 over batch and time as int64, exact: in float32 where no sum can leave its range."""
    total = counts.sum(dim=(0, 1), dtype=torch.float32)
    if total.numel() and not float(total.max()) < _EXACT:
        total = counts.sum(dim=(0, 1), dtype=torch.float64)
    return total.to(torch.int64)
