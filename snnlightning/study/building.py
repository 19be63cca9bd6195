"""From class_path and init_args to objects: the same rules as on the command line, with errors in one sentence."""

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError, SnnLightningError, nearest

__all__ = ["build", "resolve_class"]

_HOME = {"model": "snnlightning.training", "data": "snnlightning.data"}


def resolve_class(part: str, class_path: str) -> type:
    """The class that ``class_path`` names: a dotted path, or the bare name of one of ours.

    Args:
        part: ``model`` or ``data``.
        class_path: ``package.module.Class`` or ``SpikingClassifier``.

    Raises:
        ConfigurationError: it cannot be imported, or is no LightningModule or LightningDataModule.
    """
    import lightning.pytorch as L

    module_name, _, name = class_path.rpartition(".")
    module_name = module_name or _HOME[part]
    try:
        module = importlib.import_module(module_name)
    except SnnLightningError:
        raise
    except ImportError as error:
        raise ConfigurationError(f"{part}.class_path {class_path!r} cannot be imported: {error}.") from error
    cls = getattr(module, name, None)
    wanted = L.LightningModule if part == "model" else L.LightningDataModule
    if not inspect.isclass(cls):
        names = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, wanted)]
        raise ConfigurationError(
            f"{part}.class_path: {module_name} has no class {name!r};{nearest(name, names)} "
            f"It has: {', '.join(sorted(names)) or 'none'}."
        )
    if not issubclass(cls, wanted):
        hint = ""
        if any(base.__module__.startswith("pytorch_lightning") for base in cls.__mro__):
            hint = " It comes from pytorch_lightning; import lightning.pytorch instead, they are two packages."
        raise ConfigurationError(
            f"{part}.class_path {class_path!r} is no {wanted.__name__} of lightning.pytorch.{hint}"
        )
    return cls


def build(part: str, component: Mapping[str, Any]) -> Any:
    """Instantiate ``{"class_path": ..., "init_args": {...}}``; values are checked and converted by their type hints.

    Raises:
        ConfigurationError: an argument of the wrong type.
        SnnLightningError: what the constructor raises.
    """
    import jsonargparse

    cls = resolve_class(part, component["class_path"])
    parser = _parser(part, cls)
    try:
        parsed = parser.parse_object({part: dict(component.get("init_args", {}))})
    except jsonargparse.ArgumentError as error:
        raise ConfigurationError(f"{part} ({cls.__name__}): {' '.join(str(error).split())}") from None
    return parser.instantiate(parsed)[part]


@functools.lru_cache(maxsize=16)
def _parser(part: str, cls: type) -> Any:
    """Reading the signature and the docstring of a class takes as long as an epoch of a small network; it is done once."""
    import jsonargparse

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, part)
    return parser
