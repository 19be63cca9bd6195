"""Loading of profiles: one TOML file per source, every number with unit, band, scope, evidence and source.

A file ``<author><year>_<chip>.toml`` in this folder is a profile of that name; a path to a file of one's own works as
well. The names of coefficients and limits are those of ``vocabulary``; anything else is refused.
"""

import functools
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, UnknownNameError, nearest, unknown_name
from .profile import Coefficient, Limit, Profile, refuse_mixture
from .vocabulary import CLOCKS, COEFFICIENTS, EVIDENCE, LIMITS, READING

__all__ = ["available", "load", "parse"]

_FOLDER = Path(__file__).parent
_MUST = {"name", "chip", "summary", "clock", "sources"}
_MAY = {"baseline", "unlimited", "notes", "coefficients", "limits"}
_COEFFICIENT = ("value", "low", "high", "unit", "scope", "evidence", "reading", "source", "band")
_LIMIT = ("value", "unit", "reading", "source")


def available() -> tuple[str, ...]:
    """Names of the profiles that ship with the package."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def load(name: str | Path) -> Profile:
    """A profile by name, or from a TOML file of one's own.

    The name may be said without the author and year it starts with where no other one ends like it: ``cmos45_int8``.

    Raises:
        UnknownNameError: no such profile, or several that end like it.
        ConfigurationError: the file is not a complete profile; the message says what is missing or unknown.

    Example:
        >>> load("davies2018_loihi").coefficients["synop_pj"].value
        23.6
    """
    file = Path(name) if str(name).endswith(".toml") else _FOLDER / f"{name}.toml"
    if not file.is_file():
        ends_so = [known for known in available() if known.endswith(f"_{name}")]
        if len(ends_so) > 1:
            raise UnknownNameError(
                f"several hardware profiles are called {str(name)!r}: {', '.join(ends_so)}; say which."
            )
        if not ends_so:
            raise unknown_name("hardware profile", str(name), available())
        file = _FOLDER / f"{ends_so[0]}.toml"
    # Files of one's own may change while a process runs; those of the package do not.
    return _read_once(file) if file.parent == _FOLDER else _read(file)


@functools.cache
def _read_once(file: Path) -> Profile:
    return _read(file)


def _read(file: Path) -> Profile:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not TOML: {error}.") from error
    profile = parse(content, str(file.name))
    if profile.name != file.stem:
        raise ConfigurationError(f"{file.name} says name = {profile.name!r}; a profile is called as its file.")
    return profile


def parse(content: Mapping[str, Any], where: str) -> Profile:
    """A profile from the content of its file.

    Args:
        content: as ``tomllib`` gives it.
        where: what to call the file in messages.

    Raises:
        ConfigurationError: a key is missing or unknown, a number without unit or source, all-in mixed with terms.
    """
    _keys(where, content, _MUST, _MAY)
    sources = content["sources"]
    if not isinstance(sources, Mapping) or not sources or not all(isinstance(t, str) and t for t in sources.values()):
        raise ConfigurationError(f"{where}: sources is {sources!r}; citations by key are expected.")
    for key in ("name", "chip", "summary"):
        _text(f"{where}: {key}", content[key])
    _one_of(f"{where}: clock", content["clock"], CLOCKS)
    if not isinstance(content.get("baseline", False), bool):
        raise ConfigurationError(f"{where}: baseline is {content['baseline']!r}; true or false is expected.")
    coefficients = {
        name: _coefficient(f"{where}: {name}", name, body, sources)
        for name, body in _tables(where, content, "coefficients", COEFFICIENTS).items()
    }
    limits = {
        name: _limit(f"{where}: {name}", name, body, sources)
        for name, body in _tables(where, content, "limits", LIMITS).items()
    }
    refuse_mixture(where, coefficients)
    unlimited = _texts(f"{where}: unlimited", content.get("unlimited", []))
    for name in unlimited:
        _one_of(f"{where}: unlimited", name, LIMITS)
        if name in limits:
            raise ConfigurationError(f"{where}: {name} has a limit and is called unlimited.")
    return Profile(
        name=content["name"],
        chip=content["chip"],
        summary=content["summary"],
        clock=content["clock"],
        baseline=content.get("baseline", False),
        sources=dict(sources),
        coefficients=coefficients,
        limits=limits,
        unlimited=unlimited,
        notes=_texts(f"{where}: notes", content.get("notes", [])),
    )


def _coefficient(where: str, name: str, body: Mapping[str, Any], sources: Mapping[str, str]) -> Coefficient:
    _keys(where, body, set(_COEFFICIENT), {"note"})
    low, value, high = (_number(f"{where}.{key}", body[key]) for key in ("low", "value", "high"))
    if not low <= value <= high:
        raise ConfigurationError(f"{where}: low {low:g}, value {value:g}, high {high:g} are not in this order.")
    for key, known in (
        ("unit", (COEFFICIENTS[name].unit,)),
        ("scope", (COEFFICIENTS[name].scope,)),
        ("evidence", EVIDENCE),
        ("reading", READING),
        ("source", sources),
    ):
        _one_of(f"{where}.{key}", body[key], known)
    _text(f"{where}.band", body["band"])
    return Coefficient(name=name, **{**body, "value": value, "low": low, "high": high})


def _limit(where: str, name: str, body: Mapping[str, Any], sources: Mapping[str, str]) -> Limit:
    _keys(where, body, set(_LIMIT), {"note"})
    if isinstance(body["value"], bool) or not isinstance(body["value"], int) or body["value"] < 0:
        raise ConfigurationError(f"{where}.value is {body['value']!r}; a whole number of 0 or more is expected.")
    for key, known in (("unit", (LIMITS[name].unit,)), ("reading", READING), ("source", sources)):
        _one_of(f"{where}.{key}", body[key], known)
    return Limit(name=name, **body)


def _tables(where: str, content: Mapping[str, Any], key: str, known: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    tables = content.get(key, {})
    if not isinstance(tables, Mapping):
        raise ConfigurationError(f"{where}: {key} is {tables!r}; tables by name are expected.")
    for name, body in tables.items():
        if name not in known:
            raise unknown_name(f"{key[:-1]} in {where}", name, known)
        if not isinstance(body, Mapping):
            raise ConfigurationError(
                f"{where}: {name} is {body!r}; a number comes with unit and source, as [{key}.{name}]."
            )
    return dict(tables)


def _keys(where: str, body: Mapping[str, Any], must: set[str], may: set[str]) -> None:
    known = must | may
    for key in body:
        if key not in known:
            raise ConfigurationError(
                f"{where}: no key {key!r};{nearest(key, known)} Known: {', '.join(sorted(known))}."
            )
    if missing := sorted(must - set(body)):
        raise ConfigurationError(f"{where}: {', '.join(missing)} is missing; every number comes with it.")


def _number(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigurationError(f"{where} is {value!r}; a finite number of 0 or more is expected.")
    return float(value)


def _one_of(where: str, value: object, known: Mapping[str, Any] | tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in known:
        raise ConfigurationError(f"{where} is {value!r};{nearest(str(value), known)} Known: {', '.join(known)}.")


def _text(where: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{where} is {value!r}; a text is expected.")


def _texts(where: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigurationError(f"{where} is {values!r}; a list of texts is expected.")
    return tuple(values)
