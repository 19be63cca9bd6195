"""The loops of counting as machine code, where this process has any at work already, so that nobody waits for them."""

import functools
from collections.abc import Callable
from typing import Any

from ..neurons._cpp import building
from ..neurons._numba import compiling

__all__ = ["compiled", "loop"]


def compiled() -> bool:
    """Whether there are any: of Numba's, or of the C++ library."""
    return compiling.in_use() or building.in_use()


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
