"""What ``layer`` asks a compiler of loops for, answered by the C++ library."""

import array
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


def _fields(argument: np.ndarray[Any, Any]) -> int:
    """Where NumPy's own record of an array says address, number of axes and sizes: behind what every object begins with.

    Asking for the same in Python takes a microsecond per array, a quarter of a small step.
    """
    return id(argument) + object.__basicsize__


def _copied_fields(argument: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same record, made here; ``[address, axes, address of the sizes, sizes]``."""
    made = np.array([argument.__array_interface__["data"][0], argument.ndim, 0, *argument.shape], np.int64)
    made[2] = made.__array_interface__["data"][0] + 24
    return made


@functools.cache
def _is_laid_out_so() -> bool:
    """Whether NumPy's records are what ``_fields`` takes them for, seen on one array."""
    seen = np.zeros((3, 5, 7), np.float32)
    record = (ctypes.c_int64 * 3).from_address(_fields(seen))
    if (record[0], record[1] & 0xFFFFFFFF) != (seen.__array_interface__["data"][0], 3):
        return False
    return list((ctypes.c_int64 * 3).from_address(record[2])) == [3, 5, 7]


@functools.cache
def loop(name: str, dtype: str) -> Callable[..., Any]:
    """A loop by name, for ``float32`` or ``float64``; it takes C-contiguous arrays and whole numbers, and lets go of the interpreter lock."""
    function = getattr(building.library(), f"{name}_{dtype}")
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_int64
    directly = _is_laid_out_so()

    def call(*arguments: Any) -> int:
        kept = []  # until the loop has returned
        if directly:
            words = [_fields(a) if isinstance(a, np.ndarray) else int(a) for a in arguments]
        else:
            kept = [_copied_fields(a) if isinstance(a, np.ndarray) else a for a in arguments]
            words = [a.__array_interface__["data"][0] if isinstance(a, np.ndarray) else int(a) for a in kept]
        given = array.array("q", words)
        found: int = function(given.buffer_info()[0])
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
