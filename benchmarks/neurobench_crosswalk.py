"""Where NeuroBench's synaptic operations and the exact ones differ: each case is run by both, and the page is written from it.

    python benchmarks/neurobench_crosswalk.py                             # print the table
    python benchmarks/neurobench_crosswalk.py --write docs/neurobench.md  # write the page anew

Needs ``pip install --no-deps neurobench==2.3.0 snntorch==1.0.0``; the list of cases can be read without them. All numbers are
operations per sample.
"""

import argparse
import contextlib
import dataclasses
import io
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from snnlightning.metrics import NeuroBenchSynOps, SynOps
from snnlightning.typing import Connection, ConnectionKind, Convolution, LayerRecord

Batches = Sequence[Sequence[LayerRecord]]
Said = tuple[str, str, str]
"""What NeuroBench, NeuroBenchSynOps and SynOps say."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One difference. ``run`` counts it; ``since`` says which number is right and from what one sees it. ``varies``: the
    last digits depend on the machine."""

    title: str
    run: Callable[[], Said]
    why: str
    since: str
    varies: bool = False


CASES: list[Case] = []


def case(
    title: str, *, why: str, since: str, varies: bool = False
) -> Callable[[Callable[[], Said]], Callable[[], Said]]:
    def put(run: Callable[[], Said]) -> Callable[[], Said]:
        CASES.append(Case(title, run, why, since, varies))
        return run

    return put


# ---- saying and counting


def number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def of_neurobench(found: Any) -> str:
    if not isinstance(found, dict):
        return f"{found} (an error)"
    return f"{number(found['Effective_ACs'])} AC, {number(found['Effective_MACs'])} MAC, {number(found['Dense'])} dense"


def exact(batches: Batches) -> str:
    metric = SynOps()
    for records in batches:
        metric.update(records)
    counts = metric.compute()
    return f"{number(counts.total)} synops, {number(counts.macs)} MAC"


def compatible(batches: Batches, **options: Any) -> str:
    metric = NeuroBenchSynOps(**options)
    for records in batches:
        metric.update(records)
    return of_neurobench(metric.compute().as_neurobench()["SynapticOperations"])


def harness(*arguments: Any, **options: Any) -> dict[str, Any]:
    from snntorch_records import harness as run

    with contextlib.redirect_stderr(io.StringIO()):
        return run(*arguments, **options)


def both(net: Any, x: Tensor, batch_size: int = 12, **options: Any) -> Said:
    """All three about a network of snnTorch."""
    from snntorch_records import batches_of

    batches = batches_of(net, x, batch_size)
    theirs = harness(net, x, batch_size)["SynapticOperations"]
    return of_neurobench(theirs), compatible(batches, **options), exact(batches)


def whole(
    model: nn.Module, x: Tensor, records: Callable[[Tensor], list[LayerRecord]], batch_size: int, **options: Any
) -> Said:
    """All three about a module that takes the whole sequence."""
    with torch.no_grad():
        batches = [records(batch) for batch in x.split(batch_size)]
    theirs = harness(model, x, batch_size, stepwise=False)["SynapticOperations"]
    return of_neurobench(theirs), compatible(batches, **options), exact(batches)


def joined(said: dict[str, Said]) -> Said:
    """Several runs in one cell; what is the same in all of them is said once."""
    columns = []
    for column in zip(*said.values(), strict=True):
        same = len(set(column)) == 1
        columns.append(column[0] if same else "<br>".join(f"{k}: {v}" for k, v in zip(said, column, strict=True)))
    return columns[0], columns[1], columns[2]


# ---- networks and inputs


def leaky(**options: Any) -> nn.Module:
    import snntorch

    neuron: nn.Module = snntorch.Leaky(0.9, init_hidden=True, **options)
    return neuron


def network(hidden: nn.Module | None = None, i: int = 20, h: int = 16, o: int = 5) -> Any:
    """20-16-5 of seed 0, with these hidden neurons; its weights are drawn after theirs."""
    from snntorch_records import Network

    torch.manual_seed(0)
    return Network((nn.Linear(i, h), hidden or leaky()), (nn.Linear(h, o), leaky(output=True)))


def recurrent(**options: Any) -> nn.Module:
    import snntorch

    torch.manual_seed(1)
    neurons: nn.Module = snntorch.RLeaky(0.9, init_hidden=True, **options)
    return neurons


