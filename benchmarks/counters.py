"""Four counters about the same networks and data, and what counting costs: SynOps, NeuroBenchSynOps, NeuroBench, SpikingJelly.

    python benchmarks/counters.py [--repeats 7] [--page docs/counters.md]

Needs ``pip install --no-deps snntorch==1.0.0``, and for the columns of the peers ``pip install --no-deps neurobench==2.3.0
spikingjelly==2.0.0 loguru``: SpikingJelly's counters run without the torchvision that it asks for. A peer that is absent is said
to be. Operations are per sample, times (CPU) are medians of interleaved rounds on one
thread; compare ratios. Nothing is asserted.
"""

import argparse
import contextlib
import io
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snnlightning.metrics import NeuroBenchSynOps, SynOps

PEERS = ("neurobench", "spikingjelly", "snntorch", "torch", "snnlightning")
ABSENT = "not installed"


def versions() -> dict[str, str]:
    found = {}
    for package in PEERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "from this folder" if package == "snnlightning" else ABSENT
    return found


def number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


# ---- one counter each, on a network of snnTorch: accumulates and multiply-accumulates per sample


def exact(net: Any, x: Tensor) -> str:
    from snntorch_records import records_of

    metric = SynOps()
    metric.update(records_of(net, x))
    counts = metric.compute()
    return f"{number(counts.total)} / {number(counts.macs)}"


def compatible(net: Any, x: Tensor) -> str:
    from snntorch_records import records_of

    metric = NeuroBenchSynOps()
    metric.update(records_of(net, x))
    counts = metric.compute()
    return f"{number(counts.effective_acs)} / {number(counts.effective_macs)}"


def neurobench(net: Any, x: Tensor) -> str:
    if not find_spec("neurobench"):
        return ABSENT
    from snntorch_records import harness

    found = harness(net, x, len(x))["SynapticOperations"]
    return f"{number(found['Effective_ACs'])} / {number(found['Effective_MACs'])}"


def spikingjelly(net: Any, x: Tensor) -> str:
    if not find_spec("spikingjelly"):
        return ABSENT
    synops, macs = counted_by_spikingjelly(net, x)
    return f"{number(synops / len(x))} / {number(macs / len(x))}"


def counted_by_spikingjelly(net: Any, x: Tensor) -> tuple[int, int]:
    from snntorch import utils
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, MACCounter, SynOpCounter

    counters = [SynOpCounter(), MACCounter()]
    utils.reset(net)
    with torch.no_grad(), DispatchCounterMode(counters):
        for step in x.unbind(1):
            net(step)
    return counters[0].get_total(), counters[1].get_total()


COUNTERS: dict[str, Callable[[Any, Tensor], str]] = {
    "SynOps": exact,
    "NeuroBenchSynOps": compatible,
    "NeuroBench": neurobench,
    "SpikingJelly": spikingjelly,
}


# ---- the cases


def leaky(**options: Any) -> nn.Module:
    import snntorch

    neurons: nn.Module = snntorch.Leaky(0.9, init_hidden=True, **options)
    return neurons


def network(i: int, h: int, o: int, *, recurrent: bool = False) -> Any:
    import snntorch
    from snntorch_records import Network

    torch.manual_seed(0)
    hidden = snntorch.RLeaky(0.9, linear_features=h, init_hidden=True) if recurrent else leaky()
    return Network((nn.Linear(i, h), hidden), (nn.Linear(h, o), leaky(output=True)))


def pruned() -> Any:
    net = network(20, 16, 5)
    with torch.no_grad():
        net.connection_0.weight.view(-1)[torch.randperm(320)[:160]] = 0.0
    return net


def convolutional() -> Any:
    from snntorch_records import Network

    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)
    return Network((conv, leaky()), (nn.Linear(4 * 4 * 4, 5), leaky(output=True)))


def wide() -> Any:
    from snntorch_records import Network

    torch.manual_seed(0)
    return Network((nn.Linear(4099, 4097), leaky(output=True)))


def spikes(*shape: int, rate: float = 0.3) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(1)) < rate).float()


def cases() -> dict[str, tuple[Any, Tensor]]:
    x = spikes(12, 25, 20)
    counts = torch.poisson(torch.full((12, 25, 20), 0.15), generator=torch.Generator().manual_seed(2))
    ternary = x - spikes(12, 25, 20).roll(7, 2)
    return {
        "feed-forward, dense weights": (network(20, 16, 5), x),
        "half of layer 1 zero": (pruned(), x),
        "recurrent, all to all": (network(20, 16, 5, recurrent=True), x),
        "event counts, a batch of 12": (network(20, 16, 5), counts),
        "ternary input": (network(20, 16, 5), ternary),
        "convolution, stride 2, padding 1": (convolutional(), spikes(12, 25, 2, 8, 8)),
        "4097 x 4099 ones": (wide(), torch.ones(1, 1, 4099)),
    }


def table() -> list[str]:
    rows = [f"| accumulates / multiply-accumulates | {' | '.join(COUNTERS)} |", "| --- " * (len(COUNTERS) + 1) + "|"]
    for name, (net, x) in cases().items():
        rows.append(f"| {name} | {' | '.join(count(net, x) for count in COUNTERS.values())} |")
    return rows


# ---- what it costs


def quietly(count: Callable[[Any, Tensor], str], net: Any, x: Tensor) -> Callable[[], object]:
    def work() -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            count(net, x)

    return work


def costs(repeats: int) -> list[str]:
    """One batch of 64 of 700-128(recurrent)-20, 100 steps, 1.5 % input density: evaluated alone, and counted."""
    from snntorch_records import records_of

    net, x = network(700, 128, 20, recurrent=True), spikes(64, 100, 700, rate=0.015)
    candidates: dict[str, Callable[[], object]] = {"evaluated, not counted": lambda: records_of(net, x)}
    for name, count in COUNTERS.items():
        if not (find_spec(name.lower()) or name.endswith("SynOps")):
            continue
        candidates[name] = quietly(count, net, x)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for k in range(repeats + 1):
        for name, work in candidates.items():
            start = time.process_time()
            work()
            if k:  # the first round warms up
                times[name].append(1e3 * (time.process_time() - start))
    base = statistics.median(times["evaluated, not counted"])
    rows = [
        "| batch of 64, 700-128(recurrent)-20, 100 steps | median ms of CPU time | range | x evaluated |",
        "| --- " * 4 + "|",
    ]
    for name, values in times.items():
        middle = statistics.median(values)
        rows.append(f"| {name} | {middle:.1f} | {min(values):.1f} - {max(values):.1f} | {middle / base:.2f} |")
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="rounds that are timed")
    parser.add_argument("--page", type=Path, help="page whose block <!-- counters --> ... <!-- end --> is replaced")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = versions()
    if found["snntorch"] == ABSENT:
        print("error: the networks are snnTorch's: pip install --no-deps snntorch==1.0.0", file=sys.stderr)
        return 2
    said = ", ".join(f"{package} {number}" for package, number in found.items())
    text = "\n".join([f"{said}; one thread.", "", *table(), "", *costs(arguments.repeats), ""])
    print(text)
    if arguments.page is not None:
        before, mark, rest = arguments.page.read_text(encoding="utf-8").partition("<!-- counters -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            parser.error(f"{arguments.page} has no block <!-- counters --> ... <!-- end -->")
        arguments.page.write_text(before + mark + text + end + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
