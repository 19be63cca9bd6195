"""Train one recipe with one seed, and many of them side by side."""

import concurrent.futures
import logging
import math
import multiprocessing
import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

import snnlightning
import snnlightning.data
from snnlightning.data import SpikingDataModule

from .parts import RandomSpikes
from .recipe import Data, Trainable, trainer
from .results import Result

__all__ = ["missing", "run", "run_all"]


def versions() -> str:
    """Of the packages that decide a number; without Numba the plain loops have made it."""
    found = [f"snnlightning {snnlightning.__version__}", f"Python {platform.python_version()}"]
    for name in ("torch", "lightning", "numba"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join([*found, platform.machine()])


def missing(data: Data, folder: str) -> list[str]:
    """Files and folders that a recipe's data needs and that are not there."""
    needed = [value for _, value in data.arguments if isinstance(value, str) and "{data}" in value]
    paths = [value.replace("{data}", folder) for value in needed]
    return [path for path in paths if not Path(path).exists()]


def data_module(data: Data, seed: int, folder: str) -> SpikingDataModule:
    """The data module that a recipe names; ``{data}`` in its arguments is the folder of all data sets."""
    cls: Any = RandomSpikes if data.name == "RandomSpikes" else getattr(snnlightning.data, data.name)
    arguments: dict[str, Any] = {
        key: value.replace("{data}", folder) if isinstance(value, str) else value for key, value in data.arguments
    }
    module: SpikingDataModule = cls(seed=seed, **arguments)
    return module


def run(recipe: Trainable, seed: int, folder: str, epochs: int | None = None) -> Result:
    """Train, then count correct answers and spikes; the seed decides weights, order and, where drawn, the data.

    Args:
        recipe: what to train.
        seed: whole number >= 0.
        folder: of all data sets.
        epochs: instead of the recipe's.
    """
    data = data_module(recipe.data, seed, folder)
    data.setup()
    start, cpu = time.perf_counter(), time.process_time()
    L.seed_everything(seed, verbose=False)
    model = recipe.module(data.in_features, data.num_classes)
    epochs = epochs or recipe.epochs
    teacher = trainer(epochs, recipe.batches, recipe.clip)
    teacher.fit(model, data)
    (train,) = teacher.test(model, data.train_dataloader(), verbose=False)
    (test,) = teacher.test(model, data, verbose=False)
    return Result(
        recipe=recipe.name,
        fingerprint=recipe.fingerprint,
        seed=seed,
        test=round(test["test_accuracy"], 5),
        train=round(train["test_accuracy"], 5),
        spikes=round(test["test_spikes"], 3),
        synops=round(test["test_synops"], 1),
        seconds=round(time.perf_counter() - start, 1),
        cpu_seconds=round(time.process_time() - cpu, 1),
        epochs=epochs,
        versions=versions(),
    )


def _prepare() -> None:
    """A process of its own for trainings: one thread, and nothing of what Lightning says about loaders and devices."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)


def run_all(
    todo: Sequence[tuple[Trainable, int]],
    folder: str,
    jobs: int,
    epochs: Mapping[str, int] | None = None,
    until: float = math.inf,
) -> Iterator[Result]:
    """The results in the order in which they come, from ``jobs`` processes of one thread each.

    Args:
        todo: recipes and seeds, in the order in which they are begun.
        folder: of all data sets.
        jobs: processes, >= 1.
        epochs: of a recipe by name, instead of its own.
        until: no training is begun after this ``time.monotonic()``.
    """
    waiting = iter(todo)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare) as pool:
        running: set[concurrent.futures.Future[Result]] = set()
        while True:
            while len(running) < jobs and time.monotonic() < until and (task := next(waiting, None)) is not None:
                recipe, seed = task
                running.add(pool.submit(run, recipe, seed, folder, (epochs or {}).get(recipe.name)))
            if not running:
                return
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                yield future.result()