def spikes(*shape: int) -> Tensor:
    return (torch.rand(shape or (12, 25, 20), generator=torch.Generator().manual_seed(1)) < 0.3).float()


def event_counts() -> Tensor:
    return torch.poisson(torch.full((12, 25, 20), 0.15), generator=torch.Generator().manual_seed(2))


def record(name: str, output: Tensor, *parts: tuple[str, ConnectionKind, Tensor, Tensor]) -> LayerRecord:
    connections = tuple(Connection(f"{name}.{p[0]}", p[1], p[2], p[3].detach(), False) for p in parts)
    return LayerRecord(name, False, output, (), None, connections)


# ---- the cases: what is counted


@case(
    "Event counts as input",
    why="One element that is not 0, 1 or -1 makes MACs of the whole call, which holds the whole batch; and k events count once.",
    since="exact: the events of one sample do not depend on which samples stand beside it, and a bin of k events is k events.",
)
def _() -> Said:
    return joined({f"batch of {size}": both(network(), event_counts(), size) for size in (1, 4, 12)})


@case(
    "One analog value among spikes",
    why="The value 0.5 of one input at one step moves that step's operations of all samples from ACs to MACs.",
    since="exact: one value passes 16 synapses, and the other inputs are spikes as before.",
)
def _() -> Said:
    x = spikes()
    x[0, 0, 0] = 0.5
    return joined({f"batch of {size}": both(network(), x, size) for size in (1, 12)})


@case(
    "A sequence in one call",
    why="A Linear layer that gets [B, T, N] at once is one call: one bin with two events decides for all steps and samples.",
    since="exact: calls are how a program is written, not what a chip does.",
)
def _() -> Said:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 16))
    weight = model[0].weight
    return whole(
        model, event_counts(), lambda x: [record("out", model(x), ("w_in", "input", x, weight))], 12, calls="sequence"
    )


@case(
    "More than 2^24 operations in a call",
    why="Operations are added up in float32; the sum depends on its order, so on the machine and its threads.",
    since="exact: 4097 x 4099 ones are 16,793,603 operations. A batch of 64 passes 2^24 with 262,144 synapses.",
    varies=True,
)
def _() -> Said:
    from snntorch_records import Network

    torch.manual_seed(0)
    net = Network((nn.Linear(4099, 4097), leaky(output=True)))
    return both(net, torch.ones(1, 1, 4099))


@case(
    "Weights in bfloat16",
    why="Operations are added up in the layer's dtype, which has 8 bits for whole numbers.",
    since="exact: the dtype of a weight changes nothing about how many there are.",
    varies=True,
)
def _() -> Said:
    return both(network(h=13).to(torch.bfloat16), spikes())


# ---- recurrence


@case(
    "Spikes of the last step",
    why="snnTorch's recurrent layer is called with the spikes of the step before: those of the last step meet no call.",
    since="neither: with a state that is handed on (streams, chunks) they arrive in the next run, and exact counts add up over "
    "chunks; in a run that ends there nothing reads them.",
)
def _() -> Said:
    return both(network(recurrent(linear_features=16)), spikes())


@case(
    "Reset to zero in recurrent neurons",
    why="snnTorch 1.0.0 evaluates the update twice in RLeaky with reset_mechanism='zero', its recurrent layer with it.",
    since="exact: each spike passes each recurrent synapse once; Dense shows 2 x 16 x 16 of them.",
)
def _() -> Said:
    return both(network(recurrent(linear_features=16, reset_mechanism="zero")), spikes())


@case(
    "One recurrent weight per neuron",
    why="RLeaky(all_to_all=False) multiplies by a parameter; only Linear, Conv and RNN modules are looked at.",
    since="exact: the 16 weights are synapses; Dense should be 25 x 16 more.",
)
def _() -> Said:
    return both(network(recurrent(all_to_all=False, V=0.5)), spikes(), unseen=["hidden_0.w_rec"])


