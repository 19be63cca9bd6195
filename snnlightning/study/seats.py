"""Seats: the GPUs that are a worker's own on a machine where workers are started one by one, and nobody counts them.

A worker that a study starts is told its GPUs (:func:`snnlightning.study.processes.gpu_environment`); one that is started by hand, or by a
scheduler that leaves all GPUs visible, looks for free ones itself: a seat is a file that is locked as long as its worker lives.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .processes import VISIBLE, gpu_environment, gpus_here

__all__ = ["own_gpus", "seat"]

_TURNS = 64
"""So many workers may share a GPU, and more than that have no seat."""


@contextlib.contextmanager
def own_gpus(each: int, folder: Path | None = None) -> Iterator[str | None]:
    """This process sees GPUs of its own only, as long as ``with`` lasts; which, or None where it has no choice.

    To be entered before anything runs on a GPU: what is visible then remains so.

    Args:
        each: devices of a trial; 0: it needs none.
        folder: where locks are; None: where all workers of this user on this machine find them.
    """
    gpus = gpus_here() if each else []
    if not each or not gpu_environment(gpus, 0, each):
        yield None
        return
    before = os.environ.get(VISIBLE)
    with seat(gpus, each, _folder() if folder is None else folder) as place:
        own = gpu_environment(gpus, place, each)[VISIBLE]
        os.environ[VISIBLE] = own
        try:
            yield own
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


@contextlib.contextmanager
def seat(gpus: Sequence[str], each: int, folder: Path) -> Iterator[int]:
    """The place among the GPUs that the fewest workers have; what :func:`~snnlightning.study.processes.gpu_environment` calls ``worker``.

    Args:
        gpus: that this process may use.
        each: how many a place has.
        folder: where locks are.
    """
    groups = [gpus[first : first + each] for first in range(0, len(gpus) - each + 1, each)]
    with contextlib.ExitStack() as held:
        for turn in range(_TURNS):
            for place, names in enumerate(groups):
                if _locked([folder / f"{name.replace('/', '_')}.{turn}" for name in names], held):
                    yield place
                    return
        yield 0


def _folder() -> Path:
    """Of this user, and not on a file system that machines share, which would mix their GPUs up."""
    own = Path(tempfile.gettempdir()) / f"snnlightning-gpus-{getattr(os, 'getuid', int)()}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own


def _locked(files: Sequence[Path], held: contextlib.ExitStack) -> bool:
    """Lock all of these until ``held`` is left, or none."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: the first place is everybody's
        return True
    with contextlib.ExitStack() as opened:
        for file in files:
            lock = opened.enter_context(file.open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
        held.push(opened.pop_all())
    return True
