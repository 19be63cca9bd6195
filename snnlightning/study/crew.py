"""Crew: the jobs of the queue that one worker does together, each with its own claim, and by itself when another worker was lost at it."""

import contextlib
import functools
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import StudyError
from .grouping import Group
from .jobs import JobLostError, StopAsked
from .queue import Claim, JobQueue
from .worker import Task

__all__ = ["Crew"]

_COMPANY_S = 1.0
"""So long a worker with its first job leaves the others to workers that have none: they look once in a second."""


class Crew:
    """``with`` beats for all jobs, and gives back what is not done at the end.

    Args:
        queue: of the study.
        directory: of the study.
        name: of this worker.
        members: how many jobs at most, >= 2.
        lease_s: a claim that does not beat so long is lost.
        stop: set when this worker was asked to stop: each job is given back at its next epoch.
        told: is told in a sentence what happens.

    Attributes:
        done: how many jobs came to their end.
    """

    def __init__(
        self,
        queue: JobQueue,
        directory: Path,
        name: str,
        members: int,
        lease_s: float,
        stop: threading.Event,
        told: Callable[[str], None],
    ) -> None:
        self.done = 0
        self._queue, self._name, self._members, self._lease_s = queue, name, members, lease_s
        self._stop, self._told = stop, told
        self._claims: dict[int, Claim] = {}
        self._group = Group(members, directory, lambda message: None, self._left)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._beater = threading.Thread(target=self._beat, daemon=True)
        self._beater.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._group.close()
        self._over.set()
        self._beater.join()
        for order in list(self._claims):
            with contextlib.suppress(StudyError):
                self._give_back(order)

    @property
    def busy(self) -> bool:
        """Whether there are jobs."""
        return bool(self._claims)

    def take(self) -> bool:
        """Claim what there is for this worker; whether that was anything."""
        began = len(self._claims)
        while len(self._claims) < self._members and not self._stop.is_set():
            company = bool(self._claims)
            if company and (self._alone or len(self._claims) >= self._queue.share(self._name)):
                break
            claim = self._queue.claim(self._name, fresh=company)
            if claim is None:
                break
            self._add(claim)
            if not company and self._claims and not self._alone and self._queue.share(self._name) > 1:
                self._stop.wait(_COMPANY_S)
        return len(self._claims) > began

    def step(self) -> None:
        """Train an epoch of all jobs, or end one whose training is over."""
        self._group.step()

    @property
    def _alone(self) -> bool:
        """Whether a job is here that a worker was lost at: it may be what killed it, and shall take nobody along."""
        return any(claim.attempt > 0 for claim in self._claims.values())

    def _add(self, claim: Claim) -> None:
        task = claim.task
        self._claims[task["order"]] = claim
        self._told(f"trial {task['number']} begins")
        self._group.add(task, functools.partial(self._send, claim))

    def _send(self, claim: Claim, message: dict[str, Any]) -> None:
        claim.send(message)
        if message["type"] in ("finished", "failed"):
            del self._claims[claim.task["order"]]
            self.done += 1
            self._told(f"trial {claim.task['number']} is done")
        elif message["type"] == "epoch" and self._stop.is_set():
            raise StopAsked

    def _left(self, task: Task, error: BaseException) -> None:
        """A job of the group has ended without an outcome."""
        if isinstance(error, StopAsked):
            self._give_back(task["order"])
        else:
            del self._claims[task["order"]]
            self._told(f"trial {task['number']} is left: {error}")

    def _give_back(self, order: int) -> None:
        claim = self._claims.pop(order)
        with contextlib.suppress(JobLostError):
            claim.give_back()
        self._told(f"trial {claim.task['number']} is given back")

    def _beat(self) -> None:
        while not self._over.wait(self._lease_s / 4.0):
            for claim in list(self._claims.values()):
                # The training hears of it when it sends its next message.
                with contextlib.suppress(JobLostError, StudyError):
                    claim.beat()
