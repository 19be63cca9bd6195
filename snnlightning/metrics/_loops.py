"""The loops of counting as machine code, where this process has any at work already, so that nobody waits for them."""

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
    if not compiling.in_use():
        from ..neurons._cpp import code as cpp

        return cpp.loop(name, dtype)
    from ..neurons._numba import code as numba
    from . import _loops__numba as own

    return getattr(own, name).of(dtype) if name in own.__all__ else numba.loop(name, dtype)
