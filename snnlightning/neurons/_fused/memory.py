"""Arrays that begin where a line of the cache does.

Rows of 16, 32, 64, ... numbers are read in whole lines then. NumPy begins 16 bytes after, where every vector of 64 bytes lies in two
lines; loops over weights took a third longer.
"""

import ctypes
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Scratch", "empty", "zeros"]

Array = np.ndarray[Any, Any]
_LINE = 64


def empty(shape: Sequence[int], dtype: Any) -> Array:
    """Like ``np.empty``."""
    return _within(np.empty, shape, dtype)


def zeros(shape: Sequence[int], dtype: Any) -> Array:
    """Like ``np.zeros``."""
    return _within(np.zeros, shape, dtype)


def _within(make: Any, shape: Sequence[int], dtype: Any) -> Array:
    """NumPy's memory it is, which asks for large pages: first touching 50 MB of torch's costs a tenth of a step."""
    held = make(math.prod(shape) * np.dtype(dtype).itemsize + _LINE, np.uint8)
    return np.ndarray(shape, dtype, held, -ctypes.addressof(ctypes.c_char.from_buffer(held)) % _LINE)


class Scratch:
    """Arrays to work in, of each thread its own; one chunk after the other finds them in the cache, and so does the next pass.

    ``scratch(name, shape, dtype)`` is what an earlier call of this thread left there.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], tuple[Array, dict[Any, Array]]] = {}
        self._fits = True

    def __call__(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        key, wanted = (threading.get_ident(), name), (shape, dtype)
        held = self._held.get(key)
        if held is not None and (ready := held[1].get(wanted)) is not None:
            return ready
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if held is None or len(held[0]) < size:
            held = self._held[key] = empty((size,), np.uint8), {}
        found = held[1][wanted] = np.ndarray(shape, dtype, held[0])
        self._fits = False  # until somebody has looked
        return found

    @classmethod
    def of_before(cls) -> "Scratch":
        """The one that an earlier pass has left, or a new one."""
        try:
            return _left.pop()
        except IndexError:
            return cls()

    def leave(self) -> None:
        """It is used no more: the next pass may have it, if it is small and was not used for many shapes."""
        if not self._fits:
            held = list(self._held.values())
            self._fits = (
                sum(len(own) for own, _ in held) <= _LEFT_BYTES and sum(len(views) for _, views in held) <= _LEFT_VIEWS
            )
        if self._fits and not _left:
            _left.append(self)


_left: list[Scratch] = []
_LEFT_BYTES, _LEFT_VIEWS = 2**24, 2**8
