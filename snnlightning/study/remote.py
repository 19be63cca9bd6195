"""Remote pool: jobs wait in the study's storage, and workers anywhere do them (``snnlightning study worker``).

A worker that dies is noticed when its claim stops beating (at once when it was started here), and its job is put up again:
the next worker goes on from the last checkpoint. A job that loses its worker too often is reported as failed. When the study
itself dies, workers finish what they have; a study that comes back finds the jobs by what they say, and the outcomes in its directory.
"""

import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import StudyError
from .interrupts import Interrupts
from .pool import AbstractPool, Message
from .processes import gpu_environment, gpus_here, how_it_died, worker_environment
from .queue import JobQueue, Ticket, key_of
from .serving import ENTRY, LEASE_S, PARENT, STORAGE, worker_name
from .worker import Task

__all__ = ["RemotePool"]

_POLL_S = (0.05, 0.5)
"""Pause between two looks at the queue: the shortest (while things happen), the longest."""
_GOODBYE_S = 10.0
"""A worker started here that was asked to end gets so long to give its job back."""
_LONGEST_GAP_S = 2.0
"""More than this between two looks does not count against a worker: the study was stopped, or the storage away."""


@dataclasses.dataclass
class _Watched:
    """A job that was handed over: its present attempt, and what was seen of it."""

    task: Task
    ticket: Ticket
    heard: int = 0
    silent_s: float = 0.0


