"""Pools: who runs the trials. Worker processes that live as long as the study, or this very process.

Both take jobs and hand out messages (see :mod:`snnlightning.study.worker`). A process that dies costs the trial it was
running, which another one goes on with, or which is reported as failed with the signal that killed it; and is replaced.
"""

import abc
import collections
import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import StudyError
from .grouping import Group
from .interrupts import Interrupts
from .processes import gpu_environment, gpus_here, how_it_died, worker_environment
from .worker import Task, be_quiet

__all__ = ["AbstractPool", "InlinePool", "ProcessPool"]

Message = dict[str, Any]
_NOBODY = -1
_ENTRY = "import sys; from snnlightning.study.worker import main; main(*sys.argv[1:])"


class AbstractPool(abc.ABC):
    """Runs jobs; ``with`` starts and stops it."""

    @abc.abstractmethod
    def submit(self, job: Task) -> None:
        """Hand over a job; it waits until somebody is free."""

    @abc.abstractmethod
    def next_message(self, interrupts: Interrupts) -> Message | None:
        """The next thing that happened; blocks. None: somebody called ``wake``."""

    @abc.abstractmethod
    def wake(self) -> None:
        """Make ``next_message`` return; may be called from a signal handler."""

    def __enter__(self) -> Self:
        return self

    @abc.abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop at once; jobs that run are lost."""


@contextlib.contextmanager
def training_here(interrupts: Interrupts) -> Iterator[None]:
    """Lightning runs in this process: quietly, on one thread as in a worker, and may be interrupted at any moment."""
    import torch

    be_quiet()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    interrupts.at_once = True
    try:
        interrupts.check()
        yield
    except SystemExit as error:
        # Lightning turns an interrupt inside fit into SystemExit.
        raise KeyboardInterrupt from error
    finally:
        interrupts.at_once = False
        torch.set_num_threads(threads)


class InlinePool(AbstractPool):
    """Runs jobs in this process when somebody waits for a message: one after the other, or some of them together.

    Args:
        directory: the study's directory.
        members: how many together, >= 1.
    """

    def __init__(self, directory: Path, members: int = 1) -> None:
        self._jobs: collections.deque[Task] = collections.deque()
        self._messages: collections.deque[Message] = collections.deque()
        self._group = Group(members, directory, self._messages.append)

    def submit(self, job: Task) -> None:
        self._jobs.append(job)

    def next_message(self, interrupts: Interrupts) -> Message | None:
        # What is done is handed out before anything else begins: an interrupt would take it along.
        if not self._messages:
            with training_here(interrupts):
                while not self._messages:
                    assert self._jobs or self._group.busy
                    interrupts.check()
                    if self._jobs and self._group.free:
                        self._group.add(self._jobs.popleft())
                    else:
                        self._group.step()
        return self._messages.popleft()

    def wake(self) -> None:
        """Nothing to do: who waits in this process trains, and is interrupted at once."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.clear()
        self._group.close()


