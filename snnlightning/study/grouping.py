"""Grouping: several jobs in one process, whose trainings take their steps together.

Each job is done as if it were alone (:func:`snnlightning.study.worker.execute`, with its Trainer, checkpoints and files), in a
thread of its own; but its training stops before the first step and is then done in the population that all share
(:mod:`snnlightning.training.population`). Only one thread runs at any time, and it says who is next; so nothing happens at once, and
random numbers are put back wherever a thread stood. A training that a population does not take is done by its own Trainer, while
the others wait, with the same result.
"""

import collections
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from ..training import SpikingModule
from ..training.population import Population, Training, why_alone
from ..training.randomness import restore_random
from .jobs import JobLostError, StopAsked
from .worker import Task, execute

__all__ = ["Group"]

_PATIENCE_S = 5.0
"""So long a job that an interrupt found at work may take to notice; its thread ends with the process anyway."""

Send = Callable[[dict[str, Any]], None]


class Group:
    """Jobs that run together in this process.

    Args:
        slots: how many at most, >= 1. A single one has no company, and its Trainer does all of it.
        directory: of the study.
        send: called with each message; see :func:`~snnlightning.study.worker.execute`.
        left: called with a job that ended because its worker shall stop, or has lost it, and with what was raised; None: it is raised
            here, for all jobs.
    """

    def __init__(
        self,
        slots: int,
        directory: Path,
        send: Send,
        left: Callable[[Task, BaseException], None] | None = None,
    ) -> None:
        self.slots, self.directory, self._send, self._left = slots, directory, send, left
        self._population = Population()
        self._seats: dict[Training, _Seat] = {}
        self._ending: collections.deque[Training] = collections.deque()
        self._beginning: _Seat | None = None

    @property
    def busy(self) -> bool:
        """Whether there are jobs."""
        return bool(self._seats)

    @property
    def free(self) -> int:
        """How many more jobs may come."""
        return self.slots - len(self._seats)

    def add(self, task: Task, send: Send | None = None) -> None:
        """Begin a job, as far as its first step; or do it, when it cannot be one of the group.

        Args:
            task: the job.
            send: called with its messages, in the place of the group's.
        """
        if self.slots == 1:
            execute(task, self.directory, send or self._send)
            return
        seat = self._beginning = _Seat(task, self.directory, send or self._send)
        self._hand_over(seat)
        self._beginning = None
        if seat.training is not None:
            self._population.trainings.append(seat.training)
            self._seats[seat.training] = seat

    def step(self) -> None:
        """Train an epoch of all jobs; or do what is left to do of one whose training is over, so that its result can be had."""
        if not self._ending:
            self._ending.extend(self._population.epoch())
            return
        training = self._ending.popleft()
        self._hand_over(self._seats[training])  # it keeps its seat until it is done: who closes the group must find it
        del self._seats[training]

    def _hand_over(self, seat: "_Seat") -> None:
        try:
            seat.hand_over()
        except (JobLostError, StopAsked) as error:
            if self._left is None:
                raise
            self._left(seat.task, error)

    def close(self) -> None:
        """Leave all jobs where they are."""
        for seat in (*self._seats.values(), *filter(None, [self._beginning])):
            seat.leave()
        self._seats.clear()
        self._ending.clear()
        self._beginning = None
        self._population = Population()


class _Left(BaseException):
    """The group was closed over a job."""


class _Seat(L.Callback):
    """A job in a thread of its own, which runs only when it is handed over to; the last callback of its Trainer."""

    def __init__(self, task: Task, directory: Path, send: Send) -> None:
        self.task, self._directory = task, directory
        self._tell = send
        self.training: Training | None = None
        self._error: BaseException | None = None
        self._left = False
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        # How many threads sums are made on is a thread's own affair, and decides how they are rounded.
        self._threads = torch.get_num_threads()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def hand_over(self) -> None:
        """Let the job run until it waits for its training, or to its end; raises what a worker must hear of."""
        self._mine.release()
        self._theirs.acquire()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """End a job without a result: at once when it waits, else where it would wait or say something next."""
        self._left = True
        self._mine.release()
        self._thread.join(_PATIENCE_S)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        reason = why_alone(trainer, pl_module) or self._why_late(trainer)
        if reason is not None:
            number = self.task["number"]
            self._send({"type": "note", "text": f"trial {number} trains alone: {reason}"})
            return
        assert isinstance(pl_module, SpikingModule)
        training = Training(trainer, pl_module)
        if training.over:
            return
        self.training = training
        self._theirs.release()
        self._mine.acquire()
        if self._left:
            raise _Left
        restore_random(training.random)
        trainer.should_stop = True  # its epochs are done
        if training.error is not None:
            raise training.error

    def _why_late(self, trainer: L.Trainer) -> str | None:
        """None, or which callback (a model may bring some, and they come last) would begin when the training is over."""
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        late = callbacks[callbacks.index(self) + 1 :]
        begins = [one for one in late if type(one).on_train_start is not L.Callback.on_train_start]
        return f"{type(begins[0]).__name__} of the model has an on_train_start" if begins else None

    def _send(self, message: dict[str, Any]) -> None:
        if self._left:
            raise _Left
        self._tell(message)

    def _live(self) -> None:
        self._mine.acquire()
        torch.set_num_threads(self._threads)
        try:
            execute(self.task, self._directory, self._send, last=[self])
        except _Left:
            pass  # nobody waits for what it would have said
        except BaseException as error:  # raised again where the job was handed over
            self._error = error
        finally:
            self._theirs.release()
