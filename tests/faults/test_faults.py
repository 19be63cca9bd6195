"""A study under faults: real processes, a real PostgreSQL, a real SLURM, real kills. It ends as if nothing had happened."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from snnlightning.study import Study
from snnlightning.study.queue import JobQueue, Ticket
from snnlightning.study.storage import open_storage
from tests.study.conftest import config, front, outcomes

from .conftest import STUDY
from .postgres import Postgres, wait_for_port
from .slurm import Slurm

Start = Callable[..., "subprocess.Popen[str]"]
Write = Callable[..., Path]
USER = {"class_path": "tests.study.user_models.Troubled", "init_args": {}}


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 200.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the study ended too early:\n{process.stdout.read()}"
        assert time.monotonic() < end, "that did not happen"
        time.sleep(0.05)


def finished(directory: Path) -> int:
    return len(outcomes(directory)) if (directory / "trials.csv").exists() else 0


def tickets(directory: Path, url: str) -> list[Ticket]:
    if not (directory / "workers.log").exists():
        return []
    storage = open_storage(directory, url)
    try:
        return JobQueue(storage, "tiny").tickets()
    finally:
        storage.close()


def workers(directory: Path, url: str) -> list[int]:
    """Process numbers of the workers that are at a job."""
    return [
        int(ticket.worker.split(":")[1])
        for ticket in tickets(directory, url)
        if ticket.state == "running" and ticket.worker
    ]


def trained(directory: Path, url: str, epochs: int) -> bool:
    """Whether a job that runs has had so many epochs."""
    return any(ticket.state == "running" and ticket.spoken >= epochs for ticket in tickets(directory, url))


def states_in(url: str) -> list[str]:
    engine = sqlalchemy.create_engine(url)
    query = "select t.state from trials t join studies s using (study_id) where s.study_name = 'tiny' order by t.number"
    with engine.connect() as connection:
        found = [str(row[0]) for row in connection.execute(sqlalchemy.text(query))]
    engine.dispose()
    return found


def ends_well(study: "subprocess.Popen[str]", directory: Path, uninterrupted: Path) -> str:
    output, _ = study.communicate(timeout=400)
    assert study.returncode == 0, output
    assert "Traceback" not in output, output
    assert outcomes(directory) == outcomes(uninterrupted)
    assert front(directory) == front(uninterrupted)
    return output


def test_worker_and_study_are_killed_in_the_middle_of_a_trial(
    postgres: Postgres, uninterrupted: Path, tmp_path: Path, write_config: Write, start: Start
) -> None:
    """First a worker, then the study, then both at once; no finished result is lost and no trial stays open."""
    directory = tmp_path / "s"
    command = ("study", "run", write_config(**STUDY), "--dir", directory, "--storage", postgres.url, "--workers", 2)
    study = start(*command)
    wait_until(lambda: trained(directory, postgres.url, 2), study)
    os.kill(workers(directory, postgres.url)[0], signal.SIGKILL)
    wait_until(lambda: finished(directory) >= 1, study)
    study.kill()
    study.communicate()
    kept = outcomes(directory)
    assert kept == outcomes(uninterrupted)[: len(kept)]
    study = start(*command)
    wait_until(lambda: finished(directory) >= len(kept) + 1 and bool(workers(directory, postgres.url)), study)
    for worker in workers(directory, postgres.url):
        with contextlib.suppress(ProcessLookupError):  # the one that was killed above may not be missed yet
            os.kill(worker, signal.SIGKILL)
    study.kill()
    study.communicate()
    kept = outcomes(directory)
    assert kept == outcomes(uninterrupted)[: len(kept)]
    ends_well(start(*command), directory, uninterrupted)
    assert states_in(postgres.url) == ["COMPLETE"] * 6
    assert {ticket.state for ticket in tickets(directory, postgres.url)} <= {"done", "lost"}


def test_a_database_that_is_away_for_a_minute(
    postgres: Postgres, uninterrupted: Path, tmp_path: Path, write_config: Write, start: Start
) -> None:
    directory = tmp_path / "s"
    study = start("study", "run", write_config(**STUDY), "--dir", directory, "--storage", postgres.url, "--workers", 2)
    wait_until(lambda: trained(directory, postgres.url, 2), study)
    postgres.stop()
    try:
        time.sleep(60.0)
        assert study.poll() is None
    finally:
        postgres.start()
    output = ends_well(study, directory, uninterrupted)
    assert "cannot be used" in output
    assert "is back after" in output
    assert postgres.password not in output
    assert states_in(postgres.url) == ["COMPLETE"] * 6


def test_a_wrong_password_is_one_line_and_damages_nothing(
    postgres: Postgres, tmp_path: Path, write_config: Write, start: Start
) -> None:
    directory = tmp_path / "s"
    path = write_config(**{**STUDY, "trials": 1})
    for url in (postgres.url_with("wrong-secret"), postgres.url_with(postgres.password, "nowhere")):
        study = start("study", "run", path, "--dir", directory, "--storage", url, "--workers", 1)
        output, _ = study.communicate(timeout=120)
        assert study.returncode == 2, output
        assert output.count("error:") == 1
        assert "Traceback" not in output
        assert "wrong-secret" not in output
        assert "cannot be used" not in output, "there is nothing to wait for"
    assert [entry.name for entry in directory.iterdir()] == ["study.lock"]
    study = start("study", "run", path, "--dir", directory, "--storage", postgres.url, "--workers", 1)
    output, _ = study.communicate(timeout=200)
    assert study.returncode == 0, output
    secret = postgres.password.encode()
    assert not [path for path in directory.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_workers_join_and_leave_by_storage_and_name(
    postgres: Postgres, uninterrupted: Path, tmp_path: Path, write_config: Write, start: Start
) -> None:
    directory = tmp_path / "s"
    study = start("study", "run", write_config(**STUDY), "--dir", directory, "--storage", postgres.url, "--workers", 0)
    wait_until((directory / "workers.log").exists, study)
    one = start("study", "worker", "--storage", postgres.url, "--study", "tiny")
    wait_until(lambda: finished(directory) >= 1, study)
    two = start("study", "worker", directory, "--storage", postgres.url)
    one.send_signal(signal.SIGTERM)
    output, _ = one.communicate(timeout=120)
    assert one.returncode == 0, output
    ends_well(study, directory, uninterrupted)
    output, _ = two.communicate(timeout=60)
    assert two.returncode == 0, output


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts Optuna's gRPC proxy before the database, always on the same port."""
    pytest.importorskip("grpc", reason="pip install 'snnlightning[grpc]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes: list[subprocess.Popen[bytes]] = []
    script = (
        "import sys, optuna; optuna.storages.run_grpc_proxy_server("
        "optuna.storages.get_storage(sys.argv[1]), host='127.0.0.1', port=int(sys.argv[2]))"
    )

    def serve() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, postgres.url, str(port)], stderr=subprocess.DEVNULL
        )
        processes.append(process)
        wait_for_port(port, 60.0)
        return process

    serve.port = port  # type: ignore[attr-defined]
    yield serve
    for process in processes:
        process.kill()
        process.wait()


