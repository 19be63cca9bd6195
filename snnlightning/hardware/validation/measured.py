"""Measured: one published measurement, and the model's value beside it; misses are shown like hits.

    model end = sum over terms of count x price  +  latency x sum over powers of multiplicity x power  +  recorded

A row (``[[rows]]`` of a TOML file in this folder, or of a file of one's own) says for the low and the high end which
coefficients of its profile are used how often: what the publication left open (was the host on? how active was the
network?) is the distance between the two. ``recorded`` is a model value, or a part of it, that was computed elsewhere
because its inputs (spikes of every neuron) are not in the file; such rows say so. The ratio model / reference is 1 for a
perfect model. A reference that is the slope or the intercept of a line comes with its points (``[series.NAME]``: x, y, the
first x that counts, and what is taken off y): the line is fitted again, and a reference that is not its result is refused.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError, DataError, nearest, unknown_name
from ..loading import load
from ..profile import Profile
from ..vocabulary import COEFFICIENTS, READING
from .fit import Fit, fitted

__all__ = ["Measured", "available_rows", "load_rows", "validate"]

_FOLDER = Path(__file__).parent
_KEYS: dict[str, bool] = {
    "case": True, "chip": True, "network": True, "boundary": True, "quantity": True, "reference": True, "reference_kind": True,
    "source": True, "reading": True, "tests": True, "low": True, "high": True, "steps": False, "cores": False,
    "activity": False, "latency_ms": False, "profile": False, "circular": False, "partial": False,
    "series": False, "fit": False,
}  # fmt: skip
_QUANTITIES = ("energy_uj", "power_mw", "latency_ms")
_FITS = ("slope", "intercept")
_FIT_TOLERANCE = 0.01
"""A published line was drawn with more digits than were published of its points."""
_ENDS = ("low", "value", "high")


@dataclasses.dataclass(frozen=True)
class Measured:
    """One row.

    Attributes:
        case: what was measured.
        chip: on which chip.
        network: its layers, as far as published.
        boundary: what the number contains (chip, host, IO).
        quantity: energy_uj per sample, power_mw or latency_ms.
        reference: the published value.
        reference_kind: measured, simulator, or derived from a measurement.
        source: citation.
        reading: primary, digest or recalled.
        tests: what agreement would show, and what not.
        steps, cores, activity, latency_ms: of the measurement; None where it was not published.
        profile: whose prices make the model; "" when the model is recorded.
        model_low, model_high: ends of the model.
        recorded: the model, or a part of it, was computed elsewhere and is not repeated here.
        circular: the profile's price comes from this very measurement.
        partial: the model covers a part of what was measured, so that its ratio is no test.
        fit: the line that the reference was read from, fitted again; None where it is a single measurement.
    """

    case: str
    chip: str
    network: str
    boundary: str
    quantity: str
    reference: float
    reference_kind: str
    source: str
    reading: str
    tests: str
    steps: int | None
    cores: int | None
    activity: str
    latency_ms: float | None
    profile: str
    model_low: float
    model_high: float
    recorded: bool
    circular: bool
    partial: bool
    fit: Fit | None

    @property
    def ratio(self) -> tuple[float, float]:
        """model / reference at both ends."""
        return self.model_low / self.reference, self.model_high / self.reference

    @property
    def verdict(self) -> str:
        """within 10 %: both ends are; in range: the reference lies between the ends; part: no test; miss: none of these."""
        low, high = self.ratio
        if self.partial:
            return "part"
        if low >= 0.9 and high <= 1.1:
            return "within 10 %"
        return "in range" if low <= 1.0 <= high else "miss"

    @property
    def marks(self) -> tuple[str, ...]:
        """Why agreement shows less than it seems (recorded, circular), and how well a fitted reference is known."""
        line = [] if self.fit is None else [f"line through {self.fit.points} points, R2 = {self.fit.r2:.4f}"]
        return (*["recorded"] * self.recorded, *["circular"] * self.circular, *line)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON."""
        return {
            **dataclasses.asdict(self),
            "fit": None if self.fit is None else self.fit._asdict(),
            "ratio_low": self.ratio[0],
            "ratio_high": self.ratio[1],
            "verdict": self.verdict,
        }


def available_rows() -> tuple[Path, ...]:
    """The files that ship with the package."""
    return tuple(sorted(_FOLDER.glob("*.toml")))


def load_rows(file: str | Path) -> tuple[Measured, ...]:
    """The rows of one file, priced.

    Raises:
        DataError: there is no such file, or it is not TOML.
        ConfigurationError: a row lacks a key, has an unknown one, or names a price that its profile does not have.
    """
    file = Path(file)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not TOML: {error}.") from error
    rows, series = content.get("rows", []), content.get("series", {})
    tables = isinstance(rows, list) and isinstance(series, dict) and all(isinstance(row, dict) for row in rows)
    if not rows or not tables or set(content) - {"rows", "series"}:
        raise ConfigurationError(f"{file.name}: tables [[rows]] and [series.NAME], and nothing else, are expected.")
    lines = {name: _line(f"{file.name}, series {name}", body) for name, body in series.items()}
    return tuple(_row(f"{file.name}, row {number}", row, lines) for number, row in enumerate(rows, start=1))


def validate(*files: str | Path) -> tuple[Measured, ...]:
    """All rows that ship with the package, and then those of files of one's own.

    Example:
        >>> next(row for row in validate() if row.case == "NxTF, MNIST").verdict
        'within 10 %'
    """
    return tuple(row for file in (*available_rows(), *files) for row in load_rows(file))


