"""SynOpsCounts: the counts of a network per sample, as plain numbers."""

from typing import Any, NamedTuple

__all__ = ["SynOpsCounts"]


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
        active_updates: updates with input or bias, by layer.
        updates: neurons times steps, by layer.
        events: what the presynaptic side sent, by connection; a whole number k is |k| events.
        messages: elements that are not zero, by connection; a spike, a graded spike or an analog value is one message.
        slots: presynaptic neurons times steps, by connection: how many messages there could have been.
        macs_by_connection: multiply-accumulates by connection.
        total_graded: ``total`` when a whole number k is one graded spike instead of |k| events.
        nonzero_outputs: outputs of each spiking layer that are not zero.
        synapses: uses of weights that are not zero, by connection (a kernel's weight is used at every place); not per sample.
        weights: stored weights by connection, those that are not zero and all; not per sample.
    """

    samples: int
    total: float
    by_layer: dict[str, float]
    by_kind: dict[str, float]
    by_connection: dict[str, float]
    macs: float
    neuron_updates: float
    spikes: dict[str, float]
    active_updates: dict[str, float] = {}  # noqa: RUF012 (a NamedTuple: nobody writes to it)
    updates: dict[str, float] = {}  # noqa: RUF012
    events: dict[str, float] = {}  # noqa: RUF012
    messages: dict[str, float] = {}  # noqa: RUF012
    slots: dict[str, float] = {}  # noqa: RUF012
    macs_by_connection: dict[str, float] = {}  # noqa: RUF012
    total_graded: float = 0.0
    nonzero_outputs: dict[str, float] = {}  # noqa: RUF012
    synapses: dict[str, int] = {}  # noqa: RUF012
    weights: dict[str, tuple[int, int]] = {}  # noqa: RUF012

    @property
    def resets(self) -> float:
        """Resets of all neurons: one per output spike, whatever its size."""
        return sum(self.nonzero_outputs.values())

    @property
    def spikes_per_synapse(self) -> float:
        """Synaptic operations per synapse and inference: the number that energy break-even points are given in.

        Source: Davidson & Furber 2021 (1.72) and Dampfhoffer et al. 2023 (0.15 to 1.38) for rate-coded networks.
        """
        synapses = sum(self.synapses.values())
        return self.total / synapses if synapses else 0.0

    @property
    def activation_sparsity(self) -> float:
        """Share of the outputs of spiking layers that are zero, all layers and steps; 1.0 is a silent network."""
        return _share_missing(
            sum(self.nonzero_outputs.values()), sum(self.updates[name] for name in self.nonzero_outputs)
        )

    @property
    def connection_sparsity(self) -> float:
        """Share of the stored weights that are zero."""
        stored = [sum(column) for column in zip(*self.weights.values(), strict=True)] or [0, 0]
        return _share_missing(stored[0], stored[1])

    @property
    def message_sparsity(self) -> float:
        """Share of the presynaptic slots (inputs included) that send nothing, over all connections."""
        return _share_missing(sum(self.messages.values()), sum(self.slots.values()))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON; the sparsities as well."""
        derived = ("resets", "spikes_per_synapse", "activation_sparsity", "connection_sparsity", "message_sparsity")
        return {
            **self._asdict(),
            "weights": {name: list(stored) for name, stored in self.weights.items()},
            **{name: getattr(self, name) for name in derived},
        }


def _share_missing(there: float, possible: float) -> float:
    return 1.0 - there / possible if possible else 0.0
