"""``snnlightning profiles``: what chips are priced, by which source, with what evidence; and how far off the prices are."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import ConfigurationError, require
from ..hardware import Profile, available, load, validate
from ..hardware.docs import evidence_of, model_of, prices_of, ratio_of, reference_of

__all__ = ["run_profiles_command"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see `{self.prog} --help`.")


def run_profiles_command(arguments: Sequence[str]) -> int:
    """``snnlightning profiles [NAME ...] [--validate [FILE ...]] [--json]``; returns the exit status.

    Raises:
        SnnLightningError: an unknown profile, or a file of rows that is none.
    """
    parser = _Parser(
        prog="snnlightning profiles", description="What chips are priced, by which source, with what evidence."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="profiles to show in full (or TOML files of your own)")
    parser.add_argument(
        "--validate", nargs="*", type=Path, metavar="FILE",
        help="model against published measurements; FILEs add rows of your own",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="plain JSON instead of a table")
    options = parser.parse_args(list(arguments))
    if options.validate is not None:
        if options.names:
            raise ConfigurationError("--validate shows all measurements; leave the names of profiles out.")
        return _validation(options.validate, options.json)
    profiles = [load(name) for name in options.names or available()]
    if options.json:
        print(json.dumps([_plain(profile) for profile in profiles], indent=2))
        return 0
    console, tables = _rich()
    if options.names:
        for profile in profiles:
            _in_full(profile, console, tables)
        return 0
    sources: dict[str, int] = {}
    table = tables.Table(title="Hardware profiles", title_justify="left", header_style="bold")
    table.add_column("profile and chip", overflow="fold", min_width=max(len(profile.name) for profile in profiles))
    for column in ("prices", "evidence", "source"):
        table.add_column(column, overflow="fold")
    for profile in profiles:
        used = dict.fromkeys(profile.sources[c.source] for c in profile.coefficients.values())
        numbers = ", ".join(str(sources.setdefault(source, len(sources) + 1)) for source in used)
        name = f"{profile.name}\n{profile.chip}" + ("\n(yardstick)" if profile.baseline else "")
        lines = (text.replace(", ", "\n") for text in (prices_of(profile), evidence_of(profile)))
        table.add_row(*map(_escaped, (name, *lines, numbers)), end_section=True)
    console.print(table)
    for source, number in sources.items():
        console.print(f"{number:2d}  {source}", markup=False, highlight=False)
    console.print("in full: snnlightning profiles NAME; against measurements: snnlightning profiles --validate")
    return 0


def _validation(files: Sequence[Path], as_json: bool) -> int:
    rows = validate(*files)
    if as_json:
        print(json.dumps([row.as_dict() for row in rows], indent=2))
        return 0
    console, tables = _rich()
    table = tables.Table(title="Model against published measurements", title_justify="left", header_style="bold")
    for column in ("case", "reference", "model", "ratio", "verdict"):
        table.add_column(column, overflow="fold", justify="left" if column in ("case", "verdict") else "right")
    for row in rows:
        cells = (f"{row.chip}: {row.case}", reference_of(row), model_of(row), ratio_of(row))
        table.add_row(*map(_escaped, (*cells, "\n".join((row.verdict, *row.marks)))))
    console.print(table)
    verdicts = [row.verdict for row in rows]
    summary = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))
    console.print(f"{summary}; ratio = model / reference; what each one tests, and its source: --json")
    return 0


def _in_full(profile: Profile, console: Any, tables: Any) -> None:
    table = tables.Table(
        title=_escaped(f"{profile.name}: {profile.chip}, {profile.summary}"), title_justify="left", header_style="bold"
    )
    for column in ("price", "value", "low", "high", "scope", "evidence", "source", "band and note"):
        table.add_column(column, overflow="fold", justify="right" if column in ("value", "low", "high") else "left")
    for c in profile.coefficients.values():
        cells = (c.name, f"{c.value:g}", f"{c.low:g}", f"{c.high:g}", c.scope, f"{c.evidence} ({c.reading})", c.source)
        table.add_row(*map(_escaped, (*cells, "; ".join(filter(None, (c.band, c.note))))))
    console.print(table)
    table = tables.Table(header_style="bold")
    for column in ("limit", "value", "unit", "kind", "read", "source", "note"):
        table.add_column(column, overflow="fold", justify="right" if column == "value" else "left")
    for m in profile.limits.values():
        table.add_row(*map(_escaped, (m.name, str(m.value), m.unit, m.kind, m.reading, m.source, m.note)))
    if profile.limits:
        console.print(table)
    for key, citation in profile.sources.items():
        console.print(f"{key}: {citation}", markup=False, highlight=False)
    for note in profile.notes:
        console.print(note, markup=False, highlight=False)


def _plain(profile: Profile) -> dict[str, Any]:
    return {field.name: _value(getattr(profile, field.name)) for field in dataclasses.fields(profile)}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: v if isinstance(v, str) else dataclasses.asdict(v) for key, v in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _rich() -> tuple[Any, Any]:
    purpose = "The table of profiles"
    return require("rich.console", "study", purpose).Console(), require("rich.table", "study", purpose)


def _escaped(text: str) -> str:
    escaped: str = require("rich.markup", "study", "The table of profiles").escape(text)
    return escaped
