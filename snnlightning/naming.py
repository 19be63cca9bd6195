"""Names of things: one folder is a kind, one file is a thing, and configuration files say the file's name.

``named("surrogate", package, "superspike")`` finds the public class of ``package/superspike.py``. Nothing is registered:
the folder's ``__init__`` re-exports its classes and that is the list.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .errors import ConfigurationError, nearest, unknown_name

__all__ = ["available", "build", "named"]


def available(package: ModuleType) -> dict[str, type]:
    """Every concrete class that a folder re-exports, by the name of its file.

    Example:
        >>> import snnlightning.surrogates
        >>> available(snnlightning.surrogates)["superspike"].__name__
        'SuperSpike'
    """
    classes = (getattr(package, name) for name in package.__all__)
    return {
        cls.__module__.rpartition(".")[2]: cls
        for cls in classes
        if inspect.isclass(cls) and not cls.__name__.startswith("Abstract")
    }


def named(kind: str, package: ModuleType, name: str) -> type:
    """The class whose file (``cuba_lif``) or class name (``CubaLIF``) is ``name``; case and underscores do not matter.

    Args:
        kind: what the folder holds, for the error message.
        package: the imported folder.
        name: the name as a user typed it.

    Raises:
        UnknownNameError: nothing in the folder has this name; the message lists what there is.
    """
    things = available(package)
    wanted = str(name).lower().replace("_", "")
    for file, cls in things.items():
        if wanted in (file.replace("_", ""), cls.__name__.lower()):
            return cls
    raise unknown_name(kind, name, things)


def build(cls: type, arguments: Mapping[str, Any]) -> object:
    """A record from plain values, as a configuration file has them.

    Raises:
        ConfigurationError: an argument that the record does not have, or one that it needs and did not get.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in arguments:
        if key not in fields:
            raise ConfigurationError(
                f"{cls.__name__} has no parameter {key!r};{nearest(key, fields)} It has: {', '.join(sorted(fields))}."
            )
    missing = [
        name
        for name, field in fields.items()
        if name not in arguments
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigurationError(f"{cls.__name__} needs {', '.join(missing)}.")
    return cls(**arguments)
