"""The command line of the benchmark: train what is missing, say what holds, write the page."""

import argparse
import contextlib
import os
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

from snnlightning.study.versions import usable_cores

from .claims import CLAIMS
from .page import PAGE, PICTURE, page, picture, verdicts
from .recipes import RECIPES
from .results import Results
from .running import missing, run_all

RESULTS = Path(__file__).parent / "results.jsonl"
QUICK = 20
"""By how much ``--quick`` divides the epochs."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published", description="Train what published claims are about, and say which hold."
    )
    parser.add_argument("--quick", action="store_true", help="one seed, a twentieth of the epochs, nothing is written")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="PATTERN", help="recipes, such as 'randman/*'")
    parser.add_argument("--seeds", type=int, help="at most so many of each recipe")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="processes of one thread each")
    parser.add_argument("--minutes", type=float, default=60.0, help="start no further training after so long")
    parser.add_argument("--data", default=os.environ.get("SNNLIGHTNING_DATA", "data"), help="folder of the data sets")
    parser.add_argument("--page-only", action="store_true", help="train nothing, write the page")
    options = parser.parse_args()

    results = Results((), RECIPES) if options.quick else Results.read(RESULTS, RECIPES)
    chosen = [recipe for name, recipe in RECIPES.items() if any(fnmatch(name, pattern) for pattern in options.only)]
    for recipe in list(chosen):
        if not options.page_only and (lacking := missing(recipe.data, options.data)):
            print(
                f"left out: {recipe.name}, because there is no {lacking[0]}; --data names the folder of the data sets"
            )
            chosen.remove(recipe)
    seeds = min(options.seeds or 99, 1 if options.quick else 99)
    todo = [
        (recipe, seed)
        for seed in range(
            max((recipe.seeds for recipe in chosen), default=0)
        )  # first one seed of everything, then the next
        for recipe in chosen
        if seed < min(recipe.seeds, seeds) and not results.has(recipe.name, seed)
    ]
    epochs = {name: max(1, recipe.epochs // QUICK) for name, recipe in RECIPES.items()} if options.quick else None
    if todo and not options.page_only:
        print(f"{len(todo)} trainings to do, {len(results)} done, {options.jobs} at a time", flush=True)
        with contextlib.nullcontext() if options.quick else RESULTS.open("a", encoding="utf-8") as file:
            for result in run_all(
                todo, options.data, options.jobs, epochs, until=time.monotonic() + 60 * options.minutes
            ):
                print(
                    f"{result.recipe} seed {result.seed}: test {100 * result.test:.1f} %, train {100 * result.train:.1f} %,"
                    f" {result.spikes:.0f} spikes, {result.seconds:.0f} s",
                    flush=True,
                )
                if file is not None:
                    file.write(result.line + "\n")
                    file.flush()
    if options.quick:
        return 0
    results = Results.read(RESULTS, RECIPES)
    PAGE.write_text(page(results), encoding="utf-8")
    PICTURE.write_text(picture(results), encoding="utf-8")
    found = verdicts(results)
    for claim in CLAIMS:
        print(f"{found[claim.name]:16} {claim.name:4} {claim.says}")
    return 1 if "not reproduced" in found.values() else 0


if __name__ == "__main__":
    sys.exit(main())
