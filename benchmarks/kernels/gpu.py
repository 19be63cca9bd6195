"""The GPU kernels: parity with the reference, time of a training step beside other libraries, peak memory, and what the device allows at best.

    python benchmarks/kernels/gpu.py [--peers] [--precisions highest,high] [--results FILE] [--output docs/gpu.md]     # needs a CUDA device
    python benchmarks/kernels/gpu.py --page-only --results FILE --output docs/gpu.md     # the page again, anywhere
    python benchmarks/kernels/gpu.py --toy               # tiny shapes, on the CPU under Triton's interpreter: figures mean nothing

Works are those of ``works.py``. Candidates take turns; a turn is a few steps one behind the other, as in training, and the device is
waited for behind them; times are medians of wall time over the turns. The results hold the rows of one device, its versions and a commit: an
interrupted run goes on there, and rows of others give way. The page is made of them. ``recorded`` is the network in :class:`snnlightning.layers.Captured`. The bounds of a row come from two numbers measured in the same
run, bytes per second of a copy and operations per second of a large product, and from an assumption: that a step of a recurrent layer
cannot follow another one in less than ``CHAIN`` seconds.
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

TOY = "--toy" in sys.argv
if TOY and not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take most of the memory

from own import eager, network  # noqa: E402
from peers import PEERS  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from works import WORKS, Work  # noqa: E402

import snnlightning as snn  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CHAIN = 1.25e-6
ROWS = ("W1 512 dense", "W1 4096 dense", "W2 128x32", "W2 128x256", "W2 256x256", "W2 512x256", "W3", "Wpop")
CANDIDATES: dict[str, tuple[str, torch.dtype | None, bool]] = {
    "reference": ("reference", None, False),
    "triton": ("triton", None, False),
    "recorded": ("triton", None, True),
    "triton, bf16": ("triton", torch.bfloat16, False),
    "recorded, bf16": ("triton", torch.bfloat16, True),
}
PACKAGES = ("norse", "snntorch", "spikingjelly", "sinabs", "spyx", "jax")
MEMBERS = (16, 64, 256)
BURST = 3
Row = dict[str, Any]
Step = Callable[[], Any]
Times = dict[str, list[float]]


def step_of(work: Work, backend: str, half: torch.dtype | None, recorded: bool) -> Step:
    """A training step on the device: spikes of the first layer, and the gradients."""
    nets = [network(work, "triangle", backend).to(DEVICE) for _ in range(work.members)]
    model: Any = nets[0] if work.members == 1 else snn.Members(nets).to(DEVICE)
    forward: Any = snn.Captured(model) if recorded else model
    x, y = (t.to(DEVICE) for t in work.data())
    labels = y.repeat(work.members)

    def step() -> Any:
        model.zero_grad()
        with torch.autocast(DEVICE.type, dtype=half, enabled=half is not None):
            out = forward(x)
            loss = F.cross_entropy(out.logits.flatten(0, -2), labels)
        loss.backward()
        records = out.records if work.members == 1 else out.members[0].records
        return records[0].output.detach(), [p.grad for p in model.parameters()]

    return step


def waited() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def seconds(step: Step, burst: int = 1) -> float:
    """Of one of ``burst`` steps."""
    waited()
    begin = time.perf_counter()
    for _ in range(burst):
        result = step()
    if "jax" in sys.modules:  # what is no array of JAX's is ready for it
        sys.modules["jax"].block_until_ready(result)
    waited()
    return (time.perf_counter() - begin) / burst


def taking_turns(steps: dict[str, Step], rounds: int) -> Times:
    times: Times = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, BURST))
    return times


def peak_mb(step: Step) -> float:
    """Above what was there before; 0 where there is no device to ask."""
    if DEVICE.type != "cuda":
        return 0.0
    waited()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    waited()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def rates() -> tuple[float, float]:
    """Bytes per second of a copy (read and written), operations per second of a float32 product as torch is set."""
    n = 64 if DEVICE.type == "cpu" else 8192
    a, b = torch.randn(n, n, device=DEVICE), torch.empty(n, n, device=DEVICE)
    copies, products = [], []
    for _ in range(10):
        copies.append(seconds(lambda: b.copy_(a)))
        products.append(seconds(lambda: torch.mm(a, a, out=b)))
    return 2 * a.nbytes / statistics.median(copies), 2 * n**3 / statistics.median(products)


def bounds(work: Work, bandwidth: float, operations: float) -> tuple[float, float, float]:
    """Seconds that the traffic, the products and the chain of steps of a float32 training step take at least.

    Per neuron and step: the drive is written and read, spikes and potentials written, spikes read by the next product; on the way back
    potentials and the gradient from above are read, delta is written and read, spikes are read: 10 numbers. Inputs are read twice.
    """
    rows, before = work.batch * work.steps * work.members, work.inputs
    traffic, macs = 2 * rows * before, 0
    for at, after in enumerate([*work.hidden, *([] if work.classes is None else [work.classes])]):
        spiking = at < len(work.hidden)
        traffic += rows * after * (10 if spiking else 6)
        macs += rows * after * before * (2 if at == 0 else 3) + 3 * rows * after * after * (work.recurrent and spiking)
        before = after
    chain = 2 * work.steps * len(work.hidden) * CHAIN if work.recurrent else 0.0
    return 4 * traffic / bandwidth, 2 * macs / operations, chain


def measured(work: Work, rounds: int, rate: tuple[float, float], only: Sequence[str]) -> Row:
    """One row: times of everybody, and what else is known of ours."""
    steps = {name: step_of(work, *how) for name, how in CANDIDATES.items()}
    for _ in range(4):  # compiles, and records
        results = {name: step() for name, step in steps.items()}
    spikes, gradients = results["reference"]
    mine, own = results["triton"]
    error = max(
        float((a - b).abs().max() / b.abs().max().clamp_min(1e-30)) for a, b in zip(own, gradients, strict=True)
    )
    others, missing = others_of(work, only) if only else ({}, {})
    return {
        "times": taking_turns(steps | others, rounds),
        "missing": missing,
        "bounds": bounds(work, *rate),
        "mb": [peak_mb(steps[name]) for name in ("reference", "triton")],
        "different": [int((mine != spikes).sum()), int((results["recorded"][0] != mine).sum()), spikes.numel()],
        "error": error,
    }


def others_of(work: Work, only: Sequence[str]) -> tuple[dict[str, Step], dict[str, str]]:
    """Steps of the plain loop and of other libraries that run here, and in words what keeps the rest from it."""
    here = dataclasses.replace(work, device=str(DEVICE))
    made, missing = {"eager": eager(here, "triangle")}, {}
    for name in only:
        try:
            step = PEERS[name](here, "triangle")
            for _ in range(2):
                step()
            made[name] = step
        except Exception as error:  # whatever it is, it is theirs, and the others go on
            missing[name] = f"{type(error).__name__}"
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    return made, missing


def population(members: int, rounds: int) -> Row:
    """Members in one pass, and one network."""
    alone = dataclasses.replace(WORKS["Wpop"], members=1)
    together = dataclasses.replace(WORKS["Wpop"], members=members)
    steps = {
        "one": step_of(alone, "triton", None, False), "one, recorded": step_of(alone, "triton", None, True),
        "all": step_of(together, "triton", None, False), "all, recorded": step_of(together, "triton", None, True),
    }  # fmt: skip
    for step in [s for s in steps.values() for _ in range(4)]:
        step()
    return {"times": taking_turns(steps, rounds)}


def conditions(commit: str | None) -> str:
    import triton

    device = platform.machine() + ", Triton's interpreter"
    if DEVICE.type == "cuda":
        device = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    if commit is None:
        said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)  # fmt: skip
        commit = said.stdout.strip() or "unknown"
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return (
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}, triton {triton.__version__}; commit {commit}. "
        f"Others: {', '.join(versions) or 'none'}."
    )


def told(precision: str) -> None:
    """How exact products of float32 are, here and in JAX."""
    torch.set_float32_matmul_precision(precision)
    if "jax" in sys.modules or "--peers" in sys.argv:
        try:
            import jax
        except ImportError:
            return
        jax.config.update("jax_default_matmul_precision", {"highest": "highest", "high": "tensorfloat32"}[precision])


def compiled(works: dict[str, Work], precisions: list[str]) -> None:
    """Let other processes fill Triton's cache, one for each work and precision."""
    begun = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, "--compile", "--works", name, "--precisions", precision]
        )
        for name in works
        for precision in precisions
    ]
    for process in begun:
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Parity, times and bounds of the GPU kernels.")
    parser.add_argument("--toy", action="store_true", help="tiny shapes, also without a GPU")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--works", default=",".join(ROWS))
    parser.add_argument("--precisions", default="highest", help="of float32 products: highest, high (TF32), or both")
    parser.add_argument(
        "--peers", nargs="?", const=",".join(PEERS), default="", help="other libraries, those that are installed"
    )
    parser.add_argument("--members", default=",".join(map(str, MEMBERS)), help="numbers of networks in one pass")
    parser.add_argument("--parallel", action="store_true", help="compile with one process per work first")
    parser.add_argument("--compile", action="store_true", help="compile, and measure nothing")
    parser.add_argument("--commit", help="what the page says, where git does not know")
    parser.add_argument("--results", type=Path, help="a JSON-lines file of rows; those measured here already are kept")
    parser.add_argument("--output", type=Path, help="a Markdown page to write")
    parser.add_argument("--page-only", action="store_true", help="the page from the results, and measure nothing")
    options = parser.parse_args()
    if options.page_only:
        options.output.write_text(page(read(options.results)), encoding="utf-8")
        return
    if DEVICE.type != "cuda" and not options.toy:
        sys.exit(
            "no CUDA device here, and times of the interpreter mean nothing; run it on a machine with a GPU, or with --toy."
        )
    works = {name: WORKS[name] for name in options.works.split(",") if name}
    precisions = options.precisions.split(",")
    rounds, counts = options.rounds, [int(count) for count in options.members.split(",") if count]
    if options.toy:
        tiny = {"inputs": 12, "steps": 10, "batch": 2, "density": 0.3, "gain": 3.0}
        works = {
            "feed-forward": dataclasses.replace(WORKS["W1 512 dense"], **tiny, hidden=(8,)),
            "recurrent": dataclasses.replace(WORKS["W2 128x32"], **tiny, hidden=(8,), classes=3),
            "members": dataclasses.replace(WORKS["Wpop"], **tiny, hidden=(8,), classes=3, members=2),
        }
        rounds, counts = 1, []
    if options.compile:
        compiled_here(works, precisions)
        return
    if options.parallel:
        compiled(works, precisions)
    here = conditions(options.commit)
    rows = [] if options.results is None else read(options.results, here)

    def add(row: Row) -> None:
        rows.append(row | {"conditions": here})
        print(*lines_of(row), sep="\n", flush=True)
        if options.results is not None:
            options.results.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
        if options.output is not None:
            options.output.write_text(page(rows), encoding="utf-8")

    for precision in precisions:
        told(precision)
        rate = rates()
        for name, work in works.items():
            if not any((row.get("work"), row.get("precision")) == (name, precision) for row in rows):
                only = [peer for peer in options.peers.split(",") if peer] if work.members == 1 else []
                add({"work": name, "precision": precision, "rate": rate} | measured(work, rounds, rate, only))
    told("highest")
    for count in counts:
        if not any(row.get("members") == count for row in rows):
            add({"members": count} | population(count, rounds))