@case(
    "A recurrent weight that is a bare parameter",
    why="z @ w_rec and F.linear are no modules.",
    since="exact: it is the same network as one with an nn.Linear inside; NeuroBenchSynOps counts it as if it had one, unless it is "
    "named in unseen.",
)
def _() -> Said:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.w_in, self.w_rec = nn.Linear(20, 16), nn.Parameter(torch.randn(16, 16))

        def forward(self, x: Tensor) -> Tensor:
            z, out = torch.zeros(len(x), 16), []
            for step in x.unbind(1):
                z = (self.w_in(step) + z @ self.w_rec.t() > 0.5).float()
                out.append(z)
            return torch.stack(out, dim=1)

    model = Bare()

    def records(x: Tensor) -> list[LayerRecord]:
        z = model(x)
        return [record("out", z, ("w_in", "input", x, model.w_in.weight), ("w_rec", "recurrent", z, model.w_rec))]

    return whole(model, spikes(), records, 12)


@case(
    "nn.RNN, nn.LSTM, nn.GRU",
    why='`raise "..."` is a TypeError; the batch is lost, the failed layer\'s hook is gone, and later batches count without it.',
    since="exact: the layer is 25 x (20 x 16 + 16 x 16) operations if all are dense, its output 25 x 16 x 5.",
)
def _() -> Said:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rnn, self.out = nn.RNN(20, 16, batch_first=True), nn.Linear(16, 5)

        def forward(self, x: Tensor) -> Tensor:
            h = self.rnn(x)[0]
            for step in h.unbind(1):
                out: Tensor = self.out(step)
            return out.unsqueeze(1)

    model = Model()

    def records(x: Tensor) -> list[LayerRecord]:
        h = model.rnn(x)[0]
        w_in, w_rec = model.rnn.weight_ih_l0, model.rnn.weight_hh_l0
        return [
            record("rnn", h, ("w_in", "input", x, w_in), ("w_rec", "recurrent", h, w_rec)),
            record("out", model.out(h), ("w_in", "readout", h, model.out.weight)),
        ]

    return joined({f"batch of {size}": whole(model, spikes(), records, size, cells=["rnn"]) for size in (1, 4, 12)})


