"""Queue: jobs that wait in the study's storage, for workers anywhere.

The queue of a study NAME is the Optuna study ``NAME/jobs`` in the same storage, one trial per attempt at a job: WAITING until
a worker claims it, RUNNING while one works on it, COMPLETE when its outcome is written, FAIL when the worker was lost. So
it needs no server of its own, and whatever stores the study (SQLite, PostgreSQL, MySQL, a gRPC proxy) stores the queue.

Optuna's heartbeats run inside ``optimize`` only, and some storages have none; a claim therefore beats by itself: it counts up
an attribute. Who watches compares beats on its own clock, so clocks of different machines are never compared.
"""

import collections
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import TrialState

from ..errors import StudyError
from .jobs import JobLostError
from .patience import PatientStorage

__all__ = ["Claim", "JobQueue", "Ticket", "key_of"]

_TASK, _KEY, _ATTEMPT, _WORKER, _BEAT, _SAID, _OUTCOME = (
    "task",
    "key",
    "attempt",
    "worker",
    "beat",
    "said",
    "outcome",
)

_KEPT = 16
"""Messages that wait to be read. They show how a training goes, and a database may hold no more than 64 kB in a cell."""


def key_of(task: Mapping[str, Any]) -> str:
    """What tells one job from another: a hash of all that it says."""
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ticket:
    """An attempt at a job, as it stands in the queue.

    Args:
        identity: of the attempt in the storage.
        key: of the job.
        attempt: 0 for the first one.
        state: ``waiting``, ``running``, ``done`` (``outcome`` is there) or ``lost``.
        worker: who claimed it; empty while nobody has.
        beat: counted up by the worker while it lives.
        said: the latest of what its present worker said, but for the end.
        spoken: how many messages that were in all.
        outcome: the message that ended the job.
    """

    identity: int
    key: str
    attempt: int
    state: str
    worker: str
    beat: int
    said: tuple[dict[str, Any], ...]
    spoken: int
    outcome: dict[str, Any] | None


_STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "lost",
    TrialState.PRUNED: "lost",
}


