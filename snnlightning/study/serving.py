"""Serving: a worker that takes jobs from the queue of a study until there are no more.

It holds nothing that others need: it may be started and stopped at any time, anywhere that reaches the storage and the
study's directory. Asked to stop (SIGTERM, SIGINT), it gives its job back, and the next worker goes on from its last checkpoint.
"""

import contextlib
import math
import os
import signal
import socket
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import StudyError
from .crew import Crew
from .files import read_json, read_yaml
from .jobs import JobLostError, StopAsked
from .queue import Claim, JobQueue
from .seats import own_gpus
from .storage import open_storage
from .worker import be_quiet, execute

__all__ = ["serve", "serve_directory", "serve_storage", "worker_name"]

LEASE_S = 60.0
"""A worker that is silent so long is taken for dead."""
IDLE_S = 1800.0
"""A worker that finds nothing to do for so long ends."""
STORAGE = "SNNLIGHTNING_STORAGE"
"""Environment variable: URL of the storage, where it has a password."""
PARENT = "SNNLIGHTNING_PARENT"
"""Environment variable: the process without which this one ends."""
ENTRY = "import sys; from snnlightning.study.serving import main; main(*sys.argv[1:])"
_POLL_S = (0.05, 1.0)


def worker_name(process: int | None = None) -> str:
    """What a worker is called: machine and process number."""
    return f"{socket.gethostname()}:{os.getpid() if process is None else process}"


def serve(
    queue: JobQueue,
    directory: Path | None = None,
    *,
    idle_s: float = IDLE_S,
    told: Callable[[str], None] = lambda sentence: None,
) -> int:
    """Do jobs until the study has no more, or there was nothing to do for long.

    Args:
        queue: of the study.
        directory: of the study, as this machine sees it; as the study says when None.
        idle_s: how long to wait for a job.
        told: is told in a sentence what happens.

    Returns:
        How many jobs were done.

    Raises:
        StudyError: the directory is not here, or holds another study.
    """
    about = queue.about()
    directory = Path(about.get("directory", "")) if directory is None else directory
    _check(directory, about)
    name = worker_name()
    lease_s, members = float(about.get("lease_s", LEASE_S)), int(about.get("members", 1))
    with own_gpus(int(about.get("gpus", 0))) as gpus, _stopping() as stop:
        told(f"worker {name} is ready for {queue.name.removesuffix('/jobs')}{f', on GPU {gpus}' if gpus else ''}")
        if members > 1:
            with Crew(queue, directory, name, members, lease_s, stop, told) as crew:
                for found in _turns(queue, stop, idle_s, lambda: crew.take() or crew.busy):
                    if found:
                        crew.step()
                while crew.busy:  # each is given back at its next epoch
                    crew.step()
            return crew.done
        done = 0

        def take() -> bool:
            nonlocal done
            claim = queue.claim(name)
            if claim is not None:
                told(f"trial {claim.task['number']} begins")
                if _work(claim, directory, lease_s, stop, told):
                    done += 1
                    told(f"trial {claim.task['number']} is done")
            return claim is not None

        for _ in _turns(queue, stop, idle_s, take):
            pass
    return done


def _turns(queue: JobQueue, stop: threading.Event, idle_s: float, take: Callable[[], bool]) -> Iterator[bool]:
    """What ``take`` says, whether there was something to do, until there will be nothing more; with pauses where there was not."""
    parent = int(os.environ.get(PARENT, "0"))
    pause, idle_since = _POLL_S[0], time.monotonic()
    while not stop.is_set() and (not parent or os.getppid() == parent):
        found = take()
        yield found
        if found:
            pause, idle_since = _POLL_S[0], time.monotonic()
            continue
        if not queue.is_open or time.monotonic() - idle_since > idle_s:
            return
        stop.wait(pause)
        pause = min(1.5 * pause, _POLL_S[1])


def _work(claim: Claim, directory: Path, lease_s: float, stop: threading.Event, told: Callable[[str], None]) -> bool:
    """Do one job; whether it came to its end."""

    def send(message: dict[str, Any]) -> None:
        claim.send(message)
        if message["type"] == "epoch" and stop.is_set():
            raise StopAsked

    with _beating(claim, lease_s / 4.0):
        try:
            execute(claim.task, directory, send)
        except JobLostError as error:
            told(f"trial {claim.task['number']} is left: {error}")
            return False
        except (StopAsked, KeyboardInterrupt, SystemExit):  # Lightning turns an interrupt inside fit into SystemExit
            with contextlib.suppress(JobLostError):
                claim.give_back()
            told(f"trial {claim.task['number']} is given back")
            return False
    return True


@contextlib.contextmanager
def _beating(claim: Claim, every_s: float) -> Iterator[None]:
    """Beat in the background while the training has this thread."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every_s):
            try:
                claim.beat()
            except (JobLostError, StudyError):
                return  # the training hears of it when it sends its next message

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM, SIGINT and SIGUSR2 set; a second signal raises KeyboardInterrupt at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: types.FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGUSR2"):
        numbers.append(signal.SIGUSR2)  # SLURM, some time before the limit
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(directory: Path, about: dict[str, Any]) -> None:
    if not about:
        raise StudyError("the study has not been started yet; start it with `snnlightning study run CONFIG --remote`.")
    file = directory / "storage.json"
    if not file.exists():
        raise StudyError(
            f"the study's directory {directory} is not on this machine (there is no storage.json); a worker needs it, by a "
            "shared file system: give DIR, where it is mounted."
        )
    if read_json(file).get("identity") != about.get("identity"):
        raise StudyError(f"{directory} belongs to another study than the one in the storage; check DIR and --storage.")


def serve_directory(
    directory: Path,
    url: str | None = None,
    *,
    idle_s: float = IDLE_S,
    told: Callable[[str], None] = lambda sentence: None,
) -> int:
    """:func:`serve` for the study that a directory holds."""
    url = url or os.environ.get(STORAGE)
    held = directory / "storage.json"
    if not held.exists() or not (directory / "study.yaml").exists():
        raise StudyError(
            f"{directory} holds no study that has been started; start one with `snnlightning study run CONFIG --remote`."
        )
    known = read_json(held)["url"]
    if url is None and known is not None and "***" in known:
        raise StudyError(f"the study in {directory} lives in {known}; give --storage with its password.")
    storage = open_storage(directory, url if url is not None else known, told=told, create=False)
    try:
        queue = JobQueue(storage, str(read_yaml(directory / "study.yaml")["name"]))
        return serve(queue, directory, idle_s=idle_s, told=told)
    finally:
        storage.close()


def serve_storage(
    url: str,
    name: str,
    directory: Path | None = None,
    *,
    idle_s: float = IDLE_S,
    told: Callable[[str], None] = lambda sentence: None,
) -> int:
    """:func:`serve` for a study that is known by its storage and name."""
    storage = open_storage(Path(), url, told=told, create=False)
    try:
        return serve(JobQueue(storage, name), directory, idle_s=idle_s, told=told)
    finally:
        storage.close()


def main(directory: str) -> None:
    """A worker process that a study started, from start to end."""
    import torch

    torch.set_num_threads(1)
    be_quiet()
    serve_directory(Path(directory), idle_s=math.inf)  # one long training must not send the others home
