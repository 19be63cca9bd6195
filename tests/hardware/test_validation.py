"""Validation rows: model / measured as published, misses included; rows of one's own; the page is made from them."""

from pathlib import Path

import pytest

from snnlightning.errors import ConfigurationError, DataError, UnknownNameError
from snnlightning.hardware import docs, validate
from snnlightning.hardware.validation import load_rows

PAGE = Path(__file__).parents[2] / "docs" / "hardware.md"
RATIOS = {
    "DVS gesture, fitted prices": (1.000, 1.000, 5e-4),
    "DVS gesture, prices before silicon": (0.78, 0.78, 5e-3),
    "DVS gesture, two constants of KerasSpiking": (0.90, 0.90, 5e-3),
    "DVS gesture, operations x 23.6 pJ only": (0.34, 0.34, 5e-3),
    "DVS gesture, operations x 0.9 pJ only": (0.013, 0.013, 5e-4),
    "DVS gesture, latency of the slowest core": (0.95, 0.95, 5e-3),
    "Keyword spotting, total": (0.99, 1.02, 5e-3),
    "Keyword spotting, power above the idle x86": (0.92, 1.13, 5e-3),
    "Keyword spotting, cores only": (0.73, 1.44, 5e-3),
    "NxTF, MNIST": (0.97, 1.07, 5e-3),
    "NxTF, N-MNIST": (0.66, 2.4, 5e-2),
    "NxTF, CIFAR-10": (0.92, 2.5, 5e-2),
    "Imam and Cleland, olfaction": (0.62, 0.68, 5e-3),
    "TrueNorth, 20 Hz x 128 synapses": (0.97, 1.0, 5e-3),
    "Xylo, acoustic scenes": (0.87, 1.02, 5e-3),
    "Loihi 2, CLP-SNN": (1.3, 2.0, 5e-2),
    "BrainScaleS-2, MNIST": (0.98, 0.98, 5e-3),
}
ROWS = {row.case: row for row in validate()}


@pytest.mark.parametrize("case", RATIOS)
def test_model_over_measured_as_published(case):
    low, high, digit = RATIOS[case]
    assert ROWS[case].ratio == (pytest.approx(low, abs=digit), pytest.approx(high, abs=digit))


def test_every_row_is_expected_and_misses_stay_in():
    (part,) = set(ROWS) - set(RATIOS)
    assert ROWS[part].verdict == "part"
    assert {case for case, row in ROWS.items() if row.verdict == "miss"} >= {
        "DVS gesture, operations x 0.9 pJ only", "Imam and Cleland, olfaction", "Loihi 2, CLP-SNN",
    }  # fmt: skip


def test_the_naive_price_lies_77_times_too_low():
    assert 1 / ROWS["DVS gesture, operations x 0.9 pJ only"].ratio[0] == pytest.approx(77, abs=0.5)


def test_the_page_is_what_the_data_say():
    page = PAGE.read_text(encoding="utf-8")
    assert docs.updated(page) == page, "run: python -m snnlightning.hardware.docs docs/hardware.md"


def test_the_example_of_the_page_runs(capsys):
    code = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, "docs/hardware.md", "exec"), {})
    assert "nominal=32.67" in capsys.readouterr().out


def test_the_page_is_written_anew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- profiles -->\nold\n<!-- end -->\nb\n<!-- validation -->\n<!-- end -->\nc\n")
    assert docs.main([str(page)]) == 0
    text = page.read_text()
    assert "old" not in text
    assert "| `davies2018_loihi` |" in text
    assert text.endswith("<!-- end -->\nc\n")
    page.write_text("nothing")
    with pytest.raises(DataError, match="no block <!-- profiles -->"):
        docs.main([str(page)])
    with pytest.raises(DataError, match="nothing is no page"):
        docs.main([])


ROW = """
[[rows]]
case = "mine"
chip = "Loihi 1"
network = "10-10"
boundary = "chip"
quantity = "energy_uj"
reference = 300
reference_kind = "measured"
source = "me"
reading = "primary"
tests = "static power"
latency_ms = 10
profile = "blouw2019_loihi_system"
low = { static_mw = 1 }
high = { static_mw = 1 }
"""


def test_rows_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(ROW)
    mine = validate(file)[-1]
    assert mine.case == "mine"
    assert mine.ratio == (pytest.approx(0.99), pytest.approx(0.99))
    assert mine.verdict == "within 10 %"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('source = "me"\n', "", "mine.toml, row 1: source is missing"),
        ('chip = "Loihi 1"', 'chp = "Loihi 1"', "no key 'chp'; did you mean 'chip'"),
        ("reference = 300", "reference = 0", "reference is 0; a measurement greater than 0"),
        ("reference = 300", "reference = 'x'", "reference is 'x'; a finite number"),
        ("energy_uj", "energy_j", "quantity is 'energy_j'; known: energy_uj"),
        ('reading = "primary"', 'reading = "seen"', "reading is 'seen'"),
        ("latency_ms = 10\n", "", "static_mw is a power; an energy needs latency_ms"),
        ("low = { static_mw = 1 }", "low = { static_mw = 2 }", "the low end of the model is 594, the high end 297"),
        ("low = { static_mw = 1 }", "low = { synop_pj = 2 }", "blouw2019_loihi_system does not price synop_pj"),
        (
            "low = { static_mw = 1 }",
            "low = { static = 2 }",
            "no coefficient in .* named 'static'; did you mean 'static_mw'",
        ),
        ("low = { static_mw = 1 }", "low = { static_mw = 1, end = 'top' }", "end is 'top'; known: low, value, high"),
        ("low = { static_mw = 1 }", "low = {}", "low is {}; counts by coefficient"),
        ('profile = "blouw2019_loihi_system"', 'profile = "blouw"', "no hardware profile named 'blouw'"),
        ('profile = "blouw2019_loihi_system"', "circular = 1", "no profile does not price static_mw"),
        ("latency_ms = 10", "latency_ms = 10\ncircular = 1", "circular is 1; true or false"),
        ("[[rows]]", "[[row]]", r"tables \[\[rows\]\] and nothing else"),
        ("[[rows]]", "[[rows]", "is not TOML"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(tmp_path, old, new, message):
    assert ROW.count(old) == 1
    file = tmp_path / "mine.toml"
    file.write_text(ROW.replace(old, new))
    with pytest.raises((ConfigurationError, DataError, UnknownNameError), match=message):
        load_rows(file)


def test_a_file_that_is_not_there():
    with pytest.raises(DataError, match="cannot be read"):
        load_rows("nowhere.toml")
