"""Kernels: plain Python loops that become machine code at first use, once for float32 and once for float64.

Nothing is compiled, and Numba is not imported, before a kernel is called. Each element type is a function of its own with
one fixed signature, so a cache entry holds one specialisation; a lock lets one process compile while the others wait and
then load. A place that cannot be written to costs the cache and nothing else.
"""

import contextlib
import functools
import hashlib
import importlib
import inspect
import logging
import pickle
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import require
from . import vectors

__all__ = ["Kernel", "helper", "in_use", "kernel"]

logger = logging.getLogger("snnlightning.numba")

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered and fused; NaN and infinity keep their meaning (no ``nnan``, no ``ninf``)."""
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
"""Division by zero gives infinity, as tensors do."""
_NOTICEABLE_S = 0.5
_compiling = threading.RLock()
_fetched: set[str] = set()


class Kernel:
    """A loop over arrays whose element type ``real`` is chosen when it is fetched with ``of``.

    Args:
        function: the loop, in the subset of Python that Numba compiles; it may use ``real`` (the element type) and helpers.
        signature: Numba's notation, with ``real`` for the element type.
        fast: whether sums may be reordered.
        arrays: whether it makes arrays; one that makes none needs no counting of references, which costs a tenth of its time.
    """

    def __init__(self, function: Callable[..., Any], signature: str, fast: bool = False, arrays: bool = False) -> None:
        self.function, self.signature, self.fast = function, signature, fast
        self.options: dict[str, Any] = {
            **_OPTIONS,
            "fastmath": _FAST if fast else False,
            **({} if arrays else {"_nrt": False}),
        }
        self._compiled: dict[str, Callable[..., Any]] = {}

    def of(self, dtype: str) -> Callable[..., Any]:
        """The machine code for ``float32`` or ``float64``; compiled, or loaded, when it is not there yet."""
        found = self._compiled.get(dtype)
        if found is None:
            with _compiling:
                found = self._compiled.get(dtype)
                if found is None:
                    found = self._compiled[dtype] = _compile(self, dtype)
        return found


def kernel(signature: str, *, fast: bool = False, arrays: bool = False) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorator: this loop is a kernel."""
    return lambda function: Kernel(function, signature, fast, arrays)


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: kernels of the same file call this function, so it is compiled into them."""
    function.__dict__["helper"] = True
    return function


def in_use() -> bool:
    """Whether this process has Numba's code at work already, so that one more kernel costs milliseconds and no second."""
    return bool(_fetched) or "numba.core.typing.arraydecl" in sys.modules  # loaded with the first function of anybody


def _compile(wanted: Kernel, dtype: str) -> Callable[..., Any]:
    numba = require("numba", "fast", "backend='numba'")
    codes = [
        repr(
            sorted((key, sorted(value) if isinstance(value, set) else value) for key, value in wanted.options.items())
        ).encode()
    ]

    def with_helpers(function: Callable[..., Any]) -> dict[str, Any]:
        """What the function sees, with compiled helpers."""
        found = dict(function.__globals__)
        for name in sorted(set(function.__code__.co_names) & found.keys()):
            value = found[name]
            if hasattr(value, "build"):
                found[name] = vectors.intrinsic(value)
                codes.extend((_written(value.__module__), _told(value.__dict__.get("says", value).__code__)))
            elif getattr(value, "helper", False):
                found[name] = _helper(value, dtype, wanted, with_helpers(value))
                codes.append(_told(value.__code__))
        return found

    namespace = with_helpers(wanted.function)
    # Numba's cache looks at the file of the loop alone; helpers of other files and options have their say through the name.
    digest = hashlib.sha256(b"".join(codes)).hexdigest()[:12]
    function = _retyped(wanted.function, f"{dtype}_{digest}", dtype, namespace)
    signature = wanted.signature.replace("real", dtype)
    try:
        dispatcher = numba.njit(**wanted.options, cache=True)(function)
        folder = Path(dispatcher.stats.cache_path)
        with _one_process_at_a_time(folder):
            _fill(dispatcher, signature, folder)
    except (OSError, RuntimeError, EOFError, pickle.PickleError) as error:
        # No place for a cache, a full disk, or a file that a crash cut short: go on without.
        _say(f"compiled code is not kept on disk ({type(error).__name__}: {error}); set NUMBA_CACHE_DIR to a folder.")
        dispatcher = numba.njit(**wanted.options)(function)
        _fill(dispatcher, signature, None)
    dispatcher.disable_compile()
    _fetched.add(wanted.function.__name__)
    compiled: Callable[..., Any] = dispatcher
    return compiled


def _fill(dispatcher: Any, signature: str, folder: Path | None) -> None:
    start = time.perf_counter()
    if folder is not None and _loaded(dispatcher, signature):
        return
    dispatcher.compile(signature)
    if not dispatcher.stats.cache_hits and time.perf_counter() - start > _NOTICEABLE_S:
        kept = f"kept in {folder}" if folder else "not kept"
        _say(
            f"compiling the Numba kernels takes a few seconds, once; {kept}. snnlightning.scan.warmup() does it ahead."
        )


def _loaded(dispatcher: Any, signature: str) -> bool:
    """Load what is in the cache without the tables of types that only compiling needs: filling them takes 0.4 s.

    Numba has no public way to do so; one that is arranged otherwise inside takes the long way.
    """
    try:
        importlib.import_module("numba.core.runtime").rtsys.initialize(dispatcher.targetctx)
        found = dispatcher._cache._load_overload(signature, dispatcher.targetctx)
        if found is not None:
            dispatcher.add_overload(found)
    except (AttributeError, TypeError, ImportError):
        return False
    return found is not None


def _told(code: types.CodeType) -> bytes:
    return code.co_code + repr((code.co_consts, code.co_names)).encode()


@functools.cache
def _written(module: str) -> bytes:
    """The source of what is written in vectors."""
    return b"".join(inspect.getsource(source).encode() for source in (vectors, sys.modules[module]))


@functools.cache
def _say(message: str) -> None:
    """Log once per process."""
    logger.info(message)


_helpers: dict[tuple[Callable[..., Any], str, str], Callable[..., Any]] = {}


def _helper(function: Callable[..., Any], dtype: str, caller: Kernel, namespace: dict[str, Any]) -> Any:
    """Compiled once, for all loops that call it."""
    key = (function, dtype, repr(caller.options))
    if key not in _helpers:
        made = require("numba", "fast", "backend='numba'").njit(**caller.options)
        _helpers[key] = made(_retyped(function, dtype, dtype, namespace))
    return _helpers[key]


def _retyped(function: Callable[..., Any], suffix: str, dtype: str, namespace: dict[str, Any]) -> types.FunctionType:
    """The function under a name of its own, with ``real`` meaning ``dtype``."""
    assert inspect.isfunction(function)
    copy = types.FunctionType(function.__code__, {**namespace, "real": getattr(np, dtype)}, function.__name__)
    copy.__qualname__ = f"{function.__qualname__}_{suffix}"
    copy.__module__ = function.__module__
    return copy


@contextlib.contextmanager
def _one_process_at_a_time(folder: Path) -> Iterator[None]:
    """A lock file in the cache; where there is no locking, several processes may compile the same thing."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "snnlightning.lock").open("a") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
