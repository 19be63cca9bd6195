"""Files of a study directory: their names, and writing that leaves the old file whole until the new one is complete."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import StudyError

__all__ = [
    "CHECKPOINT",
    "STATE",
    "read_json",
    "read_yaml",
    "trial_directory",
    "write_csv",
    "write_json",
    "write_text",
    "write_yaml",
]

CHECKPOINT = "best.ckpt"
"""The weights of the best epoch."""
STATE = "last.ckpt"
"""Everything that a training needs to go on."""


def trial_directory(directory: Path, number: int) -> Path:
    """``DIR/trials/<number>``."""
    return directory / "trials" / str(number)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: a temporary file beside it, then a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """JSON without NaN (a number that is not finite becomes null)."""
    write_text(path, json.dumps(_finite(value), indent=1, allow_nan=False) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """YAML with the keys in the order given."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A row per mapping; what a row does not have stays empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    write_text(path, buffer.getvalue())


def read_json(path: Path) -> Any:
    """What a JSON file of the study holds.

    Raises:
        StudyError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror or error}.") from None
    except ValueError as error:
        raise StudyError(
            f"{path} is not valid JSON ({error}); restore it, or start a study in another directory."
        ) from None


def read_yaml(path: Path) -> Any:
    """What a YAML file of the study holds.

    Raises:
        StudyError: missing or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror or error}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not valid YAML ({' '.join(str(error).split())}).") from None


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return json.dumps(value) if isinstance(value, list | dict) else value