def compiled_here(works: dict[str, Work], precisions: list[str]) -> None:
    for precision in precisions:
        told(precision)
        for work in works.values():
            for how in list(CANDIDATES.values())[1:]:
                step_of(work, *how)()


def read(results: Path, here: str | None = None) -> list[Row]:
    """The rows of a file; only those of these conditions, where some are given: a page is of one device, its versions and a commit."""
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    return [row for row in map(json.loads, text.splitlines()) if here is None or row["conditions"] == here]


def said(times: Sequence[float]) -> str:
    found = [1e3 * t for t in times]
    return f"{statistics.median(found):.3g} ({min(found):.3g} - {max(found):.3g})"


def lines_of(row: Row) -> list[str]:
    """Of a row, what stands in each of the tables: ours, and the one beside others."""
    times = row["times"]
    middle = {name: statistics.median(t) for name, t in times.items()}
    if "members" in row:
        count = row["members"]
        pairs = (("one", "all"), ("one, recorded", "all, recorded"), ("one", "all, recorded"))
        ratios = [f"{count * middle[a] / middle[b]:.1f}" for a, b in pairs]
        return [f"| {count} | {' | '.join([*map(said, times.values()), *ratios])} |"]
    head = f"| {row['work']} | {row['precision']} |"
    different, again, all_of_them = row["different"]
    best = min(middle["triton"], middle["recorded"])
    ours = [
        *(said(times[name]) for name in CANDIDATES), *(f"{1e3 * bound:.3g}" for bound in row["bounds"]),
        f"{100 * max(row['bounds']) / best:.0f} %", " / ".join(f"{mb:.0f}" for mb in row["mb"]),
        f"{different} / {again} of {all_of_them}", f"{row['error']:.0e}",
    ]  # fmt: skip
    lines = [f"{head} {' | '.join(ours)} |"]
    libraries = {name: middle[name] for name in PEERS if name in middle and name != "torch LSTM"}
    if libraries:
        cells = [said(times[name]) if name in times else row["missing"].get(name, "") for name in ("eager", *PEERS)]
        fastest = min(libraries, key=lambda name: libraries[name])
        cells += [
            f"{fastest} {libraries[fastest] / middle['triton']:.1f}x",
            f"{libraries[fastest] / middle['recorded']:.1f}x",
        ]
        lines.append(f"{head} {' | '.join(cells)} |")
    return lines


