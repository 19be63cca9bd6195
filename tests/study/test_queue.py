"""The queue of jobs in a study's storage, and the patience with a storage that is away."""

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy.exc

from snnlightning.errors import StudyError
from snnlightning.study.jobs import JobLostError
from snnlightning.study.patience import PatientStorage, is_passing
from snnlightning.study.queue import JobQueue, key_of
from snnlightning.study.storage import open_storage, recall, remember

TASK: dict[str, Any] = {"order": 0, "number": 0, "config": {"seed": 1, "rate": 0.1}}
FINISHED = {"type": "finished", "order": 0, "metrics": {"val_accuracy": 0.5}}


def task(order: int) -> dict[str, Any]:
    return {**TASK, "order": order, "number": order}


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[PatientStorage]:
    storage = open_storage(tmp_path, patience_s=5.0)
    yield storage
    storage.close()


@pytest.fixture
def queue(storage: PatientStorage) -> JobQueue:
    return JobQueue(storage, "s", create=True)


def test_jobs_are_claimed_in_the_order_in_which_they_were_put_up(queue: JobQueue) -> None:
    for order in range(3):
        queue.publish(task(order))
    claimed = [queue.claim("w") for _ in range(4)]
    assert [claim.task["order"] if claim else None for claim in claimed] == [0, 1, 2, None]


def test_what_a_worker_says_reaches_the_study(queue: JobQueue) -> None:
    ticket = queue.publish(TASK)
    claim = queue.claim("here:1")
    assert claim is not None
    for epoch in range(2):
        claim.send({"type": "epoch", "number": 0, "epoch": epoch, "metrics": {"val_accuracy": float("nan")}})
    seen = queue.look(ticket.identity)
    assert (seen.state, seen.worker, [message["epoch"] for message in seen.said]) == ("running", "here:1", [0, 1])
    claim.beat()
    assert queue.look(ticket.identity).beat == seen.beat + 1
    for epoch in range(2, 100):
        claim.send({"type": "epoch", "number": 0, "epoch": epoch, "metrics": {}})
    seen = queue.look(ticket.identity)
    assert (seen.spoken, seen.said[-1]["epoch"]) == (100, 99)
    assert len(seen.said) < 20, "a cell of some databases holds 64 kB"
    claim.send(FINISHED)
    seen = queue.look(ticket.identity)
    assert (seen.state, seen.outcome) == ("done", FINISHED)


def test_a_worker_that_lost_its_job_is_told_so(queue: JobQueue) -> None:
    ticket = queue.publish(TASK)
    claim = queue.claim("w")
    assert claim is not None
    queue.withdraw(ticket.identity)
    assert queue.look(ticket.identity).state == "lost"
    for act in (claim.beat, claim.give_back, lambda: claim.send(FINISHED)):
        with pytest.raises(JobLostError, match="given this job to another worker"):
            act()
    assert queue.look(ticket.identity).outcome is None


def test_a_job_that_was_given_back_is_taken_by_the_next(queue: JobQueue) -> None:
    ticket = queue.publish(TASK)
    first = queue.claim("a")
    assert first is not None
    first.give_back()
    assert queue.look(ticket.identity).state == "waiting"
    second = queue.claim("b")
    assert second is not None
    assert queue.look(ticket.identity).worker == "b"
    second.send(FINISHED)


def test_a_job_that_is_done_stays_done(queue: JobQueue) -> None:
    ticket = queue.publish(TASK)
    claim = queue.claim("w")
    assert claim is not None
    claim.send(FINISHED)
    queue.withdraw(ticket.identity)
    assert queue.look(ticket.identity).state == "done"


def test_a_key_tells_jobs_apart_by_all_that_they_say() -> None:
    assert key_of(TASK) == key_of(dict(reversed(TASK.items())))
    assert key_of(TASK) != key_of({**TASK, "config": {**TASK["config"], "rate": 0.2}})


