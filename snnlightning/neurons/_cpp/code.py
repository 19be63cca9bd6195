"""What ``layer`` asks a compiler of loops for, answered by the C++ library."""

import ctypes
import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from . import building

__all__ = ["derivative", "loop", "reason"]

reason = building.reason
"""Why there is no library, or None."""

_PAD = (1, 1, 1)


@functools.cache
def loop(name: str, dtype: str) -> Callable[..., Any]:
    """A loop by name, for ``float32`` or ``float64``; it takes arrays and whole numbers, and lets go of the interpreter lock."""
    function = getattr(building.library(), f"{name}_{dtype}")
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_int64

    def call(*arguments: Any) -> int:
        words: list[int] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous
                words.append(argument.__array_interface__["data"][0])
                words.extend((*argument.shape, *_PAD)[:3])
            else:
                words.append(int(argument))
        given = np.array(words, np.int64)
        found: int = function(given.__array_interface__["data"][0])
        return found

    return call


def derivative(spike: Any, dtype: str) -> tuple[Callable[..., Any], tuple[float, ...]] | None:
    """The surrogate's h, when a file ``<surrogate>__cpp.py`` beside it has one, and its parameters."""
    found = _beside(type(spike).__module__, dtype)
    return None if found is None else (found[0], found[1](spike))


@functools.cache
def _beside(module: str, dtype: str) -> tuple[Callable[..., Any], Callable[[Any], tuple[float, ...]]] | None:
    try:
        beside = importlib.import_module(f"{module}__cpp")
        function = loop(f"h_{module.rpartition('.')[2]}", dtype)
    except (ModuleNotFoundError, AttributeError):
        return None

    def call(v: Any, v_th: Any, parameters: Any, out: Any) -> None:
        function(v, np.array([v_th], v.dtype), parameters, out)

    return call, beside.parameters
