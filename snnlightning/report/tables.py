"""Tables: ``trials.csv`` and ``metrics.csv`` become records."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from ..errors import StudyError
from .files import Curve, State, Trial

__all__ = ["read_metrics", "read_trials"]

FIXED = ("number", "state", "reason", "seconds", "epochs", "seed", "kind", "parent", "charged", "replicate_of")
STATES = ("complete", "infeasible", "failed")


def read_trials(path: Path, text: str, objectives: Sequence[str]) -> tuple[Trial, ...]:
    """The rows of ``trials.csv``; every column that is neither fixed nor an objective is a parameter.

    Args:
        path: the file, for messages.
        text: its content.
        objectives: the names of the objectives.

    Raises:
        StudyError: a column is missing, a state is unknown, or a number is not one.
    """
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(rows.fieldnames or ())
    for name in ("number", "state", *objectives):
        if name not in columns:
            raise StudyError(f"{path}: no column {name!r}; found {', '.join(columns) or 'no header'}.")
    params = [name for name in columns if name not in FIXED and name not in objectives]
    trials = []
    for row in rows:
        where = f"{path}: line {rows.line_num}"
        number = _number(row["number"], f"{where}: number")
        if number is None or row["state"] not in STATES:
            raise StudyError(f"{where}: state is {row['state']!r}; {', '.join(STATES)} were expected.")
        values = {name: _number(row[name], f"{where}: {name}") for name in objectives}
        trials.append(
            Trial(
                number=int(number),
                state=cast(State, row["state"]),
                reason=row.get("reason") or "",
                seconds=_number(row.get("seconds"), f"{where}: seconds"),
                epochs=_number(row.get("epochs"), f"{where}: epochs"),
                seed=row.get("seed") or "",
                values={name: value for name, value in values.items() if value is not None},
                params={name: _cell(row[name]) for name in params if row[name] not in (None, "")},
            )
        )
    return tuple(trials)


def read_metrics(path: Path, text: str) -> Curve:
    """The columns of ``metrics.csv``, with None for an empty cell, a torn last row and a value that is not finite.

    Raises:
        StudyError: no ``epoch`` column, or a cell that is not a number.
    """
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(rows.fieldnames or ())
    if "epoch" not in columns:
        raise StudyError(f"{path}: no column 'epoch'; found {', '.join(columns) or 'no header'}.")
    table: dict[str, list[float | None]] = {name: [] for name in columns}
    for row in rows:
        for name in columns:
            table[name].append(_number(row[name], f"{path}: line {rows.line_num}: {name}"))
    return {name: tuple(values) for name, values in table.items()}


def _number(cell: str | None, where: str) -> float | None:
    if cell is None or not cell.strip():
        return None
    try:
        value = float(cell)
    except ValueError:
        raise StudyError(f"{where} is {cell!r}; a number was expected.") from None
    return value if math.isfinite(value) else None


def _cell(cell: str) -> float | str:
    """A parameter: a number when it reads as one, else the text as it is."""
    try:
        value = float(cell)
    except ValueError:
        return cell
    return value if math.isfinite(value) else cell
