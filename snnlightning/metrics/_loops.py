"""The loops of counting as machine code: where this process has any at work already, or has counted long enough without.

Nobody waits for them. What layers have loaded is taken at once. In a process that counts with NumPy, the library of C++ is
loaded when it is on disk, after as long as that takes; Numba's loops, loaded or compiled, after a second. Which way a batch was
counted changes no number.
"""

import functools
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from ..errors import MissingDependencyError
from ..neurons._cpp import building
from ..neurons._numba import compiling

__all__ = ["Patience", "compiled", "loop", "patience"]


def compiled() -> bool:
    """Whether there are any: of Numba's, or of the C++ library."""
    return compiling.in_use() or building.in_use()


class Patience:
    """How long this process has counted without machine code, and when it asks for some.

    Args:
        library_s: seconds after which the C++ library is loaded, if it is on disk; looking for it and loading it take as long.
        numba_s: seconds after which Numba's loops are, if Numba is there; loading them takes a third of that, compiling twice.
    """

    def __init__(self, library_s: float = 0.03, numba_s: float = 1.0) -> None:
        self._waiting = [(library_s, _library), (numba_s, _numba)]
        self._one_at_a_time = threading.Lock()
        self.spent_s = 0.0

    def lose(self, seconds: float) -> None:
        """So long a batch took to count. Each of the two is asked for once."""
        with self._one_at_a_time:
            self.spent_s += seconds
            while self._waiting and self.spent_s >= self._waiting[0][0] and not compiled():
                self._waiting.pop(0)[1]()


def _library() -> None:
    if building.kept():
        building.reason()


def _numba() -> None:
    if find_spec("numba") is not None:
        try:
            _loop("differ", "float32", by_numba=True)
        except (ImportError, MissingDependencyError):  # half of it is there
            return


patience = Patience()
"""Of this process, like the machine code."""


def loop(name: str, dtype: str = "float32") -> Callable[..., Any]:
    """One of ``_loops__numba``, or ``events`` of the layers."""
    return _loop(name, dtype, compiling.in_use())


@functools.cache
def _loop(name: str, dtype: str, by_numba: bool) -> Callable[..., Any]:
    if not by_numba:
        from ..neurons._cpp import code as cpp

        return cpp.loop(name, dtype)
    from ..neurons._numba import code as numba
    from . import _loops__numba as own

    found: Callable[..., Any] = getattr(own, name).of(dtype) if name in own.__all__ else numba.loop(name, dtype)
    return found
