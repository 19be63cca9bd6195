"""NeuroBenchSynOps: synaptic operations as NeuroBench 2.3.0 counts them, bit for bit, for comparison with its leaderboards.

NeuroBench looks at calls of modules. For every call c of a ``Linear``, ``Conv1d`` to ``Conv3d`` or ``RNNCell`` with input x,

    E(c) = int( sum_outputs layer( 1[x != 0] ; weight = 1[W != 0], bias = 0 ) )    in the layer's dtype
    D(c) = int( sum_outputs layer( 1         ; weight = 1,         bias = 0 ) )
    class(c) = AC if every element of x, over the whole batch, is 0, 1 or -1, else MAC

    Effective_ACs = sum_{c: AC} E(c) / N    Effective_MACs = sum_{c: MAC} E(c) / N    Dense = sum_c D(c) / N

with N samples. The class belongs to a call, so the numbers depend on the batch size as soon as one input is not 0, 1 or -1:
each ``update`` is one batch of NeuroBench's loader. Use :class:`SynOps` for the count itself; ``docs/neurobench.md`` shows
each case in which the two differ.

What a record means here: the network written with one module per connection and run from a reset state, step by step.

    input, feedforward, readout     step t calls the module with activity[:, t];
    recurrent                       step t calls it with activity[:, t - 1], and step 0 with zeros: T calls, of which the spikes
                                    of the last step see none (``SynOps`` counts those too: they are in the state).

A recurrent call of zeros costs nothing, counts in Dense and is an AC call. A module that is called with something else is
recorded as a ``feedforward`` connection with exactly that.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from ..errors import ConfigurationError, unknown_name
from ..typing import Connection, LayerRecord, NetworkOutput
from ._calls import Calls, calls_of
from ._records import records_of

__all__ = ["NeuroBenchCounts", "NeuroBenchSynOps"]

_KINDS = ("input", "feedforward", "recurrent", "readout")


class NeuroBenchCounts(NamedTuple):
    """What NeuroBench reports; operations are per sample, lower is better.

    Attributes:
        samples: how many samples were counted.
        effective_macs: operations of calls in which some input is not 0, 1 or -1.
        effective_acs: operations of all other calls.
        dense: operations if no input and no weight were zero.
        activation_sparsity: share of the outputs of spiking layers that are zero, a mean over the batches; 0.0 when no layer
            spikes.
        connection_sparsity: share of the weights that are zero, to four decimals; None where NeuroBench's cannot be had from
            records (a cell's two biases count there) or there are no weights.
    """

    samples: int
    effective_macs: float
    effective_acs: float
    dense: float
    activation_sparsity: float
    connection_sparsity: float | None

    def as_neurobench(self, **others: object) -> dict[str, Any]:
        """The dictionary that NeuroBench's ``Benchmark.run`` returns and ``save_benchmark_results`` writes.

        Args:
            others: further results by NeuroBench's names, such as ``ClassificationAccuracy=0.93``; they come first.

        Example:
            >>> counts = NeuroBenchCounts(2, 0.0, 5.0, 8.0, 0.75, None)
            >>> counts.as_neurobench(ClassificationAccuracy=0.5)["SynapticOperations"]
            {'Effective_MACs': 0.0, 'Effective_ACs': 5.0, 'Dense': 8.0}
        """
        static = {} if self.connection_sparsity is None else {"ConnectionSparsity": self.connection_sparsity}
        return {
            **others,
            **static,
            "ActivationSparsity": self.activation_sparsity,
            "SynapticOperations": {
                "Effective_MACs": self.effective_macs,
                "Effective_ACs": self.effective_acs,
                "Dense": self.dense,
            },
        }


class NeuroBenchSynOps(Metric):
    """NeuroBench's SynapticOperations, ActivationSparsity and ConnectionSparsity from records; lower is better.

    Equal (``==``) to NeuroBench 2.3.0 for Linear and convolutional layers, recurrent ones (all to all, reset by subtraction),
    zero weights, ternary and count inputs at any batch size, and ``RNNCell`` with a state, also where its float sums round.
    Activation sparsity is the same mean, added up in another order. Where NeuroBench fails, loses a layer or counts one twice,
    this does not.

    Args:
        calls: "step" when every layer is called once per time step; "sequence" when all but the recurrent ones get the whole
            sequence in one call, which is then one AC or MAC call.
        cells: layers (names of records) that NeuroBench sees as one ``nn.RNNCell``: its input and its recurrent synapses are one
            call, and the input alone says whether it is AC or MAC.
        unseen: connections that NeuroBench does not see: pooling, and weights that are no module of their own
            (``RLeaky(all_to_all=False)``, ``z @ W``).

    Raises:
        ConfigurationError: ``calls`` is something else.

    Source: NeuroBench 2.3.0, ``SynapticOperations``, ``ActivationSparsity``, ``ConnectionSparsity``; Yik et al., "The neurobench
    framework for benchmarking neuromorphic computing algorithms and systems", Nature Communications 16, 1545 (2025).

    Example:
        >>> from snnlightning.typing import Connection, LayerRecord
        >>> counts = torch.tensor([[[1.0, 0.0], [2.0, 1.0]]])  # 1 sample, 2 steps: the 2 makes the second call one of MACs
        >>> synapses = Connection("hidden.w_in", "input", counts, torch.tensor([[0.5, 0.0], [1.0, 1.0]]), False)
        >>> metric = NeuroBenchSynOps()
        >>> metric.update([LayerRecord("hidden", True, torch.zeros(1, 2, 2), (), None, (synapses,))])
        >>> metric.compute().as_neurobench()["SynapticOperations"]
        {'Effective_MACs': 3.0, 'Effective_ACs': 2.0, 'Dense': 8.0}
    """

    full_state_update = False
    higher_is_better = False
    samples: Tensor
    macs: Tensor
    acs: Tensor
    dense: Tensor
    sparsity: Tensor
    zeros: Tensor
    weights: Tensor

    def __init__(
        self,
        *,
        calls: Literal["step", "sequence"] = "step",
        cells: Collection[str] = (),
        unseen: Collection[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if calls not in ("step", "sequence"):
            raise ConfigurationError(f"calls is {calls!r}; 'step' or 'sequence' is expected.")
        self.calls = calls
        self.cells, self.unseen = _names(cells, "cells"), _names(unseen, "unseen")
        for name in ("samples", "macs", "acs", "dense"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        # Sparsity of a batch times its samples; a mean over batches cannot be had from sums of outputs.
        self.add_state("sparsity", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        # Weights are of the network, not of the batch: the most that any batch met.
        for name in ("zeros", "weights"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="max")

    @torch.no_grad()
    def update(self, output: NetworkOutput | Sequence[LayerRecord]) -> None:
        """Count one batch, as NeuroBench would have met it: whole sequences, from a reset state.

        Args:
            output: what the network returned for it, or its records.

        Raises:
            ShapeError: a connection whose activity and weight do not fit.
            ConfigurationError: a kind of connection that there is not, a cell that is none, or sums beyond the layer's dtype.
            UnknownNameError: ``cells`` or ``unseen`` name nothing that was recorded.
        """
        records = records_of(output)
        self._check(records)
        batch, device = records[0].output.shape[0], self.macs.device
        macs, acs, dense = (torch.zeros_like(self.macs) for _ in range(3))
        stored: dict[str, tuple[Tensor, int]] = {}
        # Products of whole numbers must not be rounded by mixed precision around the call.
        with torch.autocast(records[0].output.device.type, enabled=False):
            for record in records:
                for found in self._calls(record):
                    acs = acs + found.effective[found.spiking].sum().to(device)
                    macs = macs + found.effective[~found.spiking].sum().to(device)
                    dense = dense + found.dense.sum().to(device)
                for c in self._seen(record):
                    stored[c.name] = ((c.weight == 0).sum().to(device), c.weight.numel())
        weights, known = sum(numel for _, numel in stored.values()), int(self.weights)
        if known not in (0, weights):
            raise ConfigurationError(
                f"counts of another network: it has {weights} weights, and one with {known} was counted; give each network a "
                "metric of its own, or reset() between two."
            )
        self.samples = self.samples + batch
        self.macs, self.acs, self.dense = self.macs + macs, self.acs + acs, self.dense + dense
        self.sparsity = self.sparsity + _activation_sparsity(records).to(device) * batch
        if stored:
            self.zeros = torch.maximum(self.zeros, torch.stack([zeros for zeros, _ in stored.values()]).sum())
            self.weights = self.weights.clamp_min(weights)

    def compute(self) -> NeuroBenchCounts:
        """The counts so far, per sample.

        Raises:
            ConfigurationError: nothing was counted yet.
        """
        samples = int(self.samples)
        if samples == 0:
            raise ConfigurationError("NeuroBenchSynOps.compute() before any update; count at least one batch.")
        known = not self.cells and int(self.weights) > 0
        return NeuroBenchCounts(
            samples=samples,
            effective_macs=int(self.macs) / samples,
            effective_acs=int(self.acs) / samples,
            dense=int(self.dense) / samples,
            activation_sparsity=float(self.sparsity) / samples,
            # Divided in torch's default dtype before it is rounded, as there.
            connection_sparsity=round((self.zeros / int(self.weights)).item(), 4) if known else None,
        )

    def set_dtype(self, dst_type: str | torch.dtype) -> "NeuroBenchSynOps":
        """Counts are whole numbers and stay so."""
        return self

    def _check(self, records: Sequence[LayerRecord]) -> None:
        connections = [c for record in records for c in record.connections]
        for connection in connections:
            if connection.kind not in _KINDS:
                raise ConfigurationError(
                    f"{connection.name} is of kind {connection.kind!r}; kinds: {', '.join(_KINDS)}."
                )
        for kind, names, known in (
            ("layer", self.cells, {record.name for record in records}),
            ("connection", self.unseen, {connection.name for connection in connections}),
        ):
            for name in names:
                if name not in known:
                    raise unknown_name(kind, name, known)

    def _seen(self, record: LayerRecord) -> list[Connection]:
        # Pooling, which has no neurons, is no module that NeuroBench looks for.
        return [c for c in record.connections if record.neurons and c.name not in self.unseen]

    def _calls(self, record: LayerRecord) -> list[Calls]:
        """The calls of each module that a record stands for."""
        seen = self._seen(record)
        if record.name not in self.cells:
            whole = self.calls == "sequence"
            return [calls_of([c], whole and c.kind != "recurrent") for c in seen]
        recurrent = [c for c in seen if c.kind == "recurrent"]
        if len(seen) != 2 or len(recurrent) != 1 or any(c.convolution is not None for c in seen):
            raise ConfigurationError(
                f"{record.name!r} is named as a cell and has {', '.join(c.name for c in seen) or 'no connections'}; an RNNCell has "
                "one matrix for its input and one that is recurrent."
            )
        return [calls_of(sorted(seen, key=lambda c: c.kind == "recurrent"), whole=False)]


def _names(names: Collection[str], what: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ConfigurationError(f"{what}={names!r} is one string; a list of names is expected: {what}=[{names!r}].")
    return tuple(names)


def _activation_sparsity(records: Sequence[LayerRecord]) -> Tensor:
    """Share of the outputs of all spiking layers that are zero, float64 scalar."""
    outputs = [record.output for record in records if record.spiking]
    slots = sum(output.numel() for output in outputs)
    if slots == 0:
        return torch.zeros((), dtype=torch.float64, device=records[0].output.device)
    nonzero = torch.stack([output.count_nonzero() for output in outputs]).sum()
    return (slots - nonzero).to(torch.float64) / slots
