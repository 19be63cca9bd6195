"""What trials of a study cost when K of them train in one pass, beside trials by themselves.

    python -m benchmarks.members                     # K = 1, 4, 16, 64 on the digits: CPU time of an epoch of a trial
    python -m benchmarks.members --members 4 16 --width 32 --repeats 5
    python -m benchmarks.members --device cuda       # trials per hour on one GPU, K = 1, 4, 16, 64, 256, in at most 150 s
    python -m benchmarks.members --device cuda --processes 1 4 8 --members 1 16 64 --width 128
    python -m benchmarks.members --device cpu --toy  # the same on the CPU, in seconds, to see that it runs

Without ``--device``: CPU time, so that other work on the machine disturbs it less; of whole jobs as a worker does them, from the Trainer to
the files, less what jobs of one epoch cost: what remains is the epochs. Both ways are measured in turns, and the median of the repeats is
told. Every trial has its own surrogate, time constant, learning rate and regularizer; sizes are the same, or those of ``--widths``, in
turn. Results must be equal, or it stops.

With ``--device``: wall time of P processes with K trials each, as the workers of a study are, on one device that they share. Processes
are started and warmed up before. K = 1 is a process that trains one trial after the other by the Trainer. Set-up and files are
included. The last column is how far validation losses are from those of the same trials alone (a GPU's product of many matrices may round
otherwise than that of one).
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from snnlightning.study.grouping import Group
from snnlightning.study.worker import be_quiet

SURROGATES = ("superspike", "sigmoid", "triangle", "atan")
Losses = dict[tuple[int, int], float]


def job(number: int, epochs: int, widths: Sequence[int], recurrent: bool, accelerator: str = "cpu") -> dict[str, Any]:
    """One trial on the digits."""
    model = {
        "in_features": 64,
        "num_classes": 10,
        "hidden_sizes": [widths[number % len(widths)]],
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
        "trainer": {"max_epochs": epochs, "accelerator": accelerator},
    }
    return {
        "order": number, "number": number, "action": "train", "config": config, "until_epoch": epochs, "parent": None, "edits": [],
        "keep_state": False, "sweep": None, "ranking": [("val_accuracy", -1.0)], "profiles": [],
    }  # fmt: skip


def done(jobs: Sequence[dict[str, Any]], slots: int) -> list[dict[str, Any]]:
    """Some jobs in a group; their messages."""
    messages: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as directory:
        group, waiting = Group(slots, Path(directory), messages.append), list(jobs)
        while waiting or group.busy:
            while waiting and group.free:
                group.add(waiting.pop(0))
            if group.busy:
                group.step()
    if failed := [message for message in messages if message["type"] in ("failed", "note")]:
        raise SystemExit(f"a trial has not trained as it should: {failed[0]}")
    return messages


def cost(jobs: list[dict[str, Any]], slots: int) -> tuple[float, list[Any]]:
    """CPU seconds of some jobs, and the metrics of every epoch, by trial."""
    began = time.process_time()
    messages = done(jobs, slots)
    spent = time.process_time() - began
    epochs = [(m["number"], m["epoch"], m["metrics"]) for m in messages if m["type"] == "epoch"]
    return spent, sorted(epochs, key=lambda row: row[:2])


def measure(members: int, epochs: int, widths: Sequence[int], recurrent: bool) -> tuple[float, float, float]:
    """CPU seconds of one epoch of one trial, alone and together, and of all that is around the epochs of a trial alone."""
    short, long = ([job(k, n, widths, recurrent) for k in range(members)] for n in (1, 1 + epochs))
    # A slot more than there are jobs, so that a group of one is a group and not the Trainer.
    (alone_1, _), (alone_n, expected) = cost(short, 1), cost(long, 1)
    (group_1, _), (group_n, found) = cost(short, members + 1), cost(long, members + 1)
    if found != expected:
        raise SystemExit(f"K = {members}: the trials of a group are not those that train alone")
    count = members * epochs
    alone = (alone_n - alone_1) / count
    return alone, (group_n - group_1) / count, alone_1 / members - alone


def cpu_time(given: argparse.Namespace) -> None:
    """The table without ``--device``."""
    be_quiet()
    torch.set_num_threads(1)
    recurrent = not given.feedforward
    for width in set(given.widths):
        cost([job(0, 1, [width], recurrent)], 1)  # compiles, and loads the data
    print(f"{_what(given)}, 1 thread, torch {torch.__version__}")
    print("| K | alone (Trainer), CPU ms per epoch of a trial | in one pass | ratio |\n| --- | --- | --- | --- |")
    for members in given.members or (1, 4, 16, 64):
        rows = [measure(members, given.epochs, given.widths, recurrent) for _ in range(given.repeats)]
        alone, together, _ = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {members} | {1e3 * alone:.0f} | {1e3 * together:.0f} | {alone / together:.1f} |", flush=True)


def work(end: Connection, given: argparse.Namespace) -> None:
    """A process that trains what it is told, (slots, numbers of trials, epochs), until it is told nothing."""
    be_quiet()
    torch.set_num_threads(1)
    accelerator = "gpu" if given.device == "cuda" else "cpu"
    while (order := end.recv()) is not None:
        slots, numbers, epochs = order
        try:
            messages = done([job(k, epochs, given.widths, not given.feedforward, accelerator) for k in numbers], slots)
        except BaseException as error:
            end.send(error)
            raise
        end.send({(m["number"], m["epoch"]): m["metrics"]["val_loss"] for m in messages if m["type"] == "epoch"})


def together(ends: Sequence[Connection], members: int, epochs: int, rounds: int = 1) -> tuple[float, int, Losses]:
    """Wall seconds of ``rounds`` times K trials in each of some processes, how many trials that were, and their losses."""
    each = members * rounds
    began = time.perf_counter()
    for at, end in enumerate(ends):
        end.send((members, list(range(at * each, (at + 1) * each)), epochs))
    losses: Losses = {}
    for end in ends:
        answer = end.recv()
        if isinstance(answer, BaseException):
            raise SystemExit(f"a process has failed: {answer}")
        losses |= answer
    return time.perf_counter() - began, each * len(ends), losses


def throughput(given: argparse.Namespace) -> None:
    """The table with ``--device``."""
    began = time.perf_counter()
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    rows = [(p, k) for p in given.processes for k in given.members or (1, 4, 16, 64, 256)]
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(max(given.processes))]
    workers = [context.Process(target=work, args=(theirs, given), daemon=True) for _, theirs in pipes]
    for worker in workers:
        worker.start()
    ends = [mine for mine, _ in pipes]
    try:
        print(f"{name}, {_what(given)}, {given.epochs} epochs a trial, torch {torch.__version__}", flush=True)
        print(
            "| processes | K | trials | wall s | trials per hour | times one process, K = 1 | furthest loss |",
            flush=True,
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        together(ends, 2, 1)  # imports, compiles, loads the data
        together(ends[:1], 1, 1)
        alone = together(ends[:1], 1, given.epochs, rounds=4)
        first, known = alone[1] / alone[0], alone[2]
        fastest = 0.0
        for processes, members in rows:
            count = processes * members
            left = given.seconds - (time.perf_counter() - began)
            # Nobody knows how fast it is; no slower than what came before, as a rule.
            if fastest and count / fastest > left:
                print(
                    f"| {processes} | {members} | {count} | not run: about {count / fastest:.0f} s, {left:.0f} left |"
                )
                continue
            rounds = max(1, min(4, 64 // count)) if members == 1 else 1
            seconds, trials, losses = together(ends[:processes], members, given.epochs, rounds)
            far = max(abs(losses[at] - known[at]) / abs(known[at]) for at in known.keys() & losses.keys())
            fastest = max(fastest, trials / seconds)
            print(f"| {processes} | {members} | {trials} | {seconds:.1f} | {3600 * trials / seconds:.0f} | "
                  f"{trials / seconds / first:.1f} | {far:.1e} |", flush=True)  # fmt: skip
    finally:
        for end in ends:
            end.send(None)
        for worker in workers:
            worker.join(10.0)


def _what(given: argparse.Namespace) -> str:
    kind = "feed-forward" if given.feedforward else "recurrent"
    sizes = "/".join(map(str, given.widths))
    return f"digits, 64-{sizes}-10 CubaLIF, {kind}, T 20, batch 64, float32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--widths", "--width", type=int, nargs="+", default=[64])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--feedforward", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=150.0, help="rows that would take longer are left out")
    parser.add_argument("--toy", action="store_true")
    given = parser.parse_args()
    if given.toy:
        given.members, given.epochs, given.widths, given.processes, given.repeats = [1, 3], 1, [8], [1, 2], 1
    if given.device is None:
        cpu_time(given)
    else:
        throughput(given)


if __name__ == "__main__":
    main()