class JobQueue:
    """The queue of a study.

    Args:
        storage: of the study.
        name: of the study.
        create: make the queue when there is none.

    Raises:
        StudyError: there is no queue, and it was not to be made.
    """

    def __init__(self, storage: PatientStorage, name: str, create: bool = False) -> None:
        self.storage, self.name = storage, f"{name}/jobs"
        try:
            if create:
                study = optuna.create_study(study_name=self.name, storage=storage, load_if_exists=True)
                self._study = study._study_id
            else:
                self._study = storage.get_study_id_from_name(self.name)
        except KeyError:
            raise StudyError(
                f"{storage.where} holds no jobs of a study named {name!r}; start one with "
                "`snnlightning study run CONFIG --remote`, with the same --storage."
            ) from None

    # The side of the study.

    def open(self, about: Mapping[str, Any]) -> None:
        """Say that a study hands out jobs, and what its workers must know (``directory``, ``identity``)."""
        self.storage.set_study_user_attr(self._study, "about", dict(about))
        self.storage.set_study_user_attr(self._study, "open", True)

    def close(self) -> None:
        """Say that no more jobs will come, and take back what nobody has done; workers end.

        A job that an interrupted run left behind is as good as done by now: done again, it would write an earlier state of its
        trial over the last one.
        """
        self.storage.set_study_user_attr(self._study, "open", False)
        for ticket in self.tickets():
            if ticket.state in ("waiting", "running"):
                self.withdraw(ticket.identity)

    def publish(self, task: Mapping[str, Any], attempt: int = 0) -> Ticket:
        """Put a job up."""
        key = key_of(task)
        trial = optuna.trial.create_trial(
            state=TrialState.WAITING, user_attrs={_TASK: json.dumps(task), _KEY: key, _ATTEMPT: attempt}
        )
        identity = self.storage.create_new_trial(self._study, trial)
        return Ticket(
            identity=identity,
            key=key,
            attempt=attempt,
            state="waiting",
            worker="",
            beat=0,
            said=(),
            spoken=0,
            outcome=None,
        )

    def tickets(self) -> list[Ticket]:
        """All attempts at all jobs, in the order in which they were put up."""
        return [_ticket(trial) for trial in self.storage.get_all_trials(self._study, deepcopy=False)]

    def at_work(self) -> list[tuple[str, dict[str, Any]]]:
        """Who works now, and on what."""
        running = self.storage.get_all_trials(self._study, deepcopy=False, states=(TrialState.RUNNING,))
        return [(trial.user_attrs.get(_WORKER, ""), json.loads(trial.user_attrs[_TASK])) for trial in running]

    def look(self, identity: int) -> Ticket:
        """How an attempt stands."""
        return _ticket(self.storage.get_trial(identity))

    def withdraw(self, identity: int) -> None:
        """Give an attempt up: nobody will start it, and who works on it is refused from now on."""
        try:
            self.storage.set_trial_state_values(identity, TrialState.FAIL)
        except optuna.exceptions.UpdateFinishedTrialError:
            return  # it ended while we decided

    # The side of a worker.

    def about(self) -> dict[str, Any]:
        """What :meth:`open` said."""
        return dict(self.storage.get_study_user_attrs(self._study).get("about", {}))

    @property
    def is_open(self) -> bool:
        """Whether more jobs may come."""
        return bool(self.storage.get_study_user_attrs(self._study).get("open", False))

    def claim(self, worker: str, *, fresh: bool = False) -> "Claim | None":
        """The first job that nobody has; None when all are taken.

        Args:
            worker: who asks.
            fresh: leave jobs that a worker was lost at to others.
        """
        waiting = self.storage.get_all_trials(self._study, deepcopy=False, states=(TrialState.WAITING,))
        for trial in waiting:
            attempt = int(trial.user_attrs[_ATTEMPT])
            if not (fresh and attempt > 0) and self._take(trial._trial_id):
                self.storage.set_trial_user_attr(trial._trial_id, _WORKER, worker)
                return Claim(self.storage, trial._trial_id, json.loads(trial.user_attrs[_TASK]), attempt)
        return None

    def share(self, worker: str) -> int:
        """How many of the jobs that wait or run would be this worker's, if all that work had equally many; rounded up."""
        found = self.storage.get_all_trials(
            self._study, deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING)
        )
        names = {trial.user_attrs.get(_WORKER) for trial in found if trial.state == TrialState.RUNNING}
        workers = len((names | {worker}) - {None})
        return -(-len(found) // workers)

    def _take(self, identity: int) -> bool:
        """WAITING to RUNNING, for one of those who try.

        Optuna reads the state and then writes it; on SQLite two processes may both read WAITING. One statement cannot. (Behind a
        gRPC proxy there is only Optuna's way. Two workers that share a job compute the same, and the second outcome is refused.)
        """
        engine = getattr(getattr(self.storage.inner, "_backend", self.storage.inner), "engine", None)
        if engine is None:
            try:
                return self.storage.set_trial_state_values(identity, TrialState.RUNNING)
            except optuna.exceptions.UpdateFinishedTrialError:
                return False
        claim = sqlalchemy.text("UPDATE trials SET state = 'RUNNING' WHERE trial_id = :identity AND state = 'WAITING'")

        def take() -> bool:
            with engine.begin() as connection:
                return bool(connection.execute(claim, {"identity": identity}).rowcount == 1)

        return self.storage.repeat(take)


class Claim:
    """A job that this worker has.

    Attributes:
        task: what to do; see :data:`snnlightning.study.worker.Task`.
        attempt: how many workers were lost at it.
    """

    def __init__(self, storage: PatientStorage, identity: int, task: dict[str, Any], attempt: int = 0) -> None:
        self._storage, self._identity, self.task, self.attempt = storage, identity, task, attempt
        self._beats = 0
        self._said: collections.deque[dict[str, Any]] = collections.deque(maxlen=_KEPT)
        self._spoken = 0

    def beat(self) -> None:
        """Say that the worker lives.

        Raises:
            JobLostError: the study has given the job to somebody else.
        """
        self._beats += 1
        self._write(_BEAT, self._beats)

    def send(self, message: Mapping[str, Any]) -> None:
        """Hand on what a job says; its last message ends it.

        Raises:
            JobLostError: the study has given the job to somebody else.
        """
        if message["type"] not in ("finished", "failed"):
            self._spoken += 1
            self._said.append(dict(message))
            self._write(_SAID, json.dumps({"spoken": self._spoken, "last": list(self._said)}))
            return
        self._write(_OUTCOME, json.dumps(dict(message)))
        self._end(TrialState.COMPLETE, [0.0])

    def give_back(self) -> None:
        """Put the job back for somebody else: this worker was asked to stop."""
        self._end(TrialState.WAITING, None)

    def _write(self, key: str, value: Any) -> None:
        try:
            self._storage.set_trial_user_attr(self._identity, key, value)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise JobLostError("the study has given this job to another worker") from None

    def _end(self, state: TrialState, values: list[float] | None) -> None:
        try:
            self._storage.set_trial_state_values(self._identity, state, values)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise JobLostError("the study has given this job to another worker") from None


def _ticket(trial: "optuna.trial.FrozenTrial") -> Ticket:
    held = trial.user_attrs
    said: dict[str, Any] = json.loads(held[_SAID]) if _SAID in held else {"spoken": 0, "last": []}
    return Ticket(
        identity=trial._trial_id,
        key=held[_KEY],
        attempt=held[_ATTEMPT],
        state=_STATES[trial.state],
        worker=held.get(_WORKER, ""),
        beat=held.get(_BEAT, 0),
        said=tuple(said["last"]),
        spoken=said["spoken"],
        outcome=json.loads(held[_OUTCOME]) if _OUTCOME in held else None,
    )
