"""What the package costs on top of the work itself: importing it, counting operations, the Trainer around a step.

    python benchmarks/overhead.py [--repeats 9]

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

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

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
    for name, values in times.items():
        middle = statistics.median(values)
        spread = f"{min(values):.1f} - {max(values):.1f}"
        print(f"  {name:42s} {middle:9.2f} ms  ({spread})  {middle / reference:6.3f} x  {middle - reference:+8.2f} ms")


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
    """700-128(recurrent)-20, T = 100, batch 64, with 1.5 % input density, with and without counts; a tenth of the weights
    pruned makes the count of updates with input as dear as a forward product."""
    torch.manual_seed(0)
    model = snn.SpikingClassifier(in_features=700, num_classes=20, hidden_sizes=[128], init_gain=0.2).eval()
    x, y = (torch.rand(256, 100, 700) < 0.015).float(), torch.randint(20, (256,))
    batch, metric = x[:64], snn.SynOps()

    def forward() -> object:
        with torch.no_grad():
            return model(batch)

    def forward_and_count() -> None:
        metric.update(forward())

    times = interleaved({"forward": forward, "forward + SynOps.update": forward_and_count}, repeats)
    show("counting, 700-128(rec)-20, T 100, batch 64", times, "forward")

    class Uncounted(snn.SpikingClassifier):
        def _count(self, stage: object, out: object) -> None:
            """Nothing."""

        def _log_counts(self, stage: object) -> None:
            """Nothing."""

    plain = Uncounted(in_features=700, num_classes=20, hidden_sizes=[128], init_gain=0.2)
    pruned = snn.SpikingClassifier(in_features=700, num_classes=20, hidden_sizes=[128], init_gain=0.2)
    pruned.load_state_dict(model.state_dict())
    with torch.no_grad():
        for weight in pruned.parameters():
            weight.mul_(torch.rand_like(weight) > 0.1)
    loader = DataLoader(TensorDataset(x, y), batch_size=64)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }

    def validate(module: snn.SpikingClassifier) -> Callable[[], object]:
        return lambda: L.Trainer(accelerator="cpu", **quiet).validate(module, loader, verbose=False)

    candidates = {
        "validate, nothing counted": validate(plain),
        "validate": validate(model),
        "validate, a tenth of the weights zero": validate(pruned),
    }
    show("an evaluation pass of 256 samples", interleaved(candidates, repeats), "validate, nothing counted")


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
        quiet = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        L.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(make(cls), loader)

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
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    packages = ("snnlightning", "torch", "lightning", "torchmetrics")
    print(platform.machine(), platform.python_version(), *(f"{name} {version(name)}" for name in packages))
    imports(repeats)
    counting(repeats)
    trainer(repeats)


if __name__ == "__main__":
    main()
