"""``snnlightning profiles``: the table, one profile in full, the comparison with measurements, JSON of each."""

import json
import subprocess
import sys

import pytest

from snnlightning.cli.hardware import run_profiles_command
from snnlightning.errors import ConfigurationError, DataError, UnknownNameError
from snnlightning.hardware import available, validate


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")


def test_the_table_names_every_profile_and_its_sources(capsys):
    assert run_profiles_command([]) == 0
    text = capsys.readouterr().out
    for name in available():
        assert name in text
    assert "Davies et al. 2018" in text


def test_the_names_fit_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run_profiles_command([])
    assert "frenkel2019_odin_incremental" in capsys.readouterr().out


def test_one_profile_in_full(capsys):
    run_profiles_command(["davies2018_loihi"])
    text = capsys.readouterr().out
    for word in ("synop_pj", "hop_ns_pj", "in_axons_per_core", "wall", "simulated", "nengo-loihi"):
        assert word in text


def test_json_of_profiles(capsys):
    run_profiles_command(["--json"])
    profiles = json.loads(capsys.readouterr().out)
    assert [profile["name"] for profile in profiles] == list(available())
    loihi = next(profile for profile in profiles if profile["name"] == "davies2018_loihi")
    assert loihi["coefficients"]["synop_pj"]["value"] == 23.6


def test_model_against_measurements(capsys):
    assert run_profiles_command(["--validate"]) == 0
    text = capsys.readouterr().out
    assert "miss" in text
    assert "0.013" in text
    run_profiles_command(["--validate", "--json"])
    assert [row["case"] for row in json.loads(capsys.readouterr().out)] == [row.case for row in validate()]


def test_bad_input_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'bos2024_xylo'"):
        run_profiles_command(["bos2024_xilo"])
    with pytest.raises(ConfigurationError, match="leave the names of profiles out"):
        run_profiles_command(["bos2024_xylo", "--validate"])
    with pytest.raises(ConfigurationError, match="unrecognized arguments: --jsn"):
        run_profiles_command(["--jsn"])
    with pytest.raises(DataError, match="cannot be read"):
        run_profiles_command(["--validate", "nowhere.toml"])


def test_importing_the_folder_brings_no_torch():
    code = "import sys, snnlightning.hardware; print([n for n in ('torch', 'rich', 'lightning') if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
