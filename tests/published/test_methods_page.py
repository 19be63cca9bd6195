"""The page of all methods: every thing of the package has a row, and the figures are those of the results that are kept."""

import importlib

import pytest

from benchmarks.methods import __main__ as command
from benchmarks.methods.page import PAGE, page
from benchmarks.methods.rows import METHODS, SAME_AS_BASE, SECTIONS
from benchmarks.published.results import Results
from snnlightning.naming import available

KINDS = {
    "neurons": "neuron", "firing": "firing", "surrogates": "surrogate", "initializers": "initializer", "distributions": "distribution",
    "regularizers": "regularizer", "readouts": "readout", "losses": "loss", "encoders": "encoder", "recipes": "recipe",
    "layers.constraints": "constraint",
}  # fmt: skip
READOUT_NEURONS = {"li", "cuba_li"}  # part of every row, hidden in none
CHANCE = {"recipe": 0.05}


def results() -> Results:
    return Results.read(command.RESULTS, METHODS)


@pytest.mark.parametrize("folder", KINDS)
def test_every_thing_of_a_folder_has_a_row(folder):
    rows = {*METHODS, *SAME_AS_BASE}
    things = set(available(importlib.import_module(f"snnlightning.{folder}"))) - READOUT_NEURONS
    assert sorted(thing for thing in things if f"{KINDS[folder]}/{thing}" not in rows) == []


def test_the_page_is_made_from_the_results_file():
    assert PAGE.read_text(encoding="utf-8") == page(results())


def test_every_line_of_the_results_file_belongs_to_a_row_as_it_is_now():
    lines = command.RESULTS.read_text(encoding="utf-8").splitlines()
    assert len(results()) == len(lines)
    assert command.RESULTS.stat().st_size < 200_000


@pytest.mark.parametrize("name", METHODS)
def test_every_method_was_trained_and_learned_something(name):
    """Three times what guessing gets, with every seed."""
    section = name.partition("/")[0]
    found = results().of(name)
    assert found
    assert all(result.test > 3.0 * CHANCE.get(section, 0.1) for result in found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("section", [section for section in SECTIONS if section != "base"])
def test_a_row_of_each_section_is_built_as_the_command_line_builds_it(section):
    model = SECTIONS[section][0].module(64, 10)
    assert model.num_classes == 10
    assert model.network.layers[-1].w_in.shape[0] == 10


def test_rows_of_a_name_differ_in_what_they_train():
    fingerprints = [method.fingerprint for method in METHODS.values()]
    assert len(set(fingerprints)) == len(fingerprints)