def test_a_study_that_has_no_queue_says_how_to_get_one(storage: PatientStorage) -> None:
    with pytest.raises(StudyError, match=r"holds no jobs of a study named 'other'.*--remote"):
        JobQueue(storage, "other")


def _claim_all(directory: str, start: Any, answers: Any) -> None:
    storage = open_storage(Path(directory))
    queue = JobQueue(storage, "s")
    start.wait()
    taken = []
    while (claim := queue.claim("w")) is not None:
        taken.append(claim.task["order"])
    answers.put(taken)
    storage.close()


def test_no_job_is_claimed_twice(queue: JobQueue, tmp_path: Path) -> None:
    """Processes that claim at the same moment; Optuna's own step from waiting to running lets two through on SQLite."""
    jobs, processes = 40, 3
    for order in range(jobs):
        queue.publish(task(order))
    spawn = multiprocessing.get_context("spawn")
    start, answers = spawn.Barrier(processes), spawn.Queue()
    workers = [spawn.Process(target=_claim_all, args=(str(tmp_path), start, answers)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    taken = [order for _ in workers for order in answers.get(timeout=120)]
    for worker in workers:
        worker.join()
    assert sorted(taken) == list(range(jobs))


class Flaky:
    """A storage's method that fails so often, then works."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


def away() -> Exception:
    return sqlalchemy.exc.OperationalError("select 1", {}, Exception("server closed the connection unexpectedly"))


def test_a_storage_that_comes_back_costs_time_and_two_sentences(storage: PatientStorage) -> None:
    told: list[str] = []
    patient = PatientStorage(storage.inner, 60.0, told.append, where="the storage x")
    flaky = Flaky(3, away())
    assert patient.repeat(flaky) == "done"
    assert flaky.calls == 4
    assert [sentence.split(" (")[0] for sentence in told] == [
        "the storage x cannot be used",
        told[1],
    ]
    assert told[1].startswith("the storage x is back after")
    assert "server closed the connection" in told[0]


def test_patience_has_an_end_and_is_not_begun_again(storage: PatientStorage) -> None:
    patient = PatientStorage(storage.inner, 0.25, where="the storage x")
    with pytest.raises(StudyError, match="Nothing is lost: run the same command again"):
        patient.repeat(Flaky(1000, away()))
    assert patient.given_up
    again = Flaky(1000, away())
    with pytest.raises(StudyError):
        patient.repeat(again)
    assert again.calls == 1


@pytest.mark.parametrize(
    "words",
    [
        'FATAL: password authentication failed for user "x"',
        'FATAL: database "x" does not exist',
        "attempt to write a readonly database",
        "(1045, \"Access denied for user 'x'@'localhost'\")",
    ],
)
def test_what_waiting_cannot_mend_is_raised_at_once(words: str, storage: PatientStorage) -> None:
    error = sqlalchemy.exc.OperationalError("select 1", {}, Exception(words))
    assert not is_passing(error)
    flaky = Flaky(1, error)
    with pytest.raises(sqlalchemy.exc.OperationalError):
        PatientStorage(storage.inner).repeat(flaky)
    assert flaky.calls == 1


def test_a_full_disk_below_a_database_is_waited_for() -> None:
    assert is_passing(sqlalchemy.exc.OperationalError("insert", {}, Exception("database or disk is full")))


def test_a_mistake_of_ours_is_not_waited_for(storage: PatientStorage) -> None:
    with pytest.raises(ValueError, match="ours"):
        PatientStorage(storage.inner).repeat(Flaky(1, ValueError("ours")))


def test_a_trial_whose_making_got_no_answer_is_not_made_twice(queue: JobQueue) -> None:
    """The connection breaks after the database has done its work."""
    storage = queue.storage
    inner = storage.inner
    made = inner.create_new_trial
    broken = iter([True])

    def create(study_id: int, template: Any = None) -> int:
        identity = made(study_id, template)
        if next(broken, False):
            raise away()
        return identity

    inner.create_new_trial = create  # type: ignore[method-assign]
    first, second = queue.publish(task(0)), queue.publish(task(1))
    assert [ticket.identity for ticket in queue.tickets()] == [first.identity, second.identity]


def test_an_end_whose_writing_got_no_answer_is_an_end(queue: JobQueue) -> None:
    ticket = queue.publish(TASK)
    claim = queue.claim("w")
    assert claim is not None
    inner = queue.storage.inner
    ended = inner.set_trial_state_values
    broken = iter([True])

    def end(*arguments: Any) -> bool:
        result = ended(*arguments)
        if next(broken, False):
            raise away()
        return result

    inner.set_trial_state_values = end  # type: ignore[method-assign]
    claim.send(FINISHED)
    assert queue.look(ticket.identity).state == "done"


def test_beats_from_another_thread_do_not_disturb(queue: JobQueue) -> None:
    ticket = queue.publish(TASK)
    claim = queue.claim("w")
    assert claim is not None
    threads = [threading.Thread(target=lambda: [claim.beat() for _ in range(5)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for epoch in range(5):
        claim.send({"type": "epoch", "number": 0, "epoch": epoch, "metrics": {}})
    for thread in threads:
        thread.join()
    claim.send(FINISHED)
    seen = queue.look(ticket.identity)
    assert (seen.state, seen.spoken) == ("done", 5)


def test_a_wrong_url_is_one_line(tmp_path: Path) -> None:
    for url, words in (
        ("nonsense", "cannot be opened: .*postgresql://USER:PASSWORD@HOST/DATABASE is one"),
        ("grpc://somewhere", "grpc://HOST:PORT"),
        ("postgresql://me:secret@localhost:54x2/db", "'54x2'"),
        (f"sqlite:////{tmp_path}/missing/x.db", "unable to open database file"),
    ):
        with pytest.raises(StudyError, match=words) as found:
            open_storage(tmp_path, url)
        assert "\n" not in str(found.value)
        assert "secret" not in str(found.value)


def test_a_driver_that_is_missing_is_named_with_the_way_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in ("MySQLdb", "pymysql"):
        monkeypatch.setitem(sys.modules, driver, None)  # as if it were not installed
    with pytest.raises(StudyError, match=r"needs MySQLdb, which is not installed: .*pymysql.*write mysql\+pymysql://"):
        open_storage(tmp_path, "mysql://me:secret@localhost/db")


def test_a_proxy_that_nobody_runs_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="pip install 'snnlightning[grpc]'")
    import grpc

    def silence(channel: object) -> SimpleNamespace:
        def result(timeout: float | None = None) -> None:
            raise grpc.FutureTimeoutError

        return SimpleNamespace(result=result)

    monkeypatch.setattr(grpc, "channel_ready_future", silence)
    with pytest.raises(StudyError, match=r"grpc://127\.0\.0\.1:1 cannot be opened: nobody answers there"):
        open_storage(tmp_path, "grpc://127.0.0.1:1")


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@localhost/db", "postgresql://me@localhost/db?connect_timeout=5&password=secret"]
)
def test_a_password_is_left_out_wherever_it_stands_in_an_url(url: str, tmp_path: Path) -> None:
    remember(tmp_path, url, "x")
    assert "secret" not in (tmp_path / "storage.json").read_text()
    with pytest.raises(StudyError, match=r"lives in .*\*\*\*.*give --storage with its password"):
        recall(tmp_path, None)
    assert recall(tmp_path, url) == (url, "x")


def test_a_queue_that_is_closed_takes_back_what_nobody_has_done(queue: JobQueue) -> None:
    done, running, waiting = (queue.publish(task(order)) for order in range(3))
    queue.open({})
    first, second = queue.claim("w"), queue.claim("w")
    assert first is not None
    assert second is not None
    first.send(FINISHED)
    queue.close()
    assert not queue.is_open
    assert [queue.look(ticket.identity).state for ticket in (done, running, waiting)] == ["done", "lost", "lost"]
    assert queue.claim("w") is None
    with pytest.raises(JobLostError):
        second.send({"type": "epoch", "number": 1, "epoch": 0, "metrics": {}})