class RemotePool(AbstractPool):
    """Hands jobs to the queue of a study and watches over them.

    Args:
        queue: of the study.
        directory: of the study; workers elsewhere need it too (a shared file system).
        about: what workers are told of the study.
        local: how many workers to start on this machine.
        url: of the storage, for the workers started here; None: the one in the directory.
        retries: how often a job is put up again after its worker was lost.
        lease_s: a claim that does not beat so long is lost.
        engine: entered once jobs are up, left at the end: what starts workers elsewhere.
        told: is told in a sentence what happens to workers.
        devices: of a trial; workers here share the GPUs of this machine out among them.
        members: jobs that each worker does together, >= 1. One that was lost in company is put up again at least once, and done alone.
    """

    def __init__(
        self,
        queue: JobQueue,
        directory: Path,
        about: Mapping[str, Any],
        *,
        local: int = 0,
        url: str | None = None,
        retries: int = 2,
        lease_s: float = LEASE_S,
        engine: contextlib.AbstractContextManager[object] | None = None,
        told: Callable[[str], None] = lambda sentence: None,
        devices: int = 1,
        members: int = 1,
    ) -> None:
        self.devices, self._gpus = devices, gpus_here()
        self.members = members
        self.queue, self.directory, self.about = queue, directory, about
        self.local, self.url, self.retries, self.lease_s, self.told = local, url, retries, lease_s, told
        self.engine = contextlib.nullcontext() if engine is None else engine
        self._watched: dict[int, _Watched] = {}
        self._ready: list[Message] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._seen_workers: set[str] = set()
        self._deaths_in_a_row = 0
        self._woken = threading.Event()
        self._known: dict[str, Ticket] | None = None

    def __enter__(self) -> Self:
        own = {"directory": str(self.directory.absolute()), "lease_s": self.lease_s, "members": self.members}
        self.queue.open({**self.about, **own})
        self._log = (self.directory / "workers.log").open("ab")
        try:
            self.engine.__enter__()
        except BaseException:
            self._log.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.__exit__(kind, error, trace)
        for process in self._processes:
            process.terminate()  # they give their jobs back
        killed = set()
        for process in self._processes:
            try:
                process.wait(_GOODBYE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed.add(worker_name(process.pid))
        self._log.close()
        with contextlib.suppress(StudyError):  # the storage is away; workers elsewhere end when they are idle
            for identity in self._watched if killed else ():
                ticket = self.queue.look(identity)
                if ticket.state == "running" and ticket.worker in killed:
                    self.queue.withdraw(identity)  # or the next run would wait for the lease
            if kind is None:  # else the study goes on later, and its workers with it
                self.queue.close()

    def submit(self, job: Task) -> None:
        if self._known is None:  # what an earlier run of this study left in the queue
            self._known = {ticket.key: ticket for ticket in self.queue.tickets() if not _is_over(ticket)}
        ticket = self._known.pop(key_of(job), None) or self.queue.publish(job)
        self._watched[ticket.identity] = _Watched(job, ticket)
        while len(self._processes) < self.local:
            self._processes.append(self._start(len(self._processes)))

    def wake(self) -> None:
        self._woken.set()

    def next_message(self, interrupts: Interrupts) -> Message | None:
        pause, before = _POLL_S[0], time.monotonic()
        while not self._ready:
            if self._woken.wait(pause):
                self._woken.clear()
                return None
            now = time.monotonic()
            self._look(min(now - before, _LONGEST_GAP_S))
            self._replace_dead()
            pause, before = min(1.5 * pause, _POLL_S[1]), now
        return self._ready.pop(0)

    def _look(self, gap_s: float) -> None:
        """See what has become of every job that was handed over."""
        for identity, watched in list(self._watched.items()):
            old, new = watched.ticket, self.queue.look(identity)
            watched.ticket = new
            if new.worker and new.worker not in self._seen_workers:
                self._seen_workers.add(new.worker)
                self._deaths_in_a_row = 0
                self.told(f"worker {new.worker} has joined")
            if new.spoken < watched.heard:
                watched.heard = 0  # another worker, that begins to speak
            if unheard := new.spoken - watched.heard:
                self._ready.extend(new.said[-unheard:])
            watched.heard = new.spoken
            if new.state == "done" or (new.outcome is not None and new.state == "lost"):
                assert new.outcome is not None
                del self._watched[identity]
                self._ready.append(new.outcome)
            elif new.state == "lost":
                self._lost(identity, "it was given up by hand")
            elif new.state == "running":
                watched.silent_s = 0.0 if new.beat != old.beat or old.state != "running" else watched.silent_s + gap_s
                if watched.silent_s > self.lease_s:
                    self._lost(identity, f"nothing was heard of it for {self.lease_s:.0f} s")

    def _lost(self, identity: int, how: str) -> None:
        """A job whose worker is gone: put it up again, or report that it has failed."""
        watched = self._watched.pop(identity)
        self.queue.withdraw(identity)
        ticket = self.queue.look(identity)
        if ticket.outcome is not None:  # it was written at the last moment
            self._ready.append(ticket.outcome)
            return
        where = f"worker {ticket.worker or '(unknown)'} was lost at trial {watched.task['number']}: {how}"
        # Nobody knows which of several jobs it was: each gets a chance to show that it was another one.
        retries = self.retries if self.members == 1 else max(1, self.retries)
        if ticket.attempt >= retries:
            tries = "" if retries == 0 else f" (attempt {ticket.attempt + 1} of {retries + 1})"
            self._ready.append({"type": "failed", "order": watched.task["order"], "reason": f"{where}{tries}"})
            return
        self.told(f"{where}; another one goes on from its last checkpoint")
        again = self.queue.publish(watched.task, ticket.attempt + 1)
        self._watched[again.identity] = _Watched(watched.task, again)

    def _replace_dead(self) -> None:
        """Bury workers that were started here, without waiting for the lease, and start others."""
        for place, process in enumerate(self._processes):
            code = process.poll()
            if code is None:
                continue
            name = worker_name(process.pid)
            if name in self._seen_workers:
                self._deaths_in_a_row = 0
            else:
                self._deaths_in_a_row += 1
                if self._deaths_in_a_row >= 3:
                    raise StudyError(
                        f"worker processes do not start (exit status {code}); see {self.directory / 'workers.log'}."
                    )
            for identity, watched in list(self._watched.items()):
                ticket = self.queue.look(identity)
                if ticket.state == "running" and ticket.worker == name:
                    watched.ticket = ticket
                    self._lost(identity, f"it died ({how_it_died(code)})")
            self._processes[place] = self._start(place)

    def _start(self, place: int) -> "subprocess.Popen[bytes]":
        gpus = gpu_environment(self._gpus, place, self.devices)
        environment = {**os.environ, **worker_environment(1), **gpus, PARENT: str(os.getpid())}
        environment.pop(STORAGE, None)  # it may be another study's
        if self.url is not None:
            environment[STORAGE] = self.url  # not on the command line, where everybody reads the password
        return subprocess.Popen(
            [sys.executable, "-c", ENTRY, str(self.directory)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the study, which then stops its workers
        )


def _is_over(ticket: Ticket) -> bool:
    """Whether an attempt is of no use to a study that asks for its job: it was lost, or the files that it left are gone."""
    return ticket.state == "lost" or (ticket.outcome is not None and ticket.outcome["type"] == "finished")