def test_a_proxy_that_is_killed_and_comes_back(
    proxy: Any, uninterrupted: Path, tmp_path: Path, write_config: Write, start: Start
) -> None:
    server = proxy()
    directory = tmp_path / "s"
    url = f"grpc://127.0.0.1:{proxy.port}"
    study = start("study", "run", write_config(**STUDY), "--dir", directory, "--storage", url, "--workers", 2)
    wait_until(lambda: finished(directory) >= 1, study)
    server.kill()
    server.wait()
    time.sleep(5.0)
    proxy()
    output = ends_well(study, directory, uninterrupted)
    assert "is back after" in output


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("where", ["storage_elsewhere", "all_on_it"])
def test_a_disk_that_is_full_for_a_while(
    where: str, small_disk: Path, uninterrupted: Path, tmp_path: Path, write_config: Write, start: Start
) -> None:
    directory = small_disk / "s"
    storage = ("--storage", f"sqlite:///{tmp_path}/elsewhere.db") if where == "storage_elsewhere" else ()
    study = start(
        "study", "run", write_config(**STUDY), "--dir", directory, *storage, "--workers", 2, "--wandb", "disabled"
    )
    wait_until(lambda: finished(directory) >= 1, study)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    time.sleep(20.0)
    assert study.poll() is None, study.stdout.read()
    filler.unlink()
    output = ends_well(study, directory, uninterrupted)
    assert "full" in output


def test_trials_that_fail_in_every_way_are_recorded_and_the_study_goes_on(
    postgres: Postgres, tmp_path: Path, write_config: Write, start: Start
) -> None:
    troubles = ["nan", "memory", "raises", "killed", "none"]
    directory = tmp_path / "s"
    path = write_config(
        trials=5,
        retries=1,
        model=USER,
        space={"model.trouble": troubles},
        start=[{"model.trouble": trouble} for trouble in troubles],
    )
    study = start("study", "run", path, "--dir", directory, "--storage", postgres.url, "--workers", 2)
    output, _ = study.communicate(timeout=400)
    assert study.returncode == 0, output
    rows = outcomes(directory)
    assert [row["state"] for row in rows] == ["failed"] * 4 + ["complete"]
    for row, reason in zip(
        rows, ("train_loss became nan", "out of memory", "RuntimeError: the cat", "SIGKILL"), strict=False
    ):
        assert reason in row["reason"]
        assert float(row["charged"]) > 0.0, "a failure is paid for"
    assert "attempt 2 of 2" in rows[3]["reason"]
    assert [point["number"] for point in front(directory)["points"]] == [4]


def test_two_slurm_nodes_and_one_of_them_dies(
    slurm: Slurm,
    postgres: Postgres,
    uninterrupted: Path,
    tmp_path: Path,
    write_config: Write,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    directory = tmp_path / "s"
    study = start(
        *("study", "launch", write_config(**STUDY), "--dir", directory, "--engine", "slurm", "--workers", 2),
        *("--storage", postgres.url),
    )
    found: set[str] = set()

    def both_nodes_work() -> bool:
        found.update(node for worker in workers(directory, postgres.url) if (node := slurm.node_of(worker)))
        return found >= {"n1", "n2"} and any(
            slurm.node_of(worker) == "n2" for worker in workers(directory, postgres.url)
        )

    wait_until(both_nodes_work, study)
    slurm.kill_node("n2")
    output = ends_well(study, directory, uninterrupted)
    assert "nothing was heard of it" in output
    assert "wait in SLURM as job" in output
    end = time.monotonic() + 60.0
    while "n1" in slurm.jobs():  # SLURM takes its time to complete what was cancelled
        assert time.monotonic() < end, f"the workers were not cancelled: {slurm.jobs()}"
        time.sleep(0.2)
    assert not (directory / "slurm.json").exists()
    assert states_in(postgres.url) == ["COMPLETE"] * 6


def test_a_study_without_a_distributed_storage_runs_the_same(uninterrupted: Path, tmp_path: Path) -> None:
    """The measure of all others: worker processes and the directory's own database."""
    Study(config(**STUDY), tmp_path / "s").run(workers=2)
    assert outcomes(tmp_path / "s") == outcomes(uninterrupted)
    assert front(tmp_path / "s") == front(uninterrupted)