def page(rows: Sequence[Row]) -> str:
    works = [row for row in rows if "work" in row]
    together = [row for row in rows if "members" in row]
    ceilings = {
        row[
            "precision"
        ]: f"{row['precision']}: a copy moves {row['rate'][0] / 1e12:.3g} TB/s, a product makes {row['rate'][1] / 1e12:.3g} TFLOP/s"
        for row in works
    }
    beside = [lines[1] for row in works if len(lines := lines_of(row)) > 1]
    lines = [
        "# Kernels on a GPU", "", "Written by `make gpu`. " + " ".join(dict.fromkeys(row["conditions"] for row in rows)),
        "; ".join(ceilings.values()) + ".", "",
        f"A training step (zero gradients, forward, loss, backward) in ms of wall time: median (least - greatest) over turns of {BURST} steps "
        "one behind the other. Everything is in float32 but for the columns that say bf16 (autocast). `precision` is torch's for products "
        "of float32: `highest` is exact, `high` is TF32. `recorded` plays the network's passes back as CUDA graphs (`snn.Captured`, "
        "`cuda_graphs: true`). Bounds are those of a float32 step: traffic, products, and a chain of two times T steps of "
        f"{1e6 * CHAIN:.3g} us where the layer is recurrent (an assumption); the share is the largest of them over the faster of ours. Peak "
        "memory is reference / triton, in MB. Spikes that differ: triton from the reference, recorded from triton; a sum that is rounded "
        "otherwise can put a potential on the other side of a threshold, all that follows then differs, and so do the gradients (largest "
        "difference over largest gradient).", "",
        f"| work | precision | {' | '.join(CANDIDATES)} | traffic | products | chain | share | MB | spikes that differ | gradients |",
        "|---" * (9 + len(CANDIDATES)) + "|",
        *(lines_of(row)[0] for row in works),
    ]  # fmt: skip
    if beside:
        lines += [
            "", "## Beside other libraries", "",
            "The same works, in the same turns. `eager` is a plain loop in PyTorch, tuned; `torch LSTM` (cuDNN) is there for scale, and in "
            "no ratio. The last columns say how many times the fastest library takes what `triton` and `recorded` take.", "",
            f"| work | precision | eager | {' | '.join(PEERS)} | fastest / triton | fastest / recorded |", "|---" * (5 + len(PEERS)) + "|",
            *beside,
        ]  # fmt: skip
    if together:
        lines += [
            "", "## Members", "",
            "Networks 700 -> 64 recurrent -> 20, T = 100, batch 32, precision highest: a step of one, and of all in one pass; and how many "
            "times longer the steps of all take one after the other.", "",
            "| members | one | one, recorded | all | all, recorded | one / all | recorded / recorded | one / all recorded |", "|---" * 8 + "|",
            *(lines_of(row)[0] for row in together),
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
