"""Fields: a mapping from a file, whose reads name the file and the key when they fail."""

import math
from collections.abc import Iterator

from ..errors import StudyError

__all__ = ["Fields"]


class Fields:
    """Typed access to decoded JSON or YAML.

    Args:
        data: what the decoder returned; anything but a mapping with text keys is refused.
        where: the file, and the place in it, for the messages.

    Example:
        >>> Fields({"total": "many"}, "counts.json").number("total")
        Traceback (most recent call last):
        ...
        snnlightning.errors.StudyError: counts.json: total is 'many'; a finite number was expected.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise StudyError(f"{where}: found {_short(data)}; a mapping was expected.")
        self.data = {str(key): value for key, value in data.items()}
        self.where = where

    def number(self, key: str) -> float:
        """A finite number."""
        value = self._present(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(key, "a finite number")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """A finite number, or None when the key is absent or null."""
        return None if self.data.get(key) is None else self.number(key)

    def integer(self, key: str) -> int:
        """A whole number."""
        value = self.number(key)
        if value != int(value):
            raise self._wrong(key, "a whole number")
        return int(value)

    def text(self, key: str, default: str | None = None) -> str:
        """A scalar as text; ``default`` when the key is absent."""
        value = self.data.get(key, default) if default is not None else self._present(key)
        if isinstance(value, list | dict):
            raise self._wrong(key, "text")
        return str(value)

    def choice(self, key: str, *choices: str) -> str:
        """One of ``choices``."""
        if self._present(key) not in choices:
            raise self._wrong(key, " or ".join(choices))
        return str(self.data[key])

    def fields(self, key: str) -> "Fields":
        """A mapping inside this one."""
        return Fields(self._present(key), f"{self.where}: {key}")

    def each(self, key: str) -> Iterator["Fields"]:
        """The mappings of a list."""
        for index, value in enumerate(self.items(key)):
            yield Fields(value, f"{self.where}: {key}[{index}]")

    def items(self, key: str) -> list[object]:
        """A list."""
        value = self._present(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        values = self.items(key)
        if not all(isinstance(value, int) for value in values):
            raise self._wrong(key, "a list of whole numbers")
        return tuple(value for value in values if isinstance(value, int))

    def numbers(self, key: str) -> dict[str, float]:
        """A mapping from names to finite numbers."""
        inner = self.fields(key)
        return {name: inner.number(name) for name in inner.data}

    def _present(self, key: str) -> object:
        if key not in self.data:
            raise StudyError(f"{self.where}: {key} is missing; found {', '.join(self.data) or 'nothing'}.")
        return self.data[key]

    def _wrong(self, key: str, expected: str) -> StudyError:
        return StudyError(f"{self.where}: {key} is {_short(self.data[key])}; {expected} was expected.")


def _short(value: object, limit: int = 60) -> str:
    shown = repr(value)
    return shown if len(shown) <= limit else shown[:limit] + "..."
