"""The page on architecture runs from top to bottom, and its table has the rows that the benchmark has."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        exec(compile(block, f"architecture.md, block {number}", "exec"), {})


def test_every_row_of_the_benchmark_is_on_the_page_with_its_figures():
    source = (ROOT / "benchmarks" / "delays.py").read_text(encoding="utf-8")
    names = re.findall(r'^    "([^"]+)": \((?:RATES|SPEEDS)', source, re.MULTILINE)
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([0-9.]+) ± [0-9.]+ \|", PAGE, re.MULTILINE))
    assert names == list(rows)
