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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        zero = torch.zeros((), dtype=torch.int64)
        self.add_state("samples", zero, dist_reduce_fx="sum")
        self.add_state("neuron_updates", zero.clone(), dist_reduce_fx="sum")
        self._connections: dict[str, tuple[str, str]] = {}
        self._spiking: list[str] = []

    def update(self, output: NetworkOutput | Sequence[LayerRecord]) -> None:
        """Count one batch.

        Args:
            output: what the network returned for it, or its records.

        Raises:
            ShapeError: a connection whose activity and weight do not fit.
            ConfigurationError: a kind of connection that there is not.
        """
        records = output.records if isinstance(output, NetworkOutput) else output
        if not records:
            raise ConfigurationError("no records to count; pass what the network returned.")
        batch, steps = records[0].output.shape[:2]
        self.samples += batch
        for record in records:
            self.neuron_updates += batch * steps * record.output.shape[-1]
            if record.spiking:
                if record.name not in self._spiking:
                    self._spiking.append(record.name)
                self._add(f"spikes:{record.name}", _events(record.output, binary=True)[0].sum())
            for connection in record.connections:
                self._remember(connection, record.name)
                synops, macs = _operations(connection)
                self._add(f"synops:{connection.name}", synops)
                self._add(f"macs:{connection.name}", macs)

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
        macs = 0
        for name, (layer, kind) in self._connections.items():
            count = int(getattr(self, f"synops:{name}"))
            by_connection[name] = count
            by_layer[layer] = by_layer.get(layer, 0) + count
            by_kind[kind] += count
            macs += int(getattr(self, f"macs:{name}"))

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
            spikes=per_sample({name: int(getattr(self, f"spikes:{name}")) for name in self._spiking}),
        )

    def _remember(self, connection: Connection, layer: str) -> None:
        if connection.kind not in _KINDS:
            raise ConfigurationError(f"{connection.name} is of kind {connection.kind!r}; kinds: {', '.join(_KINDS)}.")
        seen = self._connections.setdefault(connection.name, (layer, connection.kind))
        if seen != (layer, connection.kind):
            raise ConfigurationError(
                f"two connections are called {connection.name!r}: {seen} and {(layer, connection.kind)}."
            )

    def _add(self, state: str, count: Tensor) -> None:
        if state not in self._defaults:
            self.add_state(state, torch.zeros((), dtype=torch.int64, device=self.samples.device), dist_reduce_fx="sum")
        setattr(self, state, getattr(self, state) + count.to(self.samples.device))


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
    if binary or not activity.is_floating_point():
        return _sum_whole(activity), none
    whole = activity == activity.round()
    if bool(whole.all()):
        return _sum_whole(activity), none
    return _sum_whole(torch.where(whole, activity, 0.0)), (~whole).sum(dim=(0, 1))


def _sum_whole(activity: Tensor) -> Tensor:
    """sum |a| over batch and time as int64, exact: in float32 where no sum can leave its whole numbers."""
    if not activity.is_floating_point():
        return activity.to(torch.int64).abs().sum(dim=(0, 1))
    magnitude = activity.detach().abs()
    total = magnitude.sum(dim=(0, 1), dtype=torch.float32)
    if total.numel() and not float(total.max()) < _EXACT:
        total = magnitude.sum(dim=(0, 1), dtype=torch.float64)
    return total.to(torch.int64)
