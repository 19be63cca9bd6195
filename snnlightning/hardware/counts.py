"""Counts: what a network did for one sample, as plain values that can be priced.

Nothing here counts; ``snnlightning.metrics.SynOps`` does. ``Counts.of`` takes what it computed (or anything with the same
fields), ``Counts.from_dict`` the same as JSON, together with the shape of the network; counts that belong to another network
are refused.
"""

import dataclasses
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Protocol

from ..errors import ConfigurationError, nearest
from .network import Network
from .synapses import INPUT, Synapses, whole

__all__ = ["Counts", "CountsLike"]

_MUST = ("by_connection", "macs", "neuron_updates", "spikes")
_TABLES = ("by_connection", "spikes")
_MAY = ("active_updates", "updates", "events", "messages", "macs_by_connection")
_SLACK = 1 + 1e-9
"""Counts are per sample: sums of whole numbers, divided, and rounded once more when they are added."""


class CountsLike(Protocol):
    """What is read of measured counts, all per sample; ``SynOpsCounts`` satisfies it.

    Read as well where they are there: ``active_updates`` and ``updates`` by layer, ``events``, ``messages`` and
    ``macs_by_connection`` by connection.
    """

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
        macs: multiply-accumulates caused by analog values; of the first layer where ``macs_by_connection`` does not say more.
        input_events: events of the input channels; None: not known.
        active_updates: updates with input or bias, in all or by layer; None: all (a leak is an update).
        network: the shape; None prices totals and leaves placement and limits unchecked.
        sent: what the presynaptic side sent, by connection; where it is missing: ``input_events`` and ``spikes``.
        macs_by_connection: multiply-accumulates by connection; they add up to ``macs``.

    Raises:
        ConfigurationError: numbers that are no counts, or not those of the network.
    """

    steps: int
    synops: Mapping[str, float]
    neuron_updates: float
    spikes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    macs: float = 0.0
    input_events: float | None = None
    active_updates: float | Mapping[str, float] | None = None
    network: Network | None = None
    sent: Mapping[str, float] = dataclasses.field(default_factory=dict)
    macs_by_connection: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        whole("steps", self.steps)
        _amount("neuron_updates", self.neuron_updates)
        _amount("macs", self.macs)
        if self.input_events is not None:
            _amount("input_events", self.input_events)
        active = self.active_updates
        for name, value in active.items() if isinstance(active, Mapping) else [("active_updates", active)]:
            if value is not None:
                _amount(name, value)
        if self.active > self.neuron_updates * _SLACK:
            raise ConfigurationError(
                f"active_updates is {self.active} and neuron_updates {self.neuron_updates}; active ones are some of all."
            )
        for amounts in (self.synops, self.spikes, self.sent, self.macs_by_connection):
            for name, value in amounts.items():
                _amount(name, value)
        if self.macs_by_connection and not math.isclose(sum(self.macs_by_connection.values()), self.macs, rel_tol=1e-6):
            raise ConfigurationError(
                f"macs is {self.macs:g} and macs_by_connection adds up to {sum(self.macs_by_connection.values()):g}."
            )
        if self.network is not None:
            _belongs(self, self.network)

    @classmethod
    def of(cls, measured: CountsLike, network: Network, steps: int, *, input_events: float | None = None) -> "Counts":
        """Counts as a metric measured them, for a network of this shape.

        Args:
            measured: ``SynOps().compute()``, or anything with its fields.
            network: the shape of the counted network.
            steps: time steps T of a sample.
            input_events: events of the input per sample; None: as measured, or from the operations of dense input weights.

        Raises:
            ConfigurationError: counts of another network.
        """
        whole("steps", steps)
        _are_counts(measured, network)
        events, messages = (dict(getattr(measured, name, {})) for name in ("events", "messages"))
        # A whole number k is k messages to a chip; an analog value is one, and no event.
        sent = {name: max(events.get(name, 0.0), messages.get(name, 0.0)) for name in {**events, **messages}}
        if input_events is None:
            for matrix in network.synapses:
                if matrix.source == INPUT and input_events is None:
                    dense = matrix.kernel is None and network.synapses_of(matrix) == network.inputs * network.size(
                        matrix.target
                    )
                    if matrix.name in sent:
                        input_events = sent[matrix.name]
                    elif dense and matrix.name in measured.by_connection:
                        input_events = measured.by_connection[matrix.name] / network.size(matrix.target)
        else:
            sent = {
                name: n
                for name, n in sent.items()
                if name not in {m.name for m in network.synapses if m.source == INPUT}
            }
        updates = dict(getattr(measured, "updates", {}))
        sizes = {layer.name: layer.neurons * layer.updated for layer in network.layers}
        for name, value in updates.items():
            size = sizes.get(name)
            if size is None:
                raise ConfigurationError(f"counts of another network: updates of {name!r}; layers: {', '.join(sizes)}.")
            if not math.isclose(value, size * steps, rel_tol=1e-9):
                raise ConfigurationError(
                    f"counts of another network: {value:g} updates of {name!r}; {size} neurons x {steps} steps make {size * steps}."
                )
        return cls(
            steps=steps,
            synops=dict(measured.by_connection),
            neuron_updates=measured.neuron_updates,
            spikes=dict(measured.spikes),
            macs=measured.macs,
            input_events=input_events,
            active_updates=dict(getattr(measured, "active_updates", {})) or None,
            network=network,
            sent=sent,
            macs_by_connection=dict(getattr(measured, "macs_by_connection", {})),
        )

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], network: Network, steps: int) -> "Counts":
        """Counts from JSON: what ``SynOpsCounts.as_dict()`` gave, or the four keys that every counter can fill.

        Args:
            content: ``by_connection``, ``macs``, ``neuron_updates``, ``spikes``, and whatever else was counted; keys that are
                not read are left alone.
            network: the shape of the counted network.
            steps: time steps T of a sample.

        Raises:
            ConfigurationError: a key is missing or holds something else, or counts of another network.

        Example:
            >>> plain = {"by_connection": {"readout.w_in": 6.0}, "macs": 0.0, "neuron_updates": 10.0, "spikes": {}}
            >>> Counts.from_dict(plain, Network.chain(3, [2]), steps=5).input_events
            3.0
        """
        if not isinstance(content, Mapping):
            raise ConfigurationError(f"counts are {content!r}; a table with {', '.join(_MUST)} is expected.")
        if missing := [key for key in _MUST if key not in content]:
            hint = nearest(missing[0], [key for key in map(str, content) if key not in _MAY])
            raise ConfigurationError(
                f"counts without {', '.join(missing)};{hint} There are: {', '.join(map(str, content))}."
            )
        tables = {
            key: content[key] for key in (*_MUST, *_MAY) if key in content and key not in ("macs", "neuron_updates")
        }
        for key, table in tables.items():
            if not isinstance(table, Mapping):
                raise ConfigurationError(f"{key} is {table!r}; counts by name are expected.")
        return cls.of(
            SimpleNamespace(macs=content["macs"], neuron_updates=content["neuron_updates"], **tables), network, steps
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
        if isinstance(self.active_updates, Mapping):
            return sum(self.active_updates.values())
        return self.neuron_updates if self.active_updates is None else self.active_updates

    @property
    def synops_by_layer(self) -> dict[str, float]:
        """Synaptic operations by the layer where they end; by their own names when the shape is not known."""
        return self._by_target(self.synops)

    @property
    def macs_by_layer(self) -> dict[str, float]:
        """Multiply-accumulates by the layer where they end; of the first one when nobody said."""
        if self.macs_by_connection:
            return {name: macs for name, macs in self._by_target(self.macs_by_connection).items() if macs}
        return {self.network.layers[0].name if self.network else "macs": self.macs} if self.macs else {}

    @property
    def updates_by_layer(self) -> dict[str, float]:
        """Neuron updates of each layer; of a thing called ``network`` when the shape is not known."""
        if self.network is None:
            return {"network": self.neuron_updates}
        share = self.neuron_updates / max(1, self.network.updated_neurons)
        return {layer.name: layer.neurons * layer.updated * share for layer in self.network.layers}

    @property
    def active_by_layer(self) -> dict[str, float]:
        """Updates with input or bias of each layer; spread evenly over the neurons when only their sum was counted."""
        if isinstance(self.active_updates, Mapping):
            return dict(self.active_updates)
        share = self.active / self.neuron_updates if self.neuron_updates else 0.0
        return {name: updates * share for name, updates in self.updates_by_layer.items()}

    @property
    def spikes_per_synapse(self) -> float | None:
        """Synaptic operations per synapse and sample, or None without a network.

        Source: Davidson & Furber 2021 (break-even at 1.72), Dampfhoffer et al. 2023 (0.15 to 1.38), for static inputs. A
        baseline that runs T times does T operations per synapse: divide by its steps before you compare.
        """
        if self.network is None or not self.network.synapses_total:
            return None
        return self.synops_total / self.network.synapses_total

    def _by_target(self, amounts: Mapping[str, float]) -> dict[str, float]:
        target = {} if self.network is None else {matrix.name: matrix.target for matrix in self.network.synapses}
        by_layer: dict[str, float] = {}
        for name, amount in amounts.items():
            layer = target.get(name, name)
            by_layer[layer] = by_layer.get(layer, 0.0) + amount
        return by_layer

    def sent_through(self, matrix: Synapses) -> float | None:
        """What the source of these synapses sent per sample, or None when nobody counted."""
        if matrix.name in self.sent:
            return self.sent[matrix.name]
        return self.input_events if matrix.source == INPUT else self.spikes.get(matrix.source)

    def dense_twin(self, steps: int | None = None) -> "Counts":
        """The artificial network of the same shape: every synapse is one MAC in every step.

        Args:
            steps: how often it runs per sample; None: as often as the spiking one.

        Raises:
            ConfigurationError: the counts came without a network.
        """
        if self.network is None:
            raise ConfigurationError("a dense twin has the shape of the network; give Counts a network.")
        steps = self.steps if steps is None else steps
        macs = {m.name: float(steps * self.network.synapses_of(m)) for m in self.network.synapses}
        return Counts(
            steps=steps,
            synops={},
            neuron_updates=0.0,
            macs=sum(macs.values()),
            input_events=0.0,
            network=self.network,
            macs_by_connection=macs,
        )


def _are_counts(measured: object, network: object) -> None:
    if missing := [name for name in _MUST if not hasattr(measured, name)]:
        way_out = "Counts.from_dict takes a table" if isinstance(measured, Mapping) else "SynOps().compute() gives them"
        raise ConfigurationError(
            f"counts are a {type(measured).__name__} without {missing[0]}; what a metric computed is expected: {way_out}."
        )
    if not isinstance(network, Network):
        raise ConfigurationError(
            f"network is a {type(network).__name__}; the shape of the counted network is expected: Network.of(net(x))."
        )
    for table in (*_TABLES, *_MAY):
        for name, value in dict(getattr(measured, table, {})).items():
            _amount(f"{table} of {name!r}", value)


def _belongs(counts: Counts, network: Network) -> None:
    matrices = {matrix.name: matrix for matrix in network.synapses}
    if counts.synops and set(counts.synops) != set(matrices):
        raise ConfigurationError(
            f"counts of another network: they are of {', '.join(sorted(counts.synops))}; "
            f"the network has {', '.join(sorted(matrices))}."
        )
    for what, named in (("events", counts.sent), ("multiply-accumulates", counts.macs_by_connection)):
        if unknown := sorted(set(named) - set(matrices)):
            raise ConfigurationError(
                f"counts of another network: {what} of {unknown[0]!r}; the network has {', '.join(sorted(matrices))}."
            )
    updates = counts.updates_by_layer
    active = counts.active_updates if isinstance(counts.active_updates, Mapping) else {}
    for what, by_layer in (("spikes", counts.spikes), ("active updates", active)):
        if strange := sorted(set(by_layer) - set(updates)):
            raise ConfigurationError(
                f"counts of another network: {what} of {strange[0]!r}; layers: {', '.join(updates)}."
            )
    if counts.neuron_updates and not math.isclose(
        counts.neuron_updates, network.updated_neurons * counts.steps, rel_tol=1e-9
    ):
        raise ConfigurationError(
            f"counts of another network: {counts.neuron_updates:g} neuron updates; "
            f"{network.updated_neurons} neurons x {counts.steps} steps make {network.updated_neurons * counts.steps}."
        )
    for name, value in active.items():
        if value > updates[name] * _SLACK:
            raise ConfigurationError(
                f"counts of another network: {value:g} active updates of {name!r}, which has {updates[name]:g} in all."
            )
    for name, synops in counts.synops.items():
        matrix = matrices[name]
        events = counts.sent_through(matrix)
        reach = network.size(matrix.target) if matrix.kernel is None else matrix.kernel.fan_out
        most = math.inf if events is None else events * reach
        if synops > most * _SLACK:
            raise ConfigurationError(
                f"counts of another network: {synops:g} operations of {name}; "
                f"{events:g} events of {matrix.source!r} into {reach} neurons make at most {most:g}."
            )


def _amount(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigurationError(f"{name} is {value!r}; a finite number of 0 or more is expected.")
