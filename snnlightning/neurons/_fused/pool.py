"""Threads for loops that release the interpreter lock: torch's own, as many as torch may use.

Where torch computes on OpenMP's threads (its wheels for Linux), tasks run on them too. Such a thread waits for its next work
at full speed for some milliseconds after an operation of torch's, and threads of ours beside it would share their processors with that waiting:
on two cores a step on two threads took longer than on one. Elsewhere, and in a forked child, which has none of its parent's threads, they are
threads of our own. Numba's threading is not used: one of its layers kills a forked process, another one aborts when two Python
threads call it at once.
"""

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

__all__ = ["run"]

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def _was_forked() -> bool:
    """Whether this process began as the copy of another one, where Linux says so (PF_FORKNOEXEC of /proc/self/stat)."""
    try:
        flags = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[6]
        return bool(int(flags) & 0x40)
    except (OSError, ValueError, IndexError):
        return False


_forked = _was_forked()  # and perhaps after its parent had used the team


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here."""
    global _lock, _forked
    _lock, _forked = threading.Lock(), True
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run(task: Callable[[int], None], count: int) -> None:
    """task(0), ..., task(count - 1), on up to ``torch.get_num_threads()`` threads, this one included.

    Which thread runs which task is left open, so a task may write only to what is its own, and NumPy may not warn in it: what it
    does about overflow and the like is set in each thread apart.
    """
    everybody = torch.get_num_threads()
    threads = min(everybody, count)
    if threads <= 1:
        for k in range(count):
            task(k)
        return
    todo = iter(range(count))  # next() of a range iterator is one step of the interpreter: no two threads get the same

    def work() -> None:
        try:
            for k in todo:
                task(k)
        finally:
            for k in todo:  # after an error nobody takes another task
                del k

    # All of torch's take part, as in its own operations (GNU OpenMP ends threads that a smaller team leaves out). Each wants the
    # interpreter lock for some microseconds to see that nothing is left; where that would be most of them, they are left alone.
    region = None if _forked or everybody > 2 * count else _parallel_region()
    if region is None:
        _on_our_own(work, threads)
    else:
        _on_those_of_torch(region, work, everybody)


@functools.cache
def _parallel_region() -> Callable[..., None] | None:
    """OpenMP's ``GOMP_parallel(function, data, threads, flags)``, where torch has loaded it for everybody to see."""
    if "OpenMP" not in torch.__config__.parallel_info().partition("backend:")[2]:
        return None
    try:
        region: Any = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):  # another OpenMP, another system
        return None
    region.argtypes = [_Body, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    region.restype = None
    found: Callable[..., None] = region
    return found


_Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def _on_those_of_torch(region: Callable[..., None], work: Callable[[], None], threads: int) -> None:
    began: list[int] = []
    errors: list[BaseException] = []

    def body(data: Any) -> None:
        try:
            began.append(threading.get_ident())
            work()
        except BaseException as error:
            errors.append(error)

    region(_Body(body), None, threads, 0)
    if errors:
        raise errors[0]
    # A signal came while the team began, and its handler raised before ``body`` could see it: ctypes prints what that was.
    if threading.get_ident() not in began:
        raise KeyboardInterrupt


def _on_our_own(work: Callable[[], None], threads: int) -> None:
    try:
        pool = _pool(threads - 1)
        helpers = [pool.submit(work) for _ in range(threads - 1)]
    except RuntimeError:  # the interpreter is shutting down
        helpers = []
    try:
        work()
    finally:
        waiting = [helper for helper in helpers if not helper.cancel()]
        errors = [helper.exception() for helper in waiting]
    for error in errors:
        if error is not None:
            raise error


def _pool(size: int) -> ThreadPoolExecutor:
    with _lock:
        if size not in _pools:
            _pools[size] = ThreadPoolExecutor(size, thread_name_prefix="snnlightning")
        return _pools[size]
