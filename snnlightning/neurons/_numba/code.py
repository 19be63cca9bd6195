"""What ``layer`` asks a compiler of loops for, answered by Numba."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

from . import adaptive, kernels
from .compiling import Kernel

__all__ = ["derivative", "loop"]


def loop(name: str, dtype: str) -> Callable[..., Any]:
    """A loop by name, for ``float32`` or ``float64``; compiled, or loaded, when it is not there yet."""
    found: Kernel = getattr(adaptive if name in adaptive.__all__ else kernels, name)
    return found.of(dtype)


def derivative(spike: Any, dtype: str) -> tuple[Callable[..., Any], tuple[float, ...]] | None:
    """The surrogate's h, when a file ``<surrogate>__numba.py`` beside it has one, and its parameters."""
    found = _beside(type(spike).__module__)
    if found is None:
        return None
    kernel, parameters = found
    return kernel.of(dtype), parameters(spike)


@functools.cache
def _beside(name: str) -> tuple[Kernel, Callable[[Any], tuple[float, ...]]] | None:
    try:
        module = importlib.import_module(f"{name}__numba")
    except ModuleNotFoundError:
        return None
    return Kernel(module.derivative, "void(real[::1], real, real[::1], real[::1])", False), module.parameters
