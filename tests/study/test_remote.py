"""Studies whose jobs wait in the storage, done by worker processes that come, die and go."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlightning.cli import main
from snnlightning.errors import StudyError
from snnlightning.study import Study, serving
from snnlightning.study import remote as remote_module
from snnlightning.study.queue import JobQueue, key_of
from snnlightning.study.remote import RemotePool
from snnlightning.study.serving import serve_directory, worker_name
from snnlightning.study.storage import open_storage

from .conftest import config, front, outcomes, states

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups of POSIX systems")
LONGER: dict[str, Any] = {"trials": 6, "trainer": {"max_epochs": 6, "accelerator": "cpu"}}


def wait_until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "that did not happen"
        time.sleep(0.02)


def finished(directory: Path) -> int:
    return len(outcomes(directory)) if (directory / "trials.csv").exists() else 0


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "s"
    Study(config(**LONGER), directory).run(workers=0)
    return directory


def running_on(directory: Path) -> dict[str, int]:
    """Trials that are being worked on, by the process number of their worker."""
    if not (directory / "versions.json").exists():
        return {}
    storage = open_storage(directory)
    try:
        tickets = JobQueue(storage, "tiny").tickets()
    except StudyError:
        return {}
    finally:
        storage.close()
    return {
        ticket.worker: int(ticket.worker.split(":")[1])
        for ticket in tickets
        if ticket.state == "running" and ticket.worker
    }


def test_a_study_with_workers_elsewhere_finds_what_one_process_finds(
    uninterrupted: Path,
    tmp_path: Path,
    write_config: Callable[..., Path],
    start: Callable[..., "subprocess.Popen[str]"],
) -> None:
    """One worker joins by the directory, one by storage and name; one of them is killed; the study itself is killed as well."""
    directory, path = tmp_path / "s", write_config(**LONGER)
    study = start("study", "run", path, "--dir", directory, "--workers", 0, "--remote")
    wait_until((directory / "workers.log").exists)
    workers = [start("study", "worker", directory)]
    wait_until(lambda: finished(directory) >= 1)
    study.kill()
    study.communicate()
    study = start("study", "run", path, "--dir", directory, "--workers", 0, "--remote")
    workers.append(start("study", "worker", "--storage", f"sqlite:///{directory}/study.db", "--study", "tiny"))
    wait_until(lambda: finished(directory) >= 3)
    workers[1].terminate()  # gives its job back
    output, _ = workers[1].communicate(timeout=60)
    assert workers[1].returncode == 0, output
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 0, output
    assert "has joined" in output
    assert outcomes(directory) == outcomes(uninterrupted)
    assert front(directory) == front(uninterrupted)
    output, _ = workers[0].communicate(timeout=60)
    assert workers[0].returncode == 0, output
    assert "jobs done" in output


def test_a_worker_that_is_killed_costs_no_result(
    uninterrupted: Path,
    tmp_path: Path,
    write_config: Callable[..., Path],
    start: Callable[..., "subprocess.Popen[str]"],
) -> None:
    directory = tmp_path / "s"
    study = start("study", "run", write_config(**LONGER), "--dir", directory, "--workers", 2, "--remote")
    wait_until(lambda: bool(running_on(directory)))
    worker = next(iter(running_on(directory).values()))
    os.kill(worker, signal.SIGKILL)
    output, _ = study.communicate(timeout=120)
    assert study.returncode == 0, output
    assert "SIGKILL" in output
    assert "goes on from its last checkpoint" in output
    assert outcomes(directory) == outcomes(uninterrupted)
    assert front(directory) == front(uninterrupted)


@pytest.mark.slow
def test_a_silent_worker_loses_its_job(tmp_path: Path) -> None:
    """A worker that stands still (SIGSTOP) beats no more; when it wakes up it is told that the job is somebody else's."""
    directory = tmp_path / "s"
    told: list[str] = []

    class Observer:
        def note(self, text: str) -> None:
            told.append(text)
            if "has joined" in text and len(stopped) < 1:
                stopped.append(int(text.split(":")[1].split(maxsplit=1)[0]))
                os.kill(stopped[0], signal.SIGSTOP)

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *arguments: None

    stopped: list[int] = []
    Study(config(trials=2), directory).run(workers=2, observers=[Observer()], remote=True, lease_s=2.0)  # type: ignore[list-item]
    assert any("nothing was heard of it for 2 s" in sentence for sentence in told), told
    assert [row["state"] for row in outcomes(directory)] == ["complete", "complete"]


