"""What the package costs on top of the work itself: importing it, counting operations, the Trainer around a step.

    python benchmarks/overhead.py [--repeats 9] [--only counting]

Prints medians with the spread, interleaved, one thread, with versions; nothing is asserted. Compare ratios: absolute times
are those of the machine.
"""

import argparse
import logging
import math
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import snnlightning as snn
from snnlightning.metrics import _loops
from snnlightning.neurons._cpp import building
from snnlightning.neurons._numba import compiling


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def interleaved(
    candidates: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Milliseconds of each candidate, one round after the other, the first round thrown away."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for k in range(repeats + 1):
        for name, work in candidates.items():
            elapsed = timed(work, clock)
            if k:
                times[name].append(1e3 * elapsed)
    return times


def show(title: str, times: dict[str, list[float]], base: str) -> None:
    print(f"\n{title}")
    reference = statistics.median(times[base])
    width = max(map(len, times))
    for name, values in times.items():
        middle = statistics.median(values)
        spread = f"{min(values):.1f} - {max(values):.1f}"
        print(
            f"  {name:{width}s} {middle:9.2f} ms  ({spread})  {middle / reference:6.3f} x  {middle - reference:+8.2f} ms"
        )


def python(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def imports(repeats: int) -> None:
    candidates = {
        "import torch": python("import torch"),
        "import torch, snnlightning": python("import torch, snnlightning"),
        "import torch, SpikingLayer": python("import torch; from snnlightning import SpikingLayer"),
        "import torch, SpikingClassifier (Lightning)": python(
            "import torch; from snnlightning import SpikingClassifier"
        ),
    }
    show("import, a process each", interleaved(candidates, repeats), "import torch")


BATCHES = 36
"""Of 64 samples: the test set of the Spiking Heidelberg Digits has 2,264."""


def counting(repeats: int, numpy_alone: bool = False) -> None:
    """What counts cost in an evaluation pass of 700-128(recurrent)-20, T = 100, 36 batches of 64, 1.5 % input density, hidden
    spikes in a tenth of the steps; whole, and with a tenth of the weights pruned.

    CPU time. What a batch costs to count is timed within the pass, against everything else of the same pass, so that other work
    on the machine slows both. What comes once per pass (most of it Lightning's, for nine logged values) is the difference of
    two passes of one sample, with counts and without. The first rows are those of a new process, which counts with NumPy until it
    has counted for long enough to load what is there; in the others layers brought machine code along.
    """
    if numpy_alone:
        _loops.patience = _loops.Patience(math.inf, math.inf)
    x, y = (torch.rand(1024, 100, 700) < 0.015).float(), torch.randint(20, (1024,))
    dense_batches = [(x[k : k + 64], y[k : k + 64]) for k in range(0, 1024, 64)]
    listed = [(snn.Events.from_dense(x.clone()), y) for x, y in dense_batches]
    print(
        "\n| layers | counts | input | weights | ms of a batch | counting it | once per pass, ms | in a pass of 2,304 |"
    )
    print("| --- " * 8 + "|")
    for backend, way in (("reference", "new"), ("cpp", "C++"), ("reference", "Numba"), ("numba", "Numba")):
        if way != "new":  # a layer's loops bring those of the counts along
            _validate(_classifier(snn.SpikingClassifier, "cpp" if way == "C++" else "numba", True), listed[:1])()
        for name, batches in (("dense", dense_batches), ("events", listed)):
            for weights, pruned in (("whole", False), ("pruned", True)):
                row = _counted_pass(backend, [batches[k % 16] for k in range(BATCHES)], pruned, repeats)
                by = _taken() if way == "new" else way
                print(f"| {backend} | {by} | {name} | {weights} | {row} |", flush=True)
        if numpy_alone:
            return


def _taken() -> str:
    """What a process that began with NumPy counts with now."""
    return "Numba, after NumPy" if compiling.in_use() else "C++, after NumPy" if building.in_use() else "NumPy"


class _Timed(snn.SpikingClassifier):
    """Notes how long each batch took to count."""

    spent: list[float]

    def _count(self, stage: Any, out: Any) -> None:
        self.spent.append(timed(lambda: super(_Timed, self)._count(stage, out), time.process_time))


class _Uncounted(snn.SpikingClassifier):
    def _count(self, stage: object, out: object) -> None:
        """Nothing."""

    def _log_counts(self, stage: object) -> None:
        """Nothing."""


def _counted_pass(backend: str, batches: list[tuple[Any, Tensor]], pruned: bool, repeats: int) -> str:
    """A row of medians: a batch without counts, counting it, once per pass, and the share of all of it in a pass."""
    one = [(batches[0][0][:1], batches[0][1][:1])]
    model = _classifier(_Timed, backend, pruned)
    model.spent = []
    candidates = {
        "pass": _validate(model, batches),
        "one": _validate(_classifier(snn.SpikingClassifier, backend, pruned), one),
        "one, uncounted": _validate(_classifier(_Uncounted, backend, pruned), one),
    }
    found = []
    for k in range(repeats + 1):
        model.spent.clear()
        ms = {name: 1e3 * timed(work, time.process_time) for name, work in candidates.items()}
        count, once = 1e3 * statistics.median(model.spent), ms["one"] - ms["one, uncounted"]
        if k:  # the first round warms up
            found.append(((ms["pass"] - 1e3 * sum(model.spent) - once) / len(batches), count, once))
    alone, count, once = (statistics.median(column) for column in zip(*found, strict=True))
    share = statistics.median((len(batches) * c + o) / (len(batches) * a) for a, c, o in found)
    return f"{alone:.2f} | {count:.2f} ms, {count / alone:.1%} | {once:.1f} | {share:.1%}"


def _validate(module: snn.SpikingClassifier, batches: list[tuple[Any, Tensor]]) -> Callable[[], object]:
    """Of batches that are ready, so that making them does not drown the rest."""
    loader = DataLoader(_Ready(batches), batch_size=None)
    return lambda: L.Trainer(accelerator="cpu", **QUIET).validate(module, loader, verbose=False)


QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def _classifier(cls: type[snn.SpikingClassifier], backend: str, pruned: bool) -> snn.SpikingClassifier:
    torch.manual_seed(0)
    model = cls(in_features=700, num_classes=20, hidden_sizes=[128], init_gain=0.35)
    for module in model.modules():
        if isinstance(module, snn.SpikingLayer):
            module.backend = backend
    if pruned:
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(torch.rand_like(weight) > 0.1)
    return model


class _Ready(Dataset[Any]):
    """Batches as they are."""

    def __init__(self, batches: list[tuple[Any, Tensor]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, at: int) -> tuple[Any, Tensor]:
        return self.batches[at]


def trainer(repeats: int) -> None:
    """100 training steps of 64-64(recurrent)-10, T = 20, batch 64: plain loop, Trainer alone, Trainer and what we log."""
    x, y = (torch.rand(6400, 20, 64) < 0.07).float(), torch.randint(10, (6400,))
    loader = DataLoader(_Batches(x, y), batch_size=64, collate_fn=lambda batch: batch)

    class Bare(snn.SpikingClassifier):
        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            """The step that a user would write who wants nothing logged."""
            return self.loss(self.network(batch[0]).logits, batch[1])

    def make(cls: type[snn.SpikingClassifier]) -> snn.SpikingClassifier:
        torch.manual_seed(0)
        return cls(in_features=64, num_classes=10, hidden_sizes=[64], readout="mean_over_time")

    def plain() -> None:
        model = make(snn.SpikingClassifier)
        optimizer = model.configure_optimizers()
        for batch, target in loader:
            loss = model.loss(model(batch).logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def fit(cls: type[snn.SpikingClassifier]) -> None:
        L.Trainer(max_epochs=1, accelerator="cpu", **QUIET).fit(make(cls), loader)

    candidates = {
        "plain loop": plain,
        "Trainer, nothing logged": lambda: fit(Bare),
        "Trainer": lambda: fit(snn.SpikingClassifier),
    }
    times = interleaved(candidates, repeats, time.process_time)
    show("training (CPU time), 64-64(rec)-10, T 20, batch 64, 100 steps", times, "plain loop")
    share = [ours - bare for ours, bare in zip(times["Trainer"], times["Trainer, nothing logged"], strict=True)]
    print(f"  our share of a step: {statistics.median(share) / 100:.2f} ms")


class _Batches(Dataset[tuple[Tensor, Tensor]]):
    """Batches by one gather, so that the loader does not drown the rest."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitems__(self, index: list[int]) -> tuple[Tensor, Tensor]:
        at = torch.as_tensor(index)
        return self.x[at], self.y[at]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=9)
    parts = {
        "imports": imports,
        "counting": counting,
        "counting-numpy": lambda repeats: counting(repeats, numpy_alone=True),
        "trainer": trainer,
    }
    usual = [part for part in parts if part != "counting-numpy"]  # a machine with neither a compiler nor Numba
    parser.add_argument("--only", choices=[*parts], nargs="*", default=usual)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    packages = ("torch", "lightning", "torchmetrics")
    print(
        platform.machine(),
        platform.python_version(),
        f"snnlightning {snn.__version__}",
        *(f"{name} {version(name)}" for name in packages),
    )
    for part in given.only:
        parts[part](given.repeats)


if __name__ == "__main__":
    main()