class Cell(nn.Module):
    """A cell and a layer behind it, over a whole sequence."""

    def __init__(self, cell: Callable[..., nn.Module], first: str = "zeros", **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.out, self.first = cell(20, 16, **options), nn.Linear(16, 5), first

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lstm = isinstance(self.cell, nn.LSTMCell)
        zeros, hs, outs = torch.zeros(len(x), 16), [], []
        state: Any = None if self.first == "none" else (zeros, zeros) if lstm else zeros
        for step in x.unbind(1):
            state = self.cell(step) if self.first == "none" else self.cell(step, state)
            hs.append(state[0] if lstm else state)
            outs.append(self.out(hs[-1]))
        return torch.stack(hs, dim=1), torch.stack(outs, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)[1]

    def records(self, x: Tensor) -> list[LayerRecord]:
        h, out = self.run(x)
        parts: list[tuple[str, ConnectionKind, Tensor, Tensor]] = [("w_in", "input", x, self.cell.weight_ih)]
        if self.first != "none":
            parts.append(("w_rec", "recurrent", h, self.cell.weight_hh))
        return [record("cell", h, *parts), record("out", out, ("w_in", "readout", h, self.out.weight))]


@case(
    "An RNNCell's analog state",
    why="Only the cell's input is looked at: with spikes coming in, the products with an analog state are called ACs.",
    since="exact: weight times analog value is a MAC, whatever comes in beside it.",
)
def _() -> Said:
    model = Cell(nn.RNNCell)
    return whole(model, spikes(), model.records, 12, cells=["cell"])


@case(
    "An RNNCell that is called without state",
    why="The input is taken for a tuple, and its first element is the first sample of the batch.",
    since="exact: all samples cost something. The number depends on the batch size.",
)
def _() -> Said:
    model = Cell(nn.RNNCell, "none")
    return joined({f"batch of {size}": whole(model, spikes(), model.records, size) for size in (3, 12)})


@case(
    "An LSTMCell",
    why="As with the RNNCell, and products of gates are added; Dense leaves the state's zeros out, so it depends on the data.",
    since="exact for synapses: 20 x 64 from the input, 16 x 64 from the state. Products of gates are no synapses and not in it.",
)
def _() -> Said:
    model = Cell(nn.LSTMCell)
    return whole(model, spikes(), model.records, 12, cells=["cell"])


@case(
    "A GRUCell without bias",
    why="The missing bias is an AttributeError inside the metric, which is printed and becomes 0.0.",
    since="exact: a network is not free because its cost could not be counted.",
)
def _() -> Said:
    model = Cell(nn.GRUCell, bias=False)
    return whole(model, spikes(), model.records, 12, cells=["cell"])


# ---- weights


@case(
    "Weights masked by torch.nn.utils.prune",
    why="The pruning hook restores the true weights on the copy whose weights were set to one: what is added up are weights.",
    since="exact: half of the first layer's 320 weights are zero, and the other ones count.",
)
def _() -> Said:
    net = network()
    prune.random_unstructured(net.connection_0, "weight", amount=160)
    return both(net, spikes())


@case(
    "Weights with a parametrisation",
    why="Setting .weight.data of a computed weight has no effect, so sums of true weights come out, negative ones too.",
    since="exact: the weight in effect is counted, here with a mask that leaves every second input.",
)
def _() -> Said:
    class Mask(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * (torch.arange(weight.shape[1]) % 2 == 0)

    net = network()
    parametrize.register_parametrization(net.connection_0, "weight", Mask())
    return both(net, spikes())


@case(
    "One layer object in two places",
    why="Found twice below the root, hooked twice: each hook records all of its calls.",
    since="exact: 25 steps of 2 x 20 x 20 operations if all are dense.",
)
def _() -> Said:
    class Block(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return (self.layer(x) > 0.2).float()

    torch.manual_seed(0)
    layer = nn.Linear(20, 20)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Block(layer), Block(layer)

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.second(self.first(step)) for step in x.unbind(1)], dim=1)

    model = Twice()

    def records(x: Tensor) -> list[LayerRecord]:
        middle = model.first(x)
        used = [Connection("layer.w_in", "feedforward", came, layer.weight, False, None, True) for came in (x, middle)]
        return [LayerRecord("layer", True, middle, (), None, (c,), True) for c in used]

    return whole(model, spikes(), records, 12)


@case(
    "Average pooling",
    why="AvgPool is none of the modules that are looked at.",
    since="exact where pooling is done by synapses, as on chips that have no other way; leave it out of the records where it is not.",
)
def _() -> Said:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(0, 1), nn.Conv1d(2, 4, 3, padding=1), nn.Hardtanh(), nn.AvgPool1d(2), nn.Unflatten(0, (-1, 25))
    )
    ones = torch.full((4, 1, 2), 0.5)

    def records(x: Tensor) -> list[LayerRecord]:
        conv: Any = model[1]
        middle = (conv(x.flatten(0, 1)) > 0.2).float().unflatten(0, (-1, 25))
        first = Connection("conv.w", "input", x, conv.weight, False, Convolution((1,), (1,), (1,)))
        pool = Connection("pool.w", "feedforward", middle, ones, False, Convolution((2,), (0,), (1,), 4))
        pooled = torch.zeros(len(x), 25, 4, 5)
        return [
            LayerRecord("conv", True, middle, (), None, (first,)),
            LayerRecord("pool", False, pooled, (), None, (pool,)),
        ]

    return whole(model, spikes(12, 25, 2, 10), records, 12, unseen=["pool.w"], calls="sequence")


# ---- the harness


@case(
    "An input passed by keyword",
    why="The hook sees positional inputs only: an IndexError, printed, and 0.0.",
    since="exact: counting reads what a layer did, not how it was called.",
)
def _() -> Said:
    class Keyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(20, 16)

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.layer(input=step) for step in x.unbind(1)], dim=1)

    model = Keyword()
    return whole(model, spikes(), lambda x: [record("layer", model(x), ("w_in", "input", x, model.layer.weight))], 12)


@case(
    "Two Benchmarks on one model",
    why="Both register their hooks on the wrapper, and each counts the other's as well.",
    since="exact: to look twice is not to compute twice.",
)
def _() -> Said:
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import SNNTorchModel
    from neurobench.processors.postprocessors import ChooseMaxCount
    from snntorch_records import batches_of
    from torch.utils.data import DataLoader, TensorDataset

    net, x = network(), spikes()
    wrapper = SNNTorchModel(net)
    loader = DataLoader(TensorDataset(x, torch.zeros(12, dtype=torch.long)), batch_size=12)
    with torch.no_grad():
        made = [Benchmark(wrapper, loader, [], [ChooseMaxCount()], [[], [SynapticOperations]]) for _ in range(2)]
        theirs = made[0].run(quiet=True)["SynapticOperations"]
        made[0].workload_metric_manager.cleanup_hooks(wrapper)
    batches = batches_of(net, x, 12)
    return of_neurobench(theirs), compatible(batches), exact(batches)


