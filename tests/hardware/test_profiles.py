"""Every TOML is complete: each number has unit, band, scope, evidence and source; what is not complete is refused."""

import copy
import re
import tomllib
from pathlib import Path

import pytest

from snnlightning import hardware
from snnlightning.errors import ConfigurationError, UnknownNameError
from snnlightning.hardware import COEFFICIENTS, LIMITS, available, load, parse

FOLDER = Path(hardware.__file__).parent


def content(name="davies2018_loihi"):
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", available())
def test_every_number_has_unit_and_source(name):
    raw, profile = content(name), load(name)
    assert re.fullmatch(r"[a-z]+(\d{4}|33)?_[a-z0-9_]+", name)
    for key, body in raw.get("coefficients", {}).items():
        assert {"value", "low", "high", "unit", "scope", "evidence", "reading", "source", "band"} <= set(body), key
        assert body["unit"] == COEFFICIENTS[key].unit
        assert profile.sources[body["source"]]
    for key, body in raw.get("limits", {}).items():
        assert {"value", "unit", "reading", "source"} <= set(body), key
        assert body["unit"] == LIMITS[key].unit
        assert profile.sources[body["source"]]


@pytest.mark.parametrize("name", available())
def test_units_end_the_names(name):
    for key, coefficient in load(name).coefficients.items():
        unit = key.rpartition("_")[2]
        assert coefficient.unit.lower().startswith(unit) or key == "speedup"


@pytest.mark.parametrize("name", available())
def test_a_recalled_price_says_that_it_is_to_be_verified(name):
    for coefficient in load(name).coefficients.values():
        assert coefficient.reading != "recalled" or "verify" in coefficient.note


def test_naive_prices_are_yardsticks_only():
    yardsticks = {name for name in available() if load(name).baseline}
    assert {"horowitz2014_cmos45_naive", "nvidia2022_h100", "nano33_cortex_m4"} <= yardsticks
    assert not {name for name in yardsticks if "loihi" in name}


def test_a_profile_of_ones_own(tmp_path):
    file = tmp_path / "mine2026_chip.toml"
    file.write_text((FOLDER / "ma2024_darwin3.toml").read_text().replace("ma2024_darwin3", "mine2026_chip"))
    assert load(file).coefficients["synop_pj"].value == 5.47
    (tmp_path / "other2026_chip.toml").write_text(file.read_text())
    with pytest.raises(ConfigurationError, match="says name = 'mine2026_chip'; a profile is called as its file"):
        load(tmp_path / "other2026_chip.toml")


def test_profiles_of_the_package_are_read_once_and_those_of_ones_own_every_time(tmp_path):
    assert load("ma2024_darwin3") is load("ma2024_darwin3")
    file = tmp_path / "mine2026_chip.toml"
    text = (FOLDER / "ma2024_darwin3.toml").read_text().replace("ma2024_darwin3", "mine2026_chip")
    for value in ("5.47", "5.48"):
        file.write_text(text.replace("5.47", value))
        assert load(file).coefficients["synop_pj"].value == float(value)


def test_an_unknown_profile_names_the_nearest():
    with pytest.raises(
        UnknownNameError, match="no hardware profile named 'davies2018_lohi'; did you mean 'davies2018_loihi'"
    ):
        load("davies2018_lohi")


def test_a_file_that_is_not_toml(tmp_path):
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load(tmp_path / "bad.toml")


def edited(path, value):
    raw = copy.deepcopy(content())
    *parents, last = path.split("/")
    target = raw
    for key in parents:
        target = target[key]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("coefficients/synop_pj/unit", None, "synop_pj: unit is missing; every number comes with it"),
        ("coefficients/synop_pj/source", None, "synop_pj: source is missing"),
        ("coefficients/synop_pj/band", None, "synop_pj: band is missing"),
        ("coefficients/synop_pj/sorce", "x", "no key 'sorce'; did you mean 'source'"),
        ("coefficients/synop_pj/source", "davis", "source is 'davis'; did you mean 'davies'"),
        ("coefficients/synop_pj/unit", "nJ", "unit is 'nJ'; Known: pJ per synaptic operation"),
        ("coefficients/synop_pj/scope", "all-in", "scope is 'all-in'; Known: one term"),
        ("coefficients/synop_pj/evidence", "mesured", "evidence is 'mesured'; did you mean 'measured'"),
        ("coefficients/synop_pj/value", "23.6", "value is '23.6'; a finite number"),
        ("coefficients/synop_pj/value", float("nan"), "value is nan; a finite number"),
        ("coefficients/synop_pj/low", 24.0, "low 24, value 23.6, high 35.5 are not in this order"),
        ("coefficients/synop_pj", 23.6, "a number comes with unit and source"),
        ("coefficients/synops_pj", {}, "no coefficient in x.toml named 'synops_pj'; did you mean 'synop_pj'"),
        ("limits/fanin", {}, "no limit in x.toml named 'fanin'; did you mean 'fan_in'"),
        ("limits/cores/value", 1.5, "value is 1.5; a whole number"),
        ("limits/cores/source", None, "cores: source is missing"),
        ("unlimited", ["cores"], "cores has a limit and is called unlimited"),
        ("unlimited", ["fan"], "unlimited is 'fan'"),
        ("clock", "fast", "clock is 'fast'"),
        ("chips", 1, "no key 'chips'; did you mean 'chip'"),
        ("sources", None, "sources is missing"),
        ("sources", {}, "citations by key"),
        ("chip", 3, "chip is 3; a text"),
        ("notes", "x", "a list of texts"),
        ("baseline", 1, "baseline is 1; true or false"),
    ],
)
def test_incomplete_profiles_are_refused(path, value, message):
    with pytest.raises((ConfigurationError, UnknownNameError), match=message):
        parse(edited(path, value), "x.toml")


def all_in():
    return copy.deepcopy(content("merolla2014_truenorth")["coefficients"]["synop_all_in_pj"]) | {"source": "davies"}


def test_all_in_prices_refuse_to_be_mixed_with_terms():
    with pytest.raises(ConfigurationError, match="synop_all_in_pj is all-in, it contains synop_pj"):
        parse(edited("coefficients/synop_all_in_pj", all_in()), "x.toml")
    with pytest.raises(ConfigurationError, match="all-in prices and terms are never added"):
        load("merolla2014_truenorth").joined(load("blouw2019_loihi_system"))
    with pytest.raises(ConfigurationError, match="both price static_mw"):
        load("davies2018_loihi").joined(load("yao2024_speck"))


def test_prices_and_powers_of_two_sources_can_be_joined():
    joined = load("kerasspiking_loihi").joined(load("blouw2019_loihi_system"))
    assert joined.name == "kerasspiking_loihi+blouw2019_loihi_system"
    assert joined.price("static_mw").nominal == 29.7
    assert joined.sources[joined.coefficients["static_mw"].source].startswith("github.com/abr")


def test_asking_for_a_price_that_cannot_be_is_an_error():
    with pytest.raises(UnknownNameError, match="no coefficient named 'synop'; did you mean 'synop_pj'"):
        load("davies2018_loihi").price("synop")
    with pytest.raises(UnknownNameError, match="no limit named 'fanin'"):
        load("davies2018_loihi").limit("fanin")


def test_a_chip_with_several_sources_is_asked_for_by_one_of_them():
    several = (
        "several hardware profiles are called 'loihi': boyle2025_loihi, davies2018_loihi, kerasspiking_loihi; say which"
    )
    with pytest.raises(UnknownNameError, match=several):
        load("loihi")
