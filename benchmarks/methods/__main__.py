"""The command line of the benchmark: train what is missing, write the page."""

import argparse
import sys
from pathlib import Path

from ..published.command import options_of, train_missing
from .page import PAGE, page
from .rows import METHODS

RESULTS = Path(__file__).parent / "results.jsonl"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.methods", description="Train every method once or more, and write what it reaches."
    )
    options = options_of(parser, "surrogate/*")
    results = train_missing(METHODS, RESULTS, options)
    if not options.quick:
        PAGE.write_text(page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
