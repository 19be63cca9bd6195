"""Errors: what came, what was expected and from where, the nearest way out.

Every error of the package inherits from :class:`SnnLightningError` and from the matching builtin, so that callers can
catch either. Messages are one sentence or two; the command line prints them behind ``error:`` and exits with status 2.
"""

import difflib
import importlib
import sys
from collections.abc import Iterable
from types import ModuleType

__all__ = [
    "ConfigurationError",
    "DataError",
    "MissingDependencyError",
    "ShapeError",
    "SnnLightningError",
    "StudyError",
    "UnknownNameError",
    "nearest",
    "require",
    "unknown_name",
]


class SnnLightningError(Exception):
    """Base of every error that the package raises on purpose."""


class ShapeError(SnnLightningError, ValueError):
    """A tensor has another shape than its place asks for."""


class ConfigurationError(SnnLightningError, ValueError):
    """A parameter is out of range, or two parameters contradict each other."""


class UnknownNameError(SnnLightningError, LookupError):
    """A name that no file of the folder carries."""


class DataError(SnnLightningError, ValueError):
    """A data file that is missing, empty, corrupt or in another layout."""


class StudyError(SnnLightningError, RuntimeError):
    """A study directory that cannot be used as asked."""


class MissingDependencyError(SnnLightningError, ImportError):
    """An optional dependency is used and not installed."""


def nearest(name: str, available: Iterable[str]) -> str:
    """`` did you mean 'x'?`` for the closest available name, else an empty string.

    Example:
        >>> nearest("superspyke", ["superspike", "triangle"])
        " did you mean 'superspike'?"
        >>> nearest("zzz", ["superspike"])
        ''
    """
    match = difflib.get_close_matches(name.lower(), list(available), n=1, cutoff=0.6)
    return f" did you mean {match[0]!r}?" if match else ""


def unknown_name(kind: str, name: object, available: Iterable[str]) -> UnknownNameError:
    """The error for a name nobody carries, with the closest one and the whole list.

    Example:
        >>> print(unknown_name("surrogate", "superspyke", ["triangle", "superspike"]))
        no surrogate named 'superspyke'; did you mean 'superspike'? Available: superspike, triangle.
    """
    names = sorted(available)
    return UnknownNameError(f"no {kind} named {name!r};{nearest(str(name), names)} Available: {', '.join(names)}.")


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: dotted name to import.
        extra: the extra of this package that installs it.
        purpose: what it is needed for, as the start of a sentence.

    Raises:
        MissingDependencyError: the module (or the package it lives in) is not installed.
    """
    if (found := sys.modules.get(module)) is not None:  # asked for in every step
        return found
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise
        raise MissingDependencyError(
            f"{purpose} needs {module.split('.', maxsplit=1)[0]}, which is not installed: pip install 'snnlightning[{extra}]'."
        ) from error
