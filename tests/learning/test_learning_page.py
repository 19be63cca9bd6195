"""The page on credit assignment names every rule, and its figures are those of the results that are kept."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from snnlightning import learning
from snnlightning.naming import available

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "learning.md"

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="the benchmarks are not beside the tests")


def script(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmark():
    return script("learning")


def test_every_rule_has_a_row_with_its_source_and_a_training(benchmark):
    text = PAGE.read_text(encoding="utf-8")
    for name, cls in available(learning).items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")][:1]
        if name != "bptt":
            assert benchmark.section(cls, "Source")[:20] in row
        assert any(recipe.rule == name for recipe in benchmark.RECIPES), name


def test_the_figures_are_those_of_the_results(benchmark):
    text = PAGE.read_text(encoding="utf-8")
    for line in benchmark.table_of_results():
        assert line in text


def test_the_picture_and_the_table_of_memory_are_those_of_the_measurement():
    memory = script("learning_memory")
    figures = json.loads(memory.FIGURES.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    for line in memory.lines(figures):
        assert line in text
    assert memory.picture(figures) == memory.PICTURE.read_text(encoding="utf-8")


def test_what_a_rule_trains_is_found_by_asking_it(benchmark):
    hidden, outputs, recurrent, layers = benchmark.what_it_trains(learning.Mostafa())
    assert (hidden, outputs, recurrent, layers) == ("CubaLIF (no leak)", "spiking", "no", "any")
    hidden, outputs, recurrent, layers = benchmark.what_it_trains(learning.EProp())
    assert (hidden, outputs, recurrent, layers) == ("all", "leaky (mean, last, count)", "yes", "one hidden")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_recipe_trains_better_than_chance_in_an_epoch(benchmark):
    assert benchmark.trained(benchmark.RECIPES[0], 0, 1)["test_accuracy"] > 0.3
