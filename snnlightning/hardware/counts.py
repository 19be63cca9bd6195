"""Counts: what a network did for one sample, as plain values that can be priced.

Nothing here counts; ``snnlightning.metrics.SynOps`` does. ``Counts.of`` takes what it computed (or anything with the same
fields), together with the shape of the network, and refuses counts that belong to another network.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Protocol

from ..errors import ConfigurationError
from .network import INPUT, Network, whole

__all__ = ["Counts", "CountsLike"]


class CountsLike(Protocol):
    """What is read of measured counts, all per sample; ``SynOpsCounts`` satisfies it."""

    @property
    def by_connection(self) -> Mapping[str, float]: ...
    @property
    def macs(self) -> float: ...
    @property
    def neuron_updates(self) -> float: ...
    @property
    def spikes(self) -> Mapping[str, float]: ...


@dataclasses.dataclass(frozen=True)
class Counts:
    """Counts of one sample.

    Args:
        steps: time steps T of a sample.
        synops: synaptic operations by weight matrix; of any name when there is no network.
        neuron_updates: neurons times steps.
        spikes: spikes by layer.
        macs: multiply-accumulates caused by analog values; they belong to the first layer.
        input_events: events of the input channels; None: not known.
        active_updates: updates with input or bias; None: all (a leak is an update).
        network: the shape; None prices totals and leaves placement and limits unchecked.
    """

    steps: int
    synops: Mapping[str, float]
    neuron_updates: float
    spikes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    macs: float = 0.0
    input_events: float | None = None
    active_updates: float | None = None
    network: Network | None = None

    def __post_init__(self) -> None:
        whole("steps", self.steps)
        _amount("neuron_updates", self.neuron_updates)
        _amount("macs", self.macs)
        for label, value in (("input_events", self.input_events), ("active_updates", self.active_updates)):
            if value is not None:
                _amount(label, value)
        if self.active > self.neuron_updates:
            raise ConfigurationError(
                f"active_updates is {self.active} and neuron_updates {self.neuron_updates}; active ones are some of all."
            )
        for name, value in (*self.synops.items(), *self.spikes.items()):
            _amount(name, value)
        if self.network is not None:
            _belongs(self, self.network)

    @classmethod
    def of(cls, measured: CountsLike, network: Network, steps: int, *, input_events: float | None = None) -> "Counts":
        """Counts as a metric measured them, for a network of this shape.

        Args:
            measured: ``SynOps().compute()``, or anything with its fields.
            network: the shape of the counted network.
            steps: time steps T of a sample.
            input_events: events of the input per sample; None: from the operations of dense input weights.

        Raises:
            ConfigurationError: counts of another network.
        """
        if input_events is None:
            first = [m for m in network.synapses if m.source == INPUT]
            dense = bool(first) and network.synapses_of(first[0]) == network.inputs * network.size(first[0].target)
            if dense and first[0].name in measured.by_connection:
                input_events = measured.by_connection[first[0].name] / network.size(first[0].target)
        return cls(
            steps=steps,
            synops=dict(measured.by_connection),
            neuron_updates=measured.neuron_updates,
            spikes=dict(measured.spikes),
            macs=measured.macs,
            input_events=input_events,
            network=network,
        )

    @property
    def synops_total(self) -> float:
        """Synaptic operations of all weight matrices."""
        return sum(self.synops.values())

    @property
    def spikes_total(self) -> float:
        """Spikes of all layers."""
        return sum(self.spikes.values())

    @property
    def active(self) -> float:
        """Neuron updates with input or bias; all of them when nobody counted."""
        return self.neuron_updates if self.active_updates is None else self.active_updates

    def dense_twin(self) -> "Counts":
        """The artificial network of the same shape and as many steps: every synapse is one MAC in every step.

        Raises:
            ConfigurationError: the counts came without a network.
        """
        if self.network is None:
            raise ConfigurationError("a dense twin has the shape of the network; give Counts a network.")
        return Counts(
            steps=self.steps,
            synops={},
            neuron_updates=0.0,
            macs=float(self.steps * self.network.synapses_total),
            input_events=0.0,
            network=self.network,
        )


def _belongs(counts: Counts, network: Network) -> None:
    matrices = {matrix.name: matrix for matrix in network.synapses}
    if counts.synops and set(counts.synops) != set(matrices):
        raise ConfigurationError(
            f"counts of another network: they are of {', '.join(sorted(counts.synops))}; "
            f"the network has {', '.join(sorted(matrices))}."
        )
    layers = [layer.name for layer in network.layers]
    if unknown := sorted(set(counts.spikes) - set(layers)):
        raise ConfigurationError(f"counts of another network: spikes of {unknown[0]!r}; layers: {', '.join(layers)}.")
    if counts.neuron_updates not in (0.0, float(network.neurons * counts.steps)):
        raise ConfigurationError(
            f"counts of another network: {counts.neuron_updates:g} neuron updates; "
            f"{network.neurons} neurons x {counts.steps} steps make {network.neurons * counts.steps}."
        )
    for name, synops in counts.synops.items():
        matrix = matrices[name]
        events = counts.input_events if matrix.source == INPUT else counts.spikes.get(matrix.source)
        most = math.inf if events is None else events * network.size(matrix.target)
        if synops > most * (1 + 1e-9):
            raise ConfigurationError(
                f"counts of another network: {synops:g} operations of {name}; "
                f"{events:g} events of {matrix.source!r} into {network.size(matrix.target)} neurons make at most {most:g}."
            )


def _amount(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigurationError(f"{name} is {value!r}; a finite number of 0 or more is expected.")
