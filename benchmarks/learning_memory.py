"""Peak memory of one training step over the length of the sequence, rule by rule.

    python benchmarks/learning_memory.py [--steps 50 200 800] [--write]

Every measurement is a process of its own (a fork, after a short step that warms up), and its figure is what the resident set grew
by at its highest, beyond weights and input. 64-64(recurrent)-10 in single precision, batch 64; RTRL with 16 hidden neurons.
``--write`` keeps the figures for docs/learning.md and draws docs/learning_memory.svg.
"""

import argparse
import json
import multiprocessing
import platform
import resource
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snnlightning.initializers import ScaledNormal
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.learning import (
    BPTT,
    DECOLLE,
    OTTT,
    RTRL,
    AbstractRule,
    EProp,
    EventProp,
    FeedbackAlignment,
    SparseGradient,
    SuperSpikeRule,
    TruncatedBPTT,
)
from snnlightning.learning._outcome import Objective
from snnlightning.losses import CrossEntropy
from snnlightning.neurons import LI, LIF, CubaLI, CubaLIF
from snnlightning.readouts import MeanOverTime, SpikeCount

HERE = Path(__file__).parent
FIGURES, PICTURE = HERE / "learning_memory.json", HERE.parent / "docs" / "learning_memory.svg"
BATCH, FEATURES, CLASSES = 64, 64, 10

RULES: dict[str, AbstractRule] = {
    "bptt": BPTT(),
    "feedback_alignment": FeedbackAlignment(),
    "sparse": SparseGradient(),
    "truncated_bptt": TruncatedBPTT(steps=25),
    "rtrl": RTRL(),
    "eprop": EProp(),
    "ottt": OTTT(),
    "decolle": DECOLLE(),
    "superspike": SuperSpikeRule(),
    "eventprop": EventProp(),
}


def network(rule: AbstractRule) -> SpikingNetwork:
    """What the rule trains, on the reference, which is what runs everywhere."""
    torch.manual_seed(0)
    hidden = 16 if isinstance(rule, RTRL) else 64
    stork, lif = isinstance(rule, EventProp), isinstance(rule, OTTT)
    neuron: Any = LIF() if lif else CubaLIF(ordering="stork", reset="zero") if stork else CubaLIF()
    last: Any = LI() if lif else CubaLI(ordering="stork") if stork else CubaLI()
    count = isinstance(rule, SuperSpikeRule)
    layers = [
        SpikingLayer(
            FEATURES, hidden, neuron=neuron, recurrent=True, backend="reference", initializer=ScaledNormal(2.0)
        ),
        SpikingLayer(hidden, CLASSES, neuron=neuron if count else last, backend="reference"),
    ]
    return SpikingNetwork(layers, SpikeCount() if count else MeanOverTime())


def train_step(rule: AbstractRule, net: SpikingNetwork, feedback: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    outcome = rule.step(net, feedback, x, y, Objective(CrossEntropy()))
    assert outcome.total is not None
    outcome.total.backward()
    net.zero_grad()


def peak_mib(name: str, steps: int) -> float:
    """Growth of the resident set over one step, in MiB, in this process."""
    rule = RULES[name]
    net = network(rule)
    feedback = rule.feedback_weights(net)
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(BATCH, steps, FEATURES, generator=generator) < 0.02).float()
    y = torch.arange(BATCH) % CLASSES
    train_step(rule, net, feedback, x[:, :5].contiguous(), y)
    before = resident_kib()
    train_step(rule, net, feedback, x, y)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def _child(name: str, steps: int, results: Any) -> None:
    torch.set_num_threads(1)
    results.put(peak_mib(name, steps))


def measured(name: str, steps: int) -> float:
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=_child, args=(name, steps, results))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{name} at {steps} steps ended with {process.exitcode}")
    found: float = results.get()
    return found


def lines(figures: dict[str, Any]) -> list[str]:
    """The figures as a part of a page."""
    steps = figures["steps"]
    table = [
        f"| `{name}` | " + " | ".join(f"{mib:.1f}" for mib in values) + f" | {values[-1] - values[0]:+.1f} |"
        for name, values in figures["mib"].items()
    ]
    return [
        "## Memory over time",
        "",
        f"What the resident set grew by in one training step, in MiB beyond weights and input: {figures['what']}; a process "
        f"each, the reference backend, torch {figures['torch']}. A rule that keeps no sequence stays where it is, give or take what "
        "the allocator still holds of the step that warmed up (some ten MiB).",
        "",
        "![Peak memory over T](learning_memory.svg)",
        "",
        "| rule | " + " | ".join(f"T = {t}" for t in steps) + " | first to last |",
        "|---|" + "---|" * (len(steps) + 1),
        *table,
    ]


COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")


def picture(figures: dict[str, Any]) -> str:
    """SVG, both axes logarithmic."""
    steps, mib = figures["steps"], figures["mib"]
    log = torch.tensor([[max(v, 0.1) for v in values] for values in mib.values()]).log10()
    low, high = float(log.min().floor()), float(log.max().ceil())
    t = torch.tensor(steps, dtype=torch.float64).log10()

    def x(k: int) -> float:
        return 60.0 + 340.0 * float((t[k] - t[0]) / (t[-1] - t[0]))

    def y(value: float) -> float:
        return 300.0 - 270.0 * (value - low) / (high - low)

    body = [f'<text x="{x(k):.0f}" y="320" text-anchor="middle">{s}</text>' for k, s in enumerate(steps)]
    for power in range(int(low), int(high) + 1):
        body.append(f'<line x1="60" x2="400" y1="{y(power):.1f}" y2="{y(power):.1f}" stroke="#e0e0e0"/>')
        body.append(f'<text x="54" y="{y(power) + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for k, (name, colour) in enumerate(zip(mib, COLOURS, strict=True)):
        points = " ".join(f"{x(j):.1f},{y(float(log[k, j])):.1f}" for j in range(len(steps)))
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body.append(f'<text x="430" y="{44 + 20 * k}" fill="{colour}">{name}</text>')
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="350" font-family="sans-serif" font-size="12">',
            '<rect width="600" height="350" fill="white"/>',
            *body,
            '<text x="230" y="342" text-anchor="middle">steps T</text>',
            '<text x="60" y="18">peak memory of a training step, MiB</text>',
            "</svg>",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mib: dict[str, list[float]] = {}
    for name in RULES:
        mib[name] = [round(measured(name, steps), 1) for steps in arguments.steps]
        print(f"{name:22s}", *(f"{value:9.1f}" for value in mib[name]), flush=True)
    figures = {
        "what": f"{FEATURES}-64(recurrent)-{CLASSES}, batch {BATCH}, single precision (`rtrl`: 16 hidden)",
        "steps": arguments.steps,
        "mib": mib,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if arguments.write:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        PICTURE.write_text(picture(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
