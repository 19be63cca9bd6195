"""Threads of our own: as many as torch may use, for loops that release the interpreter lock.

Numba's own threading is not used: one of its layers kills a forked process, another one aborts when two Python threads
call it at once.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["run"]

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run(task: Callable[[int], None], count: int) -> None:
    """task(0), ..., task(count - 1), on up to ``torch.get_num_threads()`` threads, this one included.

    Which thread runs which task is left open, so a task may write only to what is its own.
    """
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        for k in range(count):
            task(k)
        return
    todo = iter(range(count))  # next() of a range iterator is one step of the interpreter: no two threads get the same

    def work() -> None:
        for k in todo:
            task(k)

    try:
        pool = _pool(threads - 1)
        helpers = [pool.submit(work) for _ in range(threads - 1)]
    except RuntimeError:  # the interpreter is shutting down
        helpers = []
    try:
        work()
    finally:
        for k in todo:  # after an error nobody takes another task
            del k
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
