"""Names of things: one folder is a kind, one file is a thing, and configuration files say the file's name.

``named("surrogate", package, "superspike")`` finds the public class of ``package/superspike.py``. Nothing is registered:
the folder's ``__init__`` re-exports its classes and that is the list.
"""

import inspect
from types import ModuleType

from .errors import unknown_name

__all__ = ["available", "named"]


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
