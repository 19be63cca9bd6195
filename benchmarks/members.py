"""What an epoch of a trial costs when K trials of a study train in one pass, beside K trials one after the other.

    python -m benchmarks.members                     # K = 1, 4, 16, 64 on the digits, a table
    python -m benchmarks.members --members 4 16 --width 32 --repeats 5

CPU time, so that other work on the machine disturbs it less; of whole jobs as a worker does them, from the Trainer to the files, less
what jobs of one epoch cost: what remains is the epochs. Both ways are measured in turns, and the median of the repeats is told. Every
trial has its own surrogate, time constant, learning rate and regularizer; sizes are the same. Results must be equal, or it stops.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from snnlightning.study.grouping import Group
from snnlightning.study.worker import be_quiet

SURROGATES = ("superspike", "sigmoid", "triangle", "atan")


def job(number: int, epochs: int, width: int, recurrent: bool) -> dict[str, Any]:
    """One trial on the digits."""
    model = {
        "in_features": 64,
        "num_classes": 10,
        "hidden_sizes": [width],
        "neuron": "cuba_lif",
        "recurrent": recurrent,
        "tau_mem_ms": 6.0 + number % 7,
        "surrogate": SURROGATES[number % len(SURROGATES)],
        "surrogate_width": 0.2 + 0.05 * (number % 5),
        "learning_rate": 0.002 * (1 + number % 4),
        "regularizers": {"population_upper_bound": {"strength": 0.1 * (1 + number % 3)}},
    }
    config = {
        "number": number,
        "seed": number,
        "model": {"class_path": "SpikingClassifier", "init_args": model},
        "data": {"class_path": "DigitsDataModule", "init_args": {"steps": 20, "batch_size": 64}},
        "trainer": {"max_epochs": epochs, "accelerator": "cpu"},
    }
    return {
        "order": number, "number": number, "action": "train", "config": config, "until_epoch": epochs, "parent": None, "edits": [],
        "keep_state": False, "sweep": None, "ranking": [("val_accuracy", -1.0)], "profiles": [],
    }  # fmt: skip


def cost(jobs: list[dict[str, Any]], slots: int) -> tuple[float, list[Any]]:
    """CPU seconds of some jobs, and the metrics of every epoch, by trial."""
    messages: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        began = time.process_time()
        group = Group(slots, Path(directory), messages.append)
        for one in jobs:
            group.add(one)
        while group.busy:
            group.step()
        spent = time.process_time() - began
    epochs = [(m["number"], m["epoch"], m["metrics"]) for m in messages if m["type"] == "epoch"]
    return spent, sorted(epochs, key=lambda row: row[:2])


def measure(members: int, epochs: int, width: int, recurrent: bool) -> tuple[float, float, float]:
    """CPU seconds of one epoch of one trial, alone and together, and of all that is around the epochs of a trial alone."""
    short, long = ([job(k, n, width, recurrent) for k in range(members)] for n in (1, 1 + epochs))
    # A slot more than there are jobs, so that a group of one is a group and not the Trainer.
    (alone_1, _), (alone_n, expected) = cost(short, 1), cost(long, 1)
    (group_1, _), (group_n, found) = cost(short, members + 1), cost(long, members + 1)
    if found != expected:
        raise SystemExit(f"K = {members}: the trials of a group are not those that train alone")
    count = members * epochs
    alone = (alone_n - alone_1) / count
    return alone, (group_n - group_1) / count, alone_1 / members - alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--feedforward", action="store_true")
    given = parser.parse_args()
    be_quiet()
    torch.set_num_threads(1)
    cost([job(0, 1, given.width, not given.feedforward)], 1)  # compiles, and loads the data
    print(f"digits, 64-{given.width}-10 CubaLIF, {'feed-forward' if given.feedforward else 'recurrent'}, T 20, batch 64, "
          f"1 thread, float32, torch {torch.__version__}")  # fmt: skip
    print("| K | alone (Trainer), CPU ms per epoch of a trial | in one pass | ratio |\n| --- | --- | --- | --- |")
    for members in given.members:
        rows = [measure(members, given.epochs, given.width, not given.feedforward) for _ in range(given.repeats)]
        alone, together, _ = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {members} | {1e3 * alone:.0f} | {1e3 * together:.0f} | {alone / together:.1f} |", flush=True)


if __name__ == "__main__":
    main()
