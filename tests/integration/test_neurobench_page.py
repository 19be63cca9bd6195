"""The page on NeuroBench is what its script writes, and its example runs."""

import importlib
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "neurobench.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("neurobench_crosswalk")
    sys.modules.pop("neurobench_crosswalk", None)


def rows():
    """The cells of the table, row by row."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [line.strip("|").split(" | ") for line in lines[2:]]


def test_the_page_has_the_cases_of_the_script_and_its_words(script):
    assert PAGE.startswith(script.HEAD)
    said = [(cells[0].strip(), cells[4], cells[5].strip()) for cells in rows()]
    assert said == [(case.title, case.why, case.since) for case in script.CASES], (
        "run: python benchmarks/neurobench_crosswalk.py --write docs/neurobench.md"
    )


def test_in_each_case_of_the_page_NeuroBench_says_something_else():
    assert len(rows()) >= 20
    for title, theirs, _, exact, *_ in rows():
        assert theirs.replace(" AC", " synops").rpartition(",")[0] != exact, title


def here() -> str | None:
    """The versions that are installed, as the page names them; None when the peers are absent."""
    try:
        return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in ("neurobench", "snntorch", "torch"))
    except PackageNotFoundError:
        return None


def test_the_page_holds_what_the_cases_give_today(script):
    if here() is None:
        pytest.skip("not installed: pip install --no-deps neurobench==2.3.0 snntorch==1.0.0")
    if f"as run with {here()}," not in PAGE:
        pytest.skip(f"the page was written with other versions than {here()}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for case, cells in zip(script.CASES, rows(), strict=True):
            if not case.varies:
                assert list(case.run()) == cells[1:4], case.title
    finally:
        torch.set_num_threads(threads)


def test_the_pages_example_prints_results_in_NeuroBenchs_shape(capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/neurobench.md", "exec"), {})
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"ParameterCount", "ConnectionSparsity", "ActivationSparsity", "SynapticOperations"}
    assert found["SynapticOperations"]["Dense"] == 25 * (20 * 16 + 16 * 16 + 16 * 5)
    assert found["ParameterCount"] == 20 * 16 + 16 * 16 + 16 * 5