@case(
    "Activation sparsity with drop_last=True",
    why="Batches are weighted by samples and divided by the length of the data set, dropped samples included.",
    since="exact: of the outputs that were computed, so many are zero.",
)
def _() -> Said:
    from snntorch_records import batches_of

    net, x = network(), spikes()
    theirs = harness(net, x, 5, workload=("ActivationSparsity", "SynapticOperations"), drop_last=True)[
        "ActivationSparsity"
    ]
    compat, synops = NeuroBenchSynOps(), SynOps()
    for records in batches_of(net, x, 5)[:2]:
        compat.update(records)
        synops.update(records)
    return (
        f"sparsity {theirs:.4f}",
        f"sparsity {compat.compute().activation_sparsity:.4f}",
        f"sparsity {synops.compute().activation_sparsity:.4f}",
    )


# ---- the page

HEAD = """# NeuroBench's synaptic operations and ours

This page is written by `python benchmarks/neurobench_crosswalk.py --write docs/neurobench.md`; change the text there.

Two counters read the same records. `SynOps` is the count: each spike that passes a synapse, in whole numbers, whatever the batch
size. `NeuroBenchSynOps` says what NeuroBench 2.3.0 says, for a leaderboard or a paper that used it.

```python
import json
import torch
from snnlightning import LI, LIF, MaxOverTime, NeuroBenchSynOps, SpikingLayer, SpikingNetwork

hidden = SpikingLayer(20, 16, neuron=LIF(), recurrent=True)
net = SpikingNetwork([hidden, SpikingLayer(16, 5, neuron=LI())], MaxOverTime())
metric = NeuroBenchSynOps()
for x in torch.ones(3, 4, 25, 20):  # three batches of NeuroBench's loader
    metric.update(net(x))
parameters = sum(p.numel() for p in net.parameters())
results = metric.compute().as_neurobench(ParameterCount=parameters)
print(json.dumps(results, indent=4))  # what Benchmark.save_benchmark_results writes
```

It equals NeuroBench to the last bit (`tests/golden/test_neurobench.py` runs NeuroBench's own harness) for Linear layers and
convolutions in one to three dimensions with stride, padding, dilation and groups, all-to-all recurrence with reset by subtraction,
zero weights, ternary and count inputs at any batch size, `RNNCell` with a state (`cells=[...]`), and also where its float sums
round, on the same machine with the same number of threads.

- A batch is an `update`: NeuroBench's split of ACs and MACs depends on it.
- A recurrent connection is called at each step with what it was sent one step earlier, and with zeros at the first step, which are
  ACs: the spikes of the last step are in no call. Each update starts from a reset state.
- `cells` names layers that are one `nn.RNNCell` there, `unseen` connections that are not there at all, and `calls="sequence"` says
  that layers get whole sequences. Where NeuroBench fails, or counts a layer twice or not at all, `NeuroBenchSynOps` does not.

## Where they differ
"""


def installed(*packages: str) -> str:
    def one(package: str) -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return f"{package} not installed"

    return ", ".join(one(package).split("+")[0] for package in packages)


def versions() -> str:
    return installed("neurobench", "snntorch", "torch")


def table(cases: Sequence[Case]) -> list[str]:
    rows = [
        "| case | NeuroBench | `NeuroBenchSynOps` | exact (`SynOps`) | why | which is right |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for c in cases:
        said = c.run()
        rows.append(f"| {c.title} | {' | '.join(said)} | {c.why} | {c.since} |")
    return rows


def page() -> str:
    lines = table(CASES)
    return (
        f"{HEAD}\n"
        f"Operations per sample, as run with {versions()}, one thread. Networks are 20-16-5 with 12 samples of 25 steps unless the "
        "case says otherwise. Where a cell has one line for several batch sizes, all of them gave it.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page here instead of printing the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if "not installed" in versions():
        print(f"error: {versions()}; pip install --no-deps neurobench==2.3.0 snntorch==1.0.0", file=sys.stderr)
        return 2
    if arguments.write:
        arguments.write.write_text(page(), encoding="utf-8")
    else:
        print(versions(), *table(CASES), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