class ProcessPool(AbstractPool):
    """N processes, each started once, one thread of computation each (more threads give other roundings).

    Args:
        workers: number of processes, >= 1.
        directory: the study's directory; what the processes print goes to ``workers.log`` in it.
        threads: torch threads of each process.
        members: jobs that each process does together, >= 1.
        retries: how often a job is run again after the process that had it died; then in a process of its own.
        told: is told in a sentence when that happens.
        devices: of a trial; processes share the GPUs of the machine out among them.
    """

    def __init__(
        self,
        workers: int,
        directory: Path,
        threads: int = 1,
        members: int = 1,
        retries: int = 0,
        told: Callable[[str], None] = lambda sentence: None,
        devices: int = 1,
    ) -> None:
        self.devices, self._gpus = devices, gpus_here()
        self._seats: dict[int, int] = {}
        self.directory, self.threads, self.size, self.retries, self.told = directory, threads, workers, retries, told
        self.members = members
        self._lost: collections.Counter[int] = collections.Counter()
        # SimpleQueue: a signal handler may put into it while this thread waits in get.
        self._queue: queue.SimpleQueue[tuple[int, Message | None]] = queue.SimpleQueue()
        self._jobs: collections.deque[Task] = collections.deque()
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._listeners: dict[int, threading.Thread] = {}
        self._running: dict[int, dict[int, Task]] = {}
        self._broken: set[int] = set()
        self._messages: collections.deque[Message] = collections.deque()
        self._started = 0
        self._deaths_before_ready = 0

    def __enter__(self) -> Self:
        self._log = (self.directory / "workers.log").open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            process.kill()
        for worker, process in self._processes.items():
            process.wait()
            self._close(worker, process)
        self._log.close()

    def submit(self, job: Task) -> None:
        self._jobs.append(job)
        if not self._started:  # a study that has nothing to do any more starts nobody
            for _ in range(self.size):
                self._start()
        self._dispatch()

    def wake(self) -> None:
        self._queue.put((_NOBODY, None))

    def next_message(self, interrupts: Interrupts) -> Message | None:
        while not self._messages:
            worker, message = self._queue.get()
            if worker == _NOBODY:
                return None
            if message is None:
                self._messages.extend(self._bury(worker))
            elif message["type"] == "ready":
                self._deaths_before_ready = 0
                self._running[worker] = {}
                self._dispatch()
            elif message["type"] in ("finished", "failed"):
                self._running[worker].pop(message["order"], None)
                self._dispatch()
                return message
            else:
                return message
        return self._messages.popleft()

    def _start(self) -> None:
        worker = self._started
        self._started += 1
        seat = next(k for k in itertools.count() if k not in self._seats.values())
        self._seats[worker] = seat
        process = subprocess.Popen(
            [sys.executable, "-c", _ENTRY, str(self.directory), str(self.threads), str(self.members)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            bufsize=1,
            env={**os.environ, **worker_environment(self.threads), **gpu_environment(self._gpus, seat, self.devices)},
            start_new_session=True,  # Ctrl-C is for the study, which then stops its workers
        )
        self._processes[worker] = process
        self._listeners[worker] = threading.Thread(target=self._listen, args=(worker, process), daemon=True)
        self._listeners[worker].start()

    def _close(self, worker: int, process: "subprocess.Popen[str]") -> None:
        """Let go of a dead process: its listener has read the end of its answers."""
        self._listeners.pop(worker).join()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _listen(self, worker: int, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # the last line of a process that was killed while it wrote
                self._queue.put((worker, json.loads(line)))
        self._queue.put((worker, None))

    def _dispatch(self) -> None:
        """Hand out jobs, each to the process that has the least to do."""
        while self._jobs:
            job = self._jobs[0]
            able = {worker: jobs for worker, jobs in self._running.items() if worker not in self._broken}
            free = {worker: self.members - self._places(jobs) for worker, jobs in able.items()}
            worker = max(free, key=lambda one: free[one], default=_NOBODY)
            if worker == _NOBODY or free[worker] < self._places({0: job}):
                return
            self._jobs.popleft()
            self._running[worker][job["order"]] = job
            stdin = self._processes[worker].stdin
            assert stdin is not None
            try:
                stdin.write(json.dumps(job) + "\n")
            except BrokenPipeError:
                # It died before it had the job, which goes back; its listener reports the death.
                del self._running[worker][job["order"]]
                self._broken.add(worker)
                self._jobs.appendleft(job)

    def _places(self, jobs: Mapping[int, Task]) -> int:
        """Of ``members``; one that was lost gets a process of its own, for it may be what killed the others."""
        return sum(self.members if self._lost[job["order"]] else 1 for job in jobs.values())

    def _bury(self, worker: int) -> list[Message]:
        process = self._processes.pop(worker)
        del self._seats[worker]
        code = process.wait()
        self._close(worker, process)
        jobs = self._running.pop(worker, None)
        if not jobs:
            self._deaths_before_ready += 1
            if self._deaths_before_ready >= 3:
                raise StudyError(
                    f"worker processes do not start (exit status {code}); see {self.directory / 'workers.log'}."
                )
        how = f"worker process died ({how_it_died(code)})"
        # Nobody knows which of several jobs it was: each gets a chance to show that it was another one.
        retries = self.retries if len(jobs or {}) <= 1 else max(1, self.retries)
        failed: list[Message] = []
        for job in reversed(list((jobs or {}).values())):
            if self._lost[job["order"]] < retries:
                self._lost[job["order"]] += 1
                self.told(f"trial {job['number']}: {how}; another one goes on from its last checkpoint")
                self._jobs.appendleft(job)
            else:
                times = self._lost[job["order"]] + 1
                tries = f", {times} times" if times > 1 else ""
                failed.append({"type": "failed", "order": job["order"], "reason": how + tries})
        self._start()
        self._dispatch()
        return failed
