"""Networks in snnTorch, and the records of what they did: the bridge between NeuroBench's harness and our counters.

Used by the tests against NeuroBench and by the comparisons in this folder; needs snntorch (and ``neurobench`` below ``harness``).
Nothing is read through hooks: the network is run by hand, and a neuron's spikes are recorded as what it sent.
"""

from collections.abc import Sequence
from typing import Any

import torch
from snntorch import utils
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from snnlightning.typing import Connection, ConnectionKind, Convolution, LayerRecord

Pair = tuple[nn.Module, nn.Module]
"""A connection (Linear, Conv) and the snnTorch neurons behind it, made with ``init_hidden=True``."""


class Network(nn.Module):
    """Pairs in a row, as a flat tree of modules (snnTorch does not reset nested ones); the last neurons with ``output=True``."""

    def __init__(self, *pairs: Pair) -> None:
        super().__init__()
        self.depth = len(pairs)
        for k, (connection, neuron) in enumerate(pairs):
            self.add_module(f"connection_{k}", connection)
            self.add_module(f"neuron_{k}", neuron)

    @property
    def pairs(self) -> list[Pair]:
        return [(getattr(self, f"connection_{k}"), getattr(self, f"neuron_{k}")) for k in range(self.depth)]

    def forward(self, x: Tensor) -> Any:
        out: Any = x
        for connection, neuron in self.pairs:
            out = neuron(connection(_fitting(connection, out)))
        return out


def _fitting(connection: Any, x: Tensor) -> Tensor:
    """In the shape of the connection, and in its dtype: snnTorch's spikes are float32 whatever the weights are."""
    return (x.flatten(1) if isinstance(connection, nn.Linear) else x).to(connection.weight.dtype)


def records_of(network: Network, x: Tensor) -> list[LayerRecord]:
    """One batch x [B, T, *N] from a reset state; ``hidden_k`` has ``w_in`` and, with a Linear or Conv inside, ``w_rec``."""
    utils.reset(network)
    came: list[list[Tensor]] = [[] for _ in range(network.depth)]
    went: list[list[Tensor]] = [[] for _ in range(network.depth)]
    with torch.no_grad():
        for step in x.unbind(1):
            out = step
            for k, (connection, neuron) in enumerate(network.pairs):
                came[k].append(_fitting(connection, out))
                result = neuron(connection(came[k][-1]))
                out = result[0] if isinstance(result, tuple) else result
                went[k].append(out)
    records = []
    for k, (connection, neuron) in enumerate(network.pairs):
        kind: ConnectionKind = "input" if k == 0 else "feedforward"
        output = torch.stack(went[k], dim=1)
        connections = [_connection(f"hidden_{k}.w_in", kind, torch.stack(came[k], dim=1), connection)]
        recurrent = getattr(neuron, "recurrent", None)
        if isinstance(recurrent, nn.Linear | nn.Conv2d):
            connections.append(_connection(f"hidden_{k}.w_rec", "recurrent", output, recurrent))
        elif recurrent is not None:  # one weight per neuron, or one for all
            weight = torch.diag(recurrent.V.detach().expand(output.shape[2]))
            connections.append(Connection(f"hidden_{k}.w_rec", "recurrent", output, weight, False))
        records.append(LayerRecord(f"hidden_{k}", True, output, (), None, tuple(connections), True))
    return records


def _connection(name: str, kind: ConnectionKind, activity: Tensor, module: Any) -> Connection:
    if isinstance(module, nn.Linear):
        return Connection(name, kind, activity, module.weight, False)
    slide = Convolution(module.stride, module.padding, module.dilation, module.groups)
    return Connection(name, kind, activity, module.weight, False, slide)


def batches_of(network: Network, x: Tensor, batch_size: int) -> list[list[LayerRecord]]:
    """The records of each batch of a loader that does not shuffle."""
    return [records_of(network, batch) for batch in x.split(batch_size)]


def harness(
    model: nn.Module,
    x: Tensor,
    batch_size: int,
    *,
    static: Sequence[str] = (),
    workload: Sequence[str] = ("SynapticOperations",),
    stepwise: bool = True,
    drop_last: bool = False,
    save: str | None = None,
) -> dict[str, Any]:
    """What NeuroBench's own ``Benchmark`` says: a fresh wrapper, no gradients, hooks removed at the end.

    Args:
        model: a :class:`Network` (NeuroBench then steps through time), or any module that takes the whole sequence.
        x: samples [B, T, *N].
        batch_size: of the loader.
        static: names of static metrics.
        workload: names of workload metrics.
        stepwise: False for a module that takes the whole sequence.
        drop_last: passed to the loader.
        save: path without ending, to which NeuroBench writes its JSON.
    """
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics import static as static_metrics
    from neurobench.metrics import workload as workload_metrics
    from neurobench.models import SNNTorchModel, TorchModel
    from neurobench.processors.postprocessors import ChooseMaxCount

    wrapper = SNNTorchModel(model) if stepwise else TorchModel(model)
    loader = DataLoader(
        TensorDataset(x, torch.zeros(len(x), dtype=torch.long)), batch_size=batch_size, drop_last=drop_last
    )
    metrics = [[getattr(static_metrics, n) for n in static], [getattr(workload_metrics, n) for n in workload]]
    with torch.no_grad():
        benchmark = Benchmark(wrapper, loader, [], [ChooseMaxCount()], metrics)
        try:
            results: dict[str, Any] = benchmark.run(quiet=True)
            if save is not None:
                benchmark.save_benchmark_results(save)
        finally:
            benchmark.workload_metric_manager.cleanup_hooks(wrapper)
    return results
