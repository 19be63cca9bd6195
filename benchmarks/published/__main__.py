"""The command line of the benchmark: train what is missing, say what holds, write the page."""

import argparse
import sys
from pathlib import Path

from .claims import CLAIMS
from .command import options_of, train_missing
from .page import PAGE, PICTURE, page, picture, verdicts
from .recipes import RECIPES

RESULTS = Path(__file__).parent / "results.jsonl"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published", description="Train what published claims are about, and say which hold."
    )
    options = options_of(parser, "randman/*")
    results = train_missing(RECIPES, RESULTS, options)
    if options.quick:
        return 0
    PAGE.write_text(page(results), encoding="utf-8")
    PICTURE.write_text(picture(results), encoding="utf-8")
    found = verdicts(results)
    for claim in CLAIMS:
        print(f"{found[claim.name]:16} {claim.name:4} {claim.says}")
    return 1 if "not reproduced" in found.values() else 0


if __name__ == "__main__":
    sys.exit(main())
