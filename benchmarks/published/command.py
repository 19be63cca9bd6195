"""Train what a results file lacks: the part of a command line that benchmarks of many small trainings share."""

import argparse
import os
import time
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from snnlightning.study.versions import usable_cores

from .recipe import Trainable
from .results import Results
from .running import missing, run_all

__all__ = ["options_of", "train_missing"]

QUICK = 20
"""By how much ``--quick`` divides the epochs."""


def options_of(parser: argparse.ArgumentParser, example: str) -> argparse.Namespace:
    """What all these command lines take; ``example`` is a pattern of names."""
    parser.add_argument("--quick", action="store_true", help="one seed, a twentieth of the epochs, nothing is written")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help=f"names, such as '{example}'")
    parser.add_argument("--seeds", type=int, help="at most so many of each")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="processes of one thread each")
    parser.add_argument("--minutes", type=float, default=60.0, help="start no further training after so long")
    parser.add_argument("--data", default=os.environ.get("SNNLIGHTNING_DATA", "data"), help="folder of the data sets")
    parser.add_argument("--page-only", action="store_true", help="train nothing, write the page")
    return parser.parse_args()


def train_missing(recipes: Mapping[str, Trainable], path: Path, options: argparse.Namespace) -> Results:
    """All results that there are, after training those of ``recipes`` that ``path`` does not hold; one seed of everything first."""
    results = Results((), recipes) if options.quick else Results.read(path, recipes)
    if options.page_only:
        return results
    chosen = [recipe for name, recipe in recipes.items() if any(fnmatch(name, pattern) for pattern in options.only)]
    for recipe in list(chosen):
        if lacking := missing(recipe.data, options.data):
            print(
                f"left out: {recipe.name}, because there is no {lacking[0]}; --data names the folder of the data sets"
            )
            chosen.remove(recipe)
    seeds = min(options.seeds or 99, 1 if options.quick else 99)
    todo = [
        (recipe, seed)
        for seed in range(max((recipe.seeds for recipe in chosen), default=0))
        for recipe in chosen
        if seed < min(recipe.seeds, seeds) and not results.has(recipe.name, seed)
    ]
    if not todo:
        return results
    epochs = {name: max(1, recipe.epochs // QUICK) for name, recipe in recipes.items()} if options.quick else None
    print(f"{len(todo)} trainings to do, {len(results)} done, {options.jobs} at a time", flush=True)
    for result in run_all(todo, options.data, options.jobs, epochs, until=time.monotonic() + 60 * options.minutes):
        print(
            f"{result.recipe} seed {result.seed}: test {100 * result.test:.1f} %, train {100 * result.train:.1f} %,"
            f" {result.spikes:.0f} spikes, {result.seconds:.0f} s",
            flush=True,
        )
        if not options.quick:
            # Opened each time: in an hour, somebody may have put another file in its place.
            with path.open("a", encoding="utf-8") as file:
                file.write(result.line + "\n")
    return results if options.quick else Results.read(path, recipes)
