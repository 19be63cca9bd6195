"""Jobs of the queue that one worker does together: each is claimed, left, given back and lost by itself."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from snnlightning.study import Study, crew, serving
from snnlightning.study.queue import Claim, JobQueue, Ticket
from snnlightning.study.remote import RemotePool
from snnlightning.study.storage import open_storage

from .conftest import config, front, outcomes
from .test_members import done, task
from .test_remote import LONGER, running_on, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    """Of a study whose workers do three jobs together."""
    monkeypatch.setattr(crew, "_COMPANY_S", 0.0)
    storage = open_storage(tmp_path)
    found = JobQueue(storage, "tiny", create=True)
    (tmp_path / "storage.json").write_text(json.dumps({"identity": "x", "url": None}))
    found.open({"identity": "x", "directory": str(tmp_path), "members": 3, "lease_s": 60.0})
    yield found
    storage.close()


def ends(tickets: list[Ticket]) -> dict[int, dict[str, Any]]:
    """The outcomes, without the wall clock."""
    return {
        t.outcome["order"]: {key: value for key, value in t.outcome.items() if key != "seconds"}
        for t in tickets
        if t.outcome is not None
    }


@contextlib.contextmanager
def heard(monkeypatch: pytest.MonkeyPatch, hear: Callable[[Claim, dict[str, Any]], None]) -> Iterator[None]:
    """``hear`` is called before every message of a job."""
    send = Claim.send

    def first_hear(claim: Claim, message: dict[str, Any]) -> None:
        hear(claim, message)
        send(claim, message)

    with monkeypatch.context() as patch:
        patch.setattr(Claim, "send", first_hear)
        yield


def test_jobs_of_a_worker_that_has_several_end_as_each_does_alone(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them cannot be a member, and one more than there is room for waits."""
    tasks = [task(number, epochs=1 + number % 2) for number in range(4)]
    tasks.append(task(4, epochs=1, learn_tau="none", learning="eprop"))
    alone = {one["order"]: one for one in done(tasks[:4], tmp_path / "alone", slots=1) if one["type"] == "finished"}
    for one in tasks:
        queue.publish(one)
    at_once: list[int] = []
    with heard(monkeypatch, lambda claim, message: at_once.append(len(queue.at_work()))):
        assert serving.serve(queue, tmp_path, idle_s=0.0) == 5
    found = ends(queue.tickets())
    assert {order: found[order] for order in alone} == alone
    assert found[4]["type"] == "finished"
    assert max(at_once) == 3


def test_a_worker_that_is_asked_to_stop_gives_all_its_jobs_back_and_another_one_goes_on(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [task(number, epochs=3) for number in (0, 3, 4)]
    alone = {one["order"]: one for one in done(tasks, tmp_path / "alone", slots=1) if one["type"] == "finished"}
    for one in tasks:
        queue.publish(one)

    def stop(claim: Claim, message: dict[str, Any]) -> None:
        if message["type"] == "epoch" and message["epoch"] == 0:
            signal.raise_signal(signal.SIGTERM) if message["number"] == 0 else None

    with heard(monkeypatch, stop):
        assert serving.serve(queue, tmp_path) == 0
    assert [ticket.state for ticket in queue.tickets()] == ["waiting"] * 3
    assert all((tmp_path / "trials" / str(one["number"]) / "partial.ckpt").exists() for one in tasks)
    epochs: list[int] = []
    with heard(monkeypatch, lambda claim, message: epochs.append(message.get("epoch", -1))):
        assert serving.serve(queue, tmp_path, idle_s=0.0) == 3
    assert 0 not in epochs
    assert ends(queue.tickets()) == alone


def test_a_job_that_the_study_gave_to_somebody_else_is_left_and_the_others_are_not(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tickets = [queue.publish(task(number)) for number in (0, 2)]
    told: list[str] = []

    def withdraw(claim: Claim, message: dict[str, Any]) -> None:
        if message["type"] == "epoch" and claim.task["number"] == 0:
            queue.withdraw(tickets[0].identity)

    with heard(monkeypatch, withdraw):
        assert serving.serve(queue, tmp_path, idle_s=0.0, told=told.append) == 1
    assert [ticket.state for ticket in queue.tickets()] == ["lost", "done"]
    assert any("trial 0 is left: the study has given this job" in sentence for sentence in told), told


def test_a_job_that_a_worker_was_lost_at_is_done_without_company(
    queue: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.publish(task(0, epochs=1))
    queue.publish(task(2, epochs=1), attempt=1)
    queue.publish(task(3, epochs=1))
    company: dict[int, set[int]] = {}

    def look(claim: Claim, message: dict[str, Any]) -> None:
        others = {other["number"] for _, other in queue.at_work()}
        company[claim.task["number"]] = company.get(claim.task["number"], set()) | others

    with heard(monkeypatch, look):
        assert serving.serve(queue, tmp_path, idle_s=0.0) == 3
    assert company[2] == {2}
    assert {0, 3} <= company[0]


def test_a_worker_leaves_what_is_the_share_of_others(queue: JobQueue) -> None:
    for order in range(5):
        queue.publish({"order": order, "number": order})
    assert queue.share("here:1") == 5
    assert queue.claim("elsewhere:1") is not None
    assert queue.share("here:1") == 3  # of five, for two
    assert queue.claim("here:1") is not None
    assert queue.share("here:1") == 3


@pytest.mark.parametrize(("retries", "members", "expected"), [(0, 1, 1), (0, 3, 2), (2, 3, 3)])
def test_a_job_that_was_lost_in_company_gets_another_chance(
    queue: JobQueue, tmp_path: Path, retries: int, members: int, expected: int
) -> None:
    pool = RemotePool(queue, tmp_path, {}, retries=retries, lease_s=0.0, members=members)
    pool.submit({"order": 0, "number": 0})
    for attempt in range(expected):
        assert queue.claim("gone:1") is not None
        for _ in range(2):
            pool._look(1.0)
        assert len(queue.tickets()) == min(attempt + 2, expected)
    (failed,) = [message for message in pool._ready if message["type"] == "failed"]
    assert "worker gone:1 was lost" in failed["reason"]


def test_all_jobs_of_a_worker_beat(tmp_path: Path, queue: JobQueue) -> None:
    claims = []
    with crew.Crew(queue, tmp_path, "here:1", 2, 0.04, threading.Event(), lambda sentence: None) as two:
        for order in range(2):
            queue.publish({"order": order, "number": order})
            claim = queue.claim("here:1")
            assert claim is not None
            claims.append(claim)
        two._claims.update(enumerate(claims))
        wait_until(lambda: all(ticket.beat >= 2 for ticket in queue.tickets()), 10.0)
    assert [ticket.state for ticket in queue.tickets()] == ["waiting", "waiting"]


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_none_of_its_jobs(
    tmp_path: Path, write_config: Callable[..., Path], start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    Study(config(**LONGER), tmp_path / "alone").run(workers=0)
    directory = tmp_path / "s"
    study = start("study", "run", write_config(**LONGER, members=3), "--dir", directory, "--workers", 2, "--remote")
    wait_until(lambda: bool(running_on(directory)))
    os.kill(next(iter(running_on(directory).values())), signal.SIGKILL)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 0, output
    assert "goes on from its last checkpoint" in output
    assert outcomes(directory) == outcomes(tmp_path / "alone")
    assert front(directory) == front(tmp_path / "alone")