def _line(where: str, body: object) -> Fit:
    keys = {"x", "y", "from", "offset"}
    if not isinstance(body, Mapping) or set(body) != keys:
        raise ConfigurationError(f"{where} is {body!r}; {', '.join(sorted(keys))} are expected.")
    for key in ("x", "y"):
        if not isinstance(body[key], list):
            raise ConfigurationError(f"{where}: {key} is {body[key]!r}; a list of numbers is expected.")
    x, y = ([_amount(f"{where}: {key}", value) for value in body[key]] for key in ("x", "y"))
    start, offset = (_amount(f"{where}: {key}", body[key]) for key in ("from", "offset"))
    if len(x) != len(y):
        raise ConfigurationError(f"{where}: {len(x)} x and {len(y)} y; as many are expected.")
    points = [(a, b - offset) for a, b in zip(x, y, strict=True) if a >= start]
    return fitted([a for a, _ in points], [b for _, b in points])


def _fit(where: str, row: Mapping[str, Any], lines: Mapping[str, Fit]) -> Fit | None:
    """The line of a row's reference, which must be its slope or intercept."""
    if ("series" in row) != ("fit" in row):
        raise ConfigurationError(f"{where}: series and fit are given together, or none of them.")
    if "series" not in row:
        return None
    if row["series"] not in lines:
        raise unknown_name(f"series in {where}", row["series"], lines)
    if row["fit"] not in _FITS:
        raise ConfigurationError(f"{where}: fit is {row['fit']!r}; known: {', '.join(_FITS)}.")
    line = lines[row["series"]]
    value: float = getattr(line, row["fit"])
    if not math.isclose(value, row["reference"], rel_tol=_FIT_TOLERANCE):
        raise ConfigurationError(
            f"{where}: reference is {row['reference']:g}, and the {row['fit']} of {row['series']} is {value:.4g}."
        )
    return line


def _row(where: str, row: Mapping[str, Any], lines: Mapping[str, Fit]) -> Measured:
    for key in row:
        if key not in _KEYS:
            raise ConfigurationError(f"{where}: no key {key!r};{nearest(key, _KEYS)} Known: {', '.join(_KEYS)}.")
    if missing := [key for key, must in _KEYS.items() if must and key not in row]:
        raise ConfigurationError(f"{where}: {', '.join(missing)} is missing.")
    if row["quantity"] not in _QUANTITIES:
        raise ConfigurationError(f"{where}: quantity is {row['quantity']!r}; known: {', '.join(_QUANTITIES)}.")
    if row["reading"] not in READING:
        raise ConfigurationError(f"{where}: reading is {row['reading']!r}; known: {', '.join(READING)}.")
    for key in ("case", "chip", "network", "boundary", "reference_kind", "source", "tests"):
        if not isinstance(row[key], str) or not row[key]:
            raise ConfigurationError(f"{where}: {key} is {row[key]!r}; a text is expected.")
    if _amount(f"{where}: reference", row["reference"]) == 0.0:
        raise ConfigurationError(f"{where}: reference is 0; a measurement greater than 0 is expected.")
    profile = load(row["profile"]) if row.get("profile") else None
    low, high = (_end(f"{where}: {end}", row, row[end], profile) for end in ("low", "high"))
    if low > high:
        raise ConfigurationError(f"{where}: the low end of the model is {low:g}, the high end {high:g}.")
    line = _fit(where, row, lines)
    texts = {key: row[key] for key, must in _KEYS.items() if must and key not in ("low", "high")}
    return Measured(
        **texts,
        steps=row.get("steps"),
        cores=row.get("cores"),
        activity=row.get("activity", ""),
        latency_ms=row.get("latency_ms"),
        profile=row.get("profile", ""),
        model_low=low,
        model_high=high,
        recorded=any("recorded" in row[end] for end in ("low", "high")),
        circular=_flag(f"{where}: circular", row.get("circular", False)),
        partial=_flag(f"{where}: partial", row.get("partial", False)),
        fit=line,
    )


def _end(where: str, row: Mapping[str, Any], parts: object, profile: Profile | None) -> float:
    """One end of the model, in the unit of the row's quantity."""
    if not isinstance(parts, Mapping) or not parts:
        raise ConfigurationError(f"{where} is {parts!r}; counts by coefficient are expected.")
    end = parts.get("end", "value")
    if end not in _ENDS:
        raise ConfigurationError(f"{where}: end is {end!r}; known: {', '.join(_ENDS)}.")
    energy = row["quantity"] == "energy_uj"
    total = 0.0
    for name, value in parts.items():
        if name == "end":
            continue
        count = _amount(f"{where}.{name}", value)
        if name == "recorded":
            total += count
            continue
        if name not in COEFFICIENTS:
            raise unknown_name(f"coefficient in {where}", name, COEFFICIENTS)
        if profile is None or name not in profile.coefficients:
            raise ConfigurationError(f"{where}: {row.get('profile') or 'no profile'} does not price {name}.")
        price: float = getattr(profile.coefficients[name], end)
        if name.endswith("_mw"):
            if energy and row.get("latency_ms") is None:
                raise ConfigurationError(f"{where}: {name} is a power; an energy needs latency_ms.")
            total += count * price * (_amount(f"{where}: latency_ms", row["latency_ms"]) if energy else 1.0)
        elif name.endswith("_pj") and row["quantity"] != "latency_ms":
            # Operations per sample make an energy; operations per second make a power: pJ/s = 1e-9 mW.
            total += count * price * (1e-6 if energy else 1e-9)
        else:
            raise ConfigurationError(f"{where}: {name} makes no {row['quantity']}.")
    return total


def _flag(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{where} is {value!r}; true or false is expected.")
    return value


def _amount(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigurationError(f"{where} is {value!r}; a finite number of 0 or more is expected.")
    return float(value)
