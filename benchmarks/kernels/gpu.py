"""The GPU kernels: parity with the reference, time of a training step, peak memory, and what the device allows at best.

    python benchmarks/kernels/gpu.py [--output docs/gpu.md]     # needs a CUDA device
    python benchmarks/kernels/gpu.py --toy                      # tiny shapes, on the CPU under Triton's interpreter: figures mean nothing

Works are those of ``works.py``. Candidates take turns in every round; times are medians, with the device waited for. The bounds of a row
come from two numbers measured in the same run: bytes per second of a copy, and operations per second of a large product.
"""

import argparse
import dataclasses
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

TOY = "--toy" in sys.argv
if TOY and not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before the kernels are imported

from own import network  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from works import WORKS, Work  # noqa: E402

import snnlightning as snn  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ROWS = ("W1 512 dense", "W1 4096 dense", "W2 128x256", "W2 256x256", "W2 512x256", "W3", "Wpop")
CANDIDATES = {
    "reference": ("reference", None),
    "triton": ("triton", None),
    "triton, autocast": ("triton", torch.bfloat16),
}
Result = tuple[Tensor, list[Tensor]]


def step_of(work: Work, backend: str, half: torch.dtype | None) -> Callable[[], Result]:
    """A training step on the device: spikes of the first layer, and the gradients."""
    nets = [network(work, "triangle", backend).to(DEVICE) for _ in range(work.members)]
    model: Any = nets[0] if work.members == 1 else snn.Members(nets).to(DEVICE)
    x, y = (t.to(DEVICE) for t in work.data())
    labels = y.repeat(work.members)

    def step() -> Result:
        model.zero_grad()
        with torch.autocast(DEVICE.type, dtype=half, enabled=half is not None):
            out = model(x)
            loss = F.cross_entropy(out.logits.flatten(0, -2), labels)
        loss.backward()
        records = out.records if work.members == 1 else out.members[0].records
        return records[0].output.detach(), [p.grad for p in model.parameters()]

    return step


def waited() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def seconds(step: Callable[[], Any]) -> float:
    waited()
    begin = time.perf_counter()
    step()
    waited()
    return time.perf_counter() - begin


def peak_mb(step: Callable[[], Any]) -> float:
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


def bounds(work: Work, bandwidth: float, operations: float) -> tuple[float, float]:
    """Seconds that the traffic and the products of a float32 step take at least; the chain of 2 T steps is not in it.

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
    return 4 * traffic / bandwidth, 2 * macs / operations


def measured(work: Work, rounds: int, rate: tuple[float, float]) -> list[str]:
    """One row of the table."""
    steps = {name: step_of(work, *how) for name, how in CANDIDATES.items()}
    results = {name: step() for name, step in steps.items()}
    spikes, gradients = results["reference"]
    mine, own = results["triton"]
    different = int((mine != spikes).sum())
    error = max(
        float((a - b).abs().max() / b.abs().max().clamp_min(1e-30)) for a, b in zip(own, gradients, strict=True)
    )
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step))
    middle = {name: statistics.median(t) for name, t in times.items()}
    memory = {name: peak_mb(step) for name, step in steps.items()}
    by_traffic, by_products = bounds(work, *rate)
    return [
        *(f"{1e3 * middle[name]:.3g} ({1e3 * min(t):.3g} - {1e3 * max(t):.3g})" for name, t in times.items()),
        f"{1e3 * by_traffic:.3g}", f"{1e3 * by_products:.3g}", f"{100 * max(by_traffic, by_products) / middle['triton']:.0f} %",
        f"{memory['reference']:.0f} / {memory['triton']:.0f}", f"{different} of {spikes.numel()}", f"{error:.0e}",
    ]  # fmt: skip


def conditions() -> str:
    import triton

    device = platform.machine() + ", Triton's interpreter"
    if DEVICE.type == "cuda":
        device = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)  # fmt: skip
    commit = said.stdout.strip() or "unknown"
    return (
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}, triton {triton.__version__}; commit {commit}; "
        f"float32 products: {torch.get_float32_matmul_precision()}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Parity, times and bounds of the GPU kernels.")
    parser.add_argument("--toy", action="store_true", help="tiny shapes, also without a GPU")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, help="a Markdown page to write")
    options = parser.parse_args()
    if DEVICE.type != "cuda" and not options.toy:
        sys.exit(
            "no CUDA device here, and times of the interpreter mean nothing; run it on a machine with a GPU, or with --toy."
        )
    works = {name: WORKS[name] for name in ROWS} | {"Wpop 64": dataclasses.replace(WORKS["Wpop"], members=64)}
    if options.toy:
        tiny = {"inputs": 12, "steps": 10, "batch": 2, "density": 0.3, "gain": 3.0}
        works = {
            "feed-forward": dataclasses.replace(WORKS["W1 512 dense"], **tiny, hidden=(8,)),
            "recurrent": dataclasses.replace(WORKS["W2 128x32"], **tiny, hidden=(8,), classes=3),
            "members": dataclasses.replace(WORKS["Wpop"], **tiny, hidden=(8,), classes=3, members=2),
        }
    bandwidth, operations = rates()
    names = " | ".join(f"{name}, ms" for name in CANDIDATES)
    lines = [
        "# Kernels on a GPU", "",
        conditions(), f"A copy moves {bandwidth / 1e12:.3g} TB/s, a product makes {operations / 1e12:.3g} TFLOP/s.", "",
        "A training step, median (least - greatest); bounds are those of a float32 step; peak memory is reference / triton.", "",
        f"| work | {names} | traffic at least, ms | products at least, ms | larger bound / triton | MB | spikes that differ | gradients |",
        "|---" * (7 + len(CANDIDATES)) + "|",
    ]  # fmt: skip
    print("\n".join(lines), flush=True)
    for name, work in works.items():
        lines.append(f"| {name} | {' | '.join(measured(work, 1 if options.toy else options.rounds, (bandwidth, operations)))} |")  # fmt: skip
        print(lines[-1], flush=True)
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
