"""From results.jsonl to docs/search.md and docs/search.svg.

python -m benchmarks.search.analyse [--results FILE] [--output docs/search.md]
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.search.page import page
from benchmarks.search.picture import picture
from benchmarks.search.tasks import ARMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def by_task(runs: list[dict[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The searches of every arm of every task, arms in the order of the table, by seed."""
    return {
        task: {
            arm: sorted((r for r in runs if (r["task"], r["arm"]) == (task, arm)), key=lambda run: run["seed"])
            for arm in ARMS
            if any((r["task"], r["arm"]) == (task, arm) for r in runs)
        }
        for task in dict.fromkeys(run["task"] for run in runs)
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results.jsonl")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    tasks = by_task(read(options.results))
    options.output.write_text(page(tasks), encoding="utf-8")
    options.output.with_suffix(".svg").write_text(picture(tasks), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
