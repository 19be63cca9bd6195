"""What the package costs on top of the work itself: importing it, counting operations, the Trainer around a step.

    python benchmarks/overhead.py [--repeats 9] [--only counting]

Prints medians with the spread, interleaved, one thread, with versions; nothing is asserted. Compare ratios: absolute times
are those of the machine.
"""

import argparse
import logging
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


def counting(repeats: int) -> None:
    """700-128(recurrent)-20, T = 100, batches of 64, with 1.5 % input density and hidden spikes in a tenth of the steps, with
    and without counts (CPU time), whole and with a tenth of the weights pruned: a pass against the same pass of the same
    network. A pass has 2,304 samples, which is the test set of the Spiking Heidelberg Digits (2,264) in full batches; what it
    costs beside its batches, most of it Lightning's for nine logged values, is measured with one sample. Counts are plain
    NumPy in the first two tables, before anything is compiled, and by compiled code in the others."""
    x, y = (torch.rand(1024, 100, 700) < 0.015).float(), torch.randint(20, (1024,))
    dense_batches = [(x[k : k + 64], y[k : k + 64]) for k in range(0, 1024, 64)]
    listed = [(snn.Events.from_dense(x.clone()), y) for x, y in dense_batches]
    rows = [("reference", "plain"), ("reference", "compiled"), ("numba", "compiled")]
    for backend, way in rows:
        if way == "compiled":
            _forward(_classifier(snn.SpikingClassifier, "numba", True).eval(), listed[0][0], snn.SynOps())()
        for name, batches in (("dense input", dense_batches), ("events", listed)):
            _counted_passes(f"{backend}, {name}, counts {way}", backend, batches, repeats)


class _Uncounted(snn.SpikingClassifier):
    def _count(self, stage: object, out: object) -> None:
        """Nothing."""

    def _log_counts(self, stage: object) -> None:
        """Nothing."""


def _counted_passes(title: str, backend: str, batches: list[tuple[Any, Tensor]], repeats: int) -> None:
    """Forward alone, a pass of all batches and one of a single sample: with counts and without, interleaved."""
    loaders = {
        "pass": [batches[k % len(batches)] for k in range(36)],
        "one sample": [(batches[0][0][:1], batches[0][1][:1])],
    }
    candidates: dict[str, Callable[[], object]] = {}
    for network, pruned in (("whole", False), ("pruned", True)):
        for counted, cls in (("", _Uncounted), (" counted", snn.SpikingClassifier)):
            model = _classifier(cls, backend, pruned).eval()
            metric = snn.SynOps() if counted else None
            candidates[f"{network}: batch{counted}"] = _forward(model, batches[0][0], metric)
            for name, of_loader in loaders.items():
                # Batches that are ready, so that making them does not drown the rest.
                loader = DataLoader(_Ready(of_loader), batch_size=None)
                candidates[f"{network}: {name}{counted}"] = _validate(model, loader)
    times = interleaved(candidates, repeats, time.process_time)
    print(f"\n{title}: CPU time, ms")
    for network in ("whole", "pruned"):
        for name in ("batch", "one sample", "pass"):
            without, with_counts = (times[f"{network}: {name}{counted}"] for counted in ("", " counted"))
            base = statistics.median(without)
            more = statistics.median(b - a for a, b in zip(without, with_counts, strict=True))
            print(f"  {network:6s} {name:10s} {base:8.2f}  counting {more:+7.2f}  {100 * more / base:+6.1f} %")


def _validate(module: snn.SpikingClassifier, loader: DataLoader[Any]) -> Callable[[], object]:
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


def _forward(
    model: snn.SpikingClassifier, x: Tensor | snn.Events, metric: snn.SynOps | None = None
) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode():
            out = model(x)
            if metric is not None:
                metric.update(out)

    return run


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
    parts = {"imports": imports, "counting": counting, "trainer": trainer}
    parser.add_argument("--only", choices=[*parts], nargs="*", default=[*parts])
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
