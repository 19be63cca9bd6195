"""Run searches: a line of results.jsonl per (task, arm, seed); an interrupted benchmark goes on where it stopped.

    python -m benchmarks.search.run --task digits --seeds 10 --budget 640 --epochs 16 --processes 2

Every search is a study of the package (``Study.run``) in this process, on one thread, in a directory that is thrown away.
After it, every network that was ever on the front of the validation set is measured on the test set, so that the test
hypervolume of the front that was known after every epoch can be drawn. Nothing of that is seen by the search.
"""

import argparse
import concurrent.futures
import itertools
import json
import logging
import math
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
import torch

from benchmarks.search.pruned import from_registry, pruned_search
from benchmarks.search.tasks import ARMS, CODE, PRUNED, TASKS, study
from snnlightning.events import dense
from snnlightning.pareto import hypervolume
from snnlightning.study import Study, StudyConfig
from snnlightning.study.files import CHECKPOINT, read_yaml
from snnlightning.study.front import FrontPoint, front_points
from snnlightning.study.loading import load_network
from snnlightning.study.sweep import prune
from snnlightning.study.trial import data_module
from snnlightning.study.versions import versions
from snnlightning.study.worker import be_quiet

RESULTS = Path(__file__).parent / "results.jsonl"


def search(task: str, arm: str, seed: int, budget: int, epochs: int, registry: Path | None = None) -> dict[str, Any]:
    """One search and what it knew after every training."""
    torch.set_num_threads(1)
    be_quiet()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    began, cpu = time.perf_counter(), time.process_time()
    config = StudyConfig.parse(study(task, arm, seed, budget, epochs))
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "study"
        if arm == PRUNED:
            rows = pruned_search(config, directory, from_registry(registry))
        else:
            one = Study(config, directory)
            one.run(workers=0)
            rows = one.rows()
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        look = OnTest(directory)
        curve, spent, front = [], 0.0, []
        for k, row in enumerate(rows):  # by number: as they were begun
            spent += row.charged
            before, front = front, front_points(rows[: k + 1], config.objectives)
            if front != before:
                val = [config.costs(point.values) for point in front]
                test = [config.costs(look(point)) for point in front]
                curve.append([round(spent, 3), *(round(v, 6) for v in _volumes(task, val, test))])
    return {
        "task": task,
        "arm": arm,
        "seed": seed,
        "budget": budget,
        "epochs": epochs,
        "spent": round(spent, 3),
        "trials": len(rows),
        "whole": sum(row.epochs >= epochs for row in rows),
        "inherited": sum(row.kind == "inherited" for row in rows),
        "failed": sum(row.state == "failed" for row in rows),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "curve": curve,
        "front": [
            {"kind": point.kind, "validation": _short(point.values), "test": _short(look(point))}
            for point in front
            if all(cost < limit for cost, limit in zip(config.costs(point.values), _corners(task)[0], strict=True))
        ],
        "versions": versions(),
        "code": CODE,
    }


class OnTest:
    """What networks reach on the test set, for every stop step in one pass.

    The first t steps of a layer cost what its synapses pass on in them, so one running sum gives all stops; the counts are
    those of ``SynOps``, whole numbers, as long as everything that is sent is a spike (it is, for both tasks).
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._curves: dict[tuple[int, float], tuple[list[float], list[float]]] = {}

    def __call__(self, point: FrontPoint) -> dict[str, float]:
        level = 0.0 if point.swept is None else point.swept.prune
        key = (point.row.number, level)
        if key not in self._curves:
            self._curves[key] = self._curve(*key)
        right, synops = self._curves[key]
        step = len(right) if point.swept is None else point.swept.stop_step
        return {"accuracy": right[step - 1], "synops": synops[step - 1]}

    def _curve(self, number: int, level: float) -> tuple[list[float], list[float]]:
        home = self.directory / "trials" / str(number)
        trial = read_yaml(home / "config.yaml")
        model = load_network(home / CHECKPOINT, trial).eval()
        prune(model, level)
        data = data_module(trial["data"])
        right, synops, samples = 0.0, 0.0, 0
        with torch.no_grad():
            for x, y in data.test_dataloader():
                out = model(x)
                last = out.records[-1].output
                answers = [model.network.readout(last[:, : t + 1]).argmax(-1) for t in range(last.shape[1])]
                right = right + torch.stack([(answer == y).sum() for answer in answers]).double()
                for record in out.records:
                    for connection in record.connections:
                        leaving = (connection.weight != 0.0).sum(0).double()
                        passed = (dense(connection.activity).double() @ leaving).sum(0)
                        synops = synops + passed.cumsum(0)
                samples += len(y)
        return (right / samples).tolist(), (synops / samples).tolist()


def _volumes(task: str, val: list[list[float]], test: list[list[float]]) -> list[float]:
    """Hypervolume for both reference points, on validation and on test."""
    return [hypervolume(costs, corner) for corner in _corners(task) for costs in (val, test)]


def _corners(task: str) -> list[tuple[float, float]]:
    """Both reference points, as costs."""
    references = TASKS[task]["references"]
    return [(-references["accuracy"][k], math.log10(references["synops"][k])) for k in (0, 1)]


def _short(values: dict[str, float]) -> dict[str, float]:
    """In a line of results: no more digits than a thousand samples tell apart."""
    return {"accuracy": round(values["accuracy"], 5), "synops": round(values["synops"], 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(TASKS), required=True)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=640, help="epochs of a search")
    parser.add_argument("--epochs", type=int, default=16, help="of a full training")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no search after so many")
    parser.add_argument(
        "--registry", type=Path, help="folder with the code of OptunaHub's registry; it is fetched from GitHub without"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    done = set()
    if options.results.exists():
        for line in options.results.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            done.add((one["task"], one["arm"], one["seed"], one["budget"], one["epochs"]))
    wanted = [
        (options.task, arm, seed, options.budget, options.epochs)
        for seed, arm in itertools.product(range(options.seeds), options.arms)
        if (options.task, arm, seed, options.budget, options.epochs) not in done
    ]
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # for the processes that are started below
    until = time.monotonic() + 60 * options.minutes
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        waiting: set[concurrent.futures.Future[dict[str, Any]]] = set()
        while wanted or waiting:
            while wanted and len(waiting) < options.processes and time.monotonic() < until:
                waiting.add(pool.submit(search, *wanted.pop(0), options.registry))
            if not waiting:
                break
            ended, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                result = future.result()
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
                volumes = ", ".join(f"{value:.3f}" for value in result["curve"][-1][1:]) if result["curve"] else "-"
                print(
                    f"{result['task']} {result['arm']} {result['seed']}: {result['trials']} trials, {volumes}, "
                    f"{result['cpu_seconds']:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