@pytest.mark.slow
def test_a_job_that_kills_its_workers_fails_after_so_many_tries(
    tmp_path: Path, write_config: Callable[..., Path], start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    directory = tmp_path / "s"
    path = write_config(
        trials=2,
        retries=1,
        in_flight=1,
        model={"class_path": "tests.study.user_models.Troubled", "init_args": {}},
        space={"model.trouble": ["none", "killed"]},
        start=[{"model.trouble": "killed"}, {"model.trouble": "none"}],
    )
    for options in (("--remote",), ()):
        where = directory.with_name(f"s{len(options)}")
        study = start("study", "run", path, "--dir", where, "--workers", 1, *options)
        output, _ = study.communicate(timeout=120)
        assert study.returncode == 0, output
        rows = outcomes(where)
        assert [row["state"] for row in rows] == ["failed", "complete"], rows
        assert "SIGKILL" in rows[0]["reason"]
        assert ("attempt 2 of 2" if options else "2 times") in rows[0]["reason"]
        assert set(states(where)) == {"FAIL", "COMPLETE"}


def test_a_worker_without_a_study_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "of_another_study.db"
    open_storage(tmp_path, f"sqlite:///{database}").close()
    for arguments, words in (
        ([str(tmp_path)], "holds no study that has been started"),
        ([], "needs DIR, or --storage URL and --study NAME"),
        (["--study", "x"], "--study NAME needs --storage URL"),
        (["--storage", f"sqlite:///{tmp_path}/x.db", "--study", "x"], f"there is no database at {tmp_path}/x.db"),
        (["--storage", f"sqlite:///{database}", "--study", "x"], "holds no jobs of a study named 'x'"),
        ([str(tmp_path), "--idle", "-1"], "--idle is -1"),
    ):
        assert main(["study", "worker", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not (tmp_path / "x.db").exists(), "a mistyped path makes nothing"


def test_a_worker_of_a_study_that_hands_out_no_jobs_says_so(tmp_path: Path) -> None:
    Study(config(trials=1), tmp_path / "s").run(workers=0)
    with pytest.raises(StudyError, match="holds no jobs of a study named 'tiny'"):
        serve_directory(tmp_path / "s")


def test_status_says_who_works_on_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Study(config(trials=1), tmp_path / "s")
    study.run(workers=0)
    assert study.workers() == []
    storage = open_storage(tmp_path / "s")
    queue = JobQueue(storage, "tiny", create=True)
    queue.publish({"order": 7, "number": 4})
    assert study.workers() == []
    claim = queue.claim("far-away:12")
    assert claim is not None
    assert main(["study", "status", str(tmp_path / "s")]) == 0
    assert "workers    far-away:12 (trial 4)" in capsys.readouterr().out
    storage.close()


@pytest.mark.slow
def test_a_directory_of_another_study_is_refused_by_a_worker(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Study(config(trials=1), tmp_path / name).run(workers=1, remote=True)
    with pytest.raises(StudyError, match="belongs to another study"):
        serve_directory(tmp_path / "a", f"sqlite:///{tmp_path}/b/study.db")


@pytest.mark.slow
def test_a_worker_that_finds_nothing_to_do_ends(tmp_path: Path) -> None:
    Study(config(trials=1), tmp_path / "s").run(workers=1, remote=True)
    storage = open_storage(tmp_path / "s")
    queue = JobQueue(storage, "tiny")
    queue.open(queue.about())  # as after a kill of the study
    storage.close()
    before = time.monotonic()
    assert serve_directory(tmp_path / "s", idle_s=0.2) == 0
    assert time.monotonic() - before < 30.0


def test_a_worker_of_a_study_waits_for_jobs_as_long_as_the_study_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long training keeps the others idle for hours; workers that went home would be taken for ones that do not start."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(serving, "serve_directory", lambda directory, **options: given.update(options))
    serving.main(str(tmp_path))
    assert given["idle_s"] == math.inf


def test_the_job_of_a_worker_that_had_to_be_killed_is_free_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch may be longer than a study waits at its end; its next run must not wait for the lease as well."""
    monkeypatch.setattr(remote_module, "_GOODBYE_S", 0.2)
    storage = open_storage(tmp_path)
    queue = JobQueue(storage, "tiny", create=True)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    pool = RemotePool(queue, tmp_path, {})
    pool.__enter__()
    worker = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.readline()
    worker.stdout.close()
    pool._processes.append(worker)
    for number in range(2):
        pool.submit({"order": number, "number": number})
    queue.claim(worker_name(worker.pid))
    queue.claim("far-away:1")
    pool.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [ticket.state for ticket in queue.tickets()] == ["lost", "running"]
    assert queue.is_open, "the study goes on later, and workers elsewhere with it"
    storage.close()


def test_a_run_without_workers_elsewhere_ends_what_an_interrupted_one_has_put_up(tmp_path: Path) -> None:
    """A worker that took up an old job would write an earlier state of its trial over the last one."""
    study = Study(config(trials=1), tmp_path / "s")
    study.run(workers=0)
    storage = open_storage(tmp_path / "s")
    queue = JobQueue(storage, "tiny", create=True)
    queue.open({})
    queue.publish({"order": 0, "number": 0})
    study.run(workers=0)
    assert not queue.is_open
    assert queue.claim("late:1") is None
    storage.close()


def test_a_job_whose_files_are_gone_is_done_again(tmp_path: Path) -> None:
    """A study asks only for what it does not find in its directory, whatever the queue says; what has failed, has failed."""
    storage = open_storage(tmp_path)
    queue = JobQueue(storage, "tiny", create=True)
    tasks = [{"order": number, "number": number} for number in range(3)]
    for task, kind in zip(tasks, ("finished", "failed", None), strict=True):
        queue.publish(task)
        claim = queue.claim("far-away:1")
        assert claim is not None
        if kind is not None:
            claim.send({"type": kind, "order": task["order"]})
    pool = RemotePool(queue, tmp_path, {})
    for task in tasks:
        pool.submit(task)
    states_now = [(ticket.key == key_of(tasks[0]), ticket.state) for ticket in queue.tickets()]
    assert states_now == [(True, "done"), (False, "done"), (False, "running"), (True, "waiting")]
    storage.close()
