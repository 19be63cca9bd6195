"""A study that is killed, interrupted or loses a worker, as real processes."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlightning.cli import main
from snnlightning.study import Study
from snnlightning.study.interrupts import Interrupts
from snnlightning.tracking import WandbTracker

from .conftest import config, front, outcomes, processes_of, start_cli, states

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups of POSIX systems")
LONGER = {"trials": 8, "trainer": {"max_epochs": 6, "accelerator": "cpu"}}


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the study ended before it could be interrupted:\n{process.stdout.read()}"
        assert time.monotonic() < end, "the study did not get that far"
        time.sleep(0.02)


def finished(directory: Path) -> int:
    return len(outcomes(directory)) if (directory / "trials.csv").exists() else 0


def workers_of(directory: Path) -> list[int]:
    """Process numbers of the workers of a study."""
    return processes_of(directory, "snnlightning.study.worker")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "s"
    Study(config(**LONGER), directory).run(workers=0)
    return directory


def test_a_killed_study_goes_on_and_ends_as_if_it_had_not_been(
    uninterrupted: Path, tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    """SIGKILL twice, at different moments: no finished trial is lost, none stays open, and every number is the same."""
    directory = tmp_path / "s"
    path = write_config(**LONGER)
    for at_least in (1, 4):
        process = start_cli("study", "run", path, "--dir", directory, "--workers", 2, cwd=tmp_path)
        try:
            wait_until(lambda goal=at_least: finished(directory) >= goal, process)
        finally:
            process.kill()
            process.communicate()
        kept = outcomes(directory)
        assert kept == outcomes(uninterrupted)[: len(kept)]
    process = start_cli("study", "run", path, "--dir", directory, "--workers", 2, cwd=tmp_path)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert outcomes(directory) == outcomes(uninterrupted)
    assert front(directory) == front(uninterrupted)
    assert set(states(directory)) == {"COMPLETE"}


def test_workers_of_a_killed_study_end_by_themselves(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("there is no /proc to look for processes in")
    directory = tmp_path / "s"
    process = start_cli("study", "run", write_config(**LONGER), "--dir", directory, "--workers", 2, cwd=tmp_path)
    try:
        wait_until(lambda: finished(directory) >= 1, process)
        assert len(workers_of(directory)) == 2
    finally:
        process.kill()
        process.communicate()
    end = time.monotonic() + 30.0
    while workers_of(directory) and time.monotonic() < end:
        time.sleep(0.05)
    assert workers_of(directory) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_cleanly_with_the_front_written(
    number: signal.Signals, tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    directory = tmp_path / "s"
    path = write_config(**{**LONGER, "trials": 500})
    process = start_cli("study", "run", path, "--dir", directory, "--workers", 1, cwd=tmp_path)
    try:
        wait_until(lambda: finished(directory) >= 2, process)
    except BaseException:
        process.kill()
        raise
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert "run the same command again" in output
    assert "RUNNING" not in states(directory)
    done = [row for row in outcomes(directory) if row["state"] == "complete"]
    assert front(directory)["points"] or not done
    assert (directory / "report.html").exists()


def test_an_interrupt_in_a_study_without_workers_leaves_no_trial_open(
    tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    directory = tmp_path / "s"
    path = write_config(**{**LONGER, "trials": 500})
    process = start_cli("study", "run", path, "--dir", directory, "--workers", 0, cwd=tmp_path)
    try:
        wait_until(lambda: finished(directory) >= 1, process)
    except BaseException:
        process.kill()
        raise
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "RUNNING" not in states(directory)


def test_an_interrupt_before_any_trial_has_finished_leaves_a_study_that_can_be_read(tmp_path: Path) -> None:
    class Impatient(WandbTracker):
        def asked(self, number: int, params: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Study(config(), tmp_path / "s").run(workers=0, observers=[Impatient("disabled")])
    assert outcomes(tmp_path / "s") == []
    assert front(tmp_path / "s")["points"] == []
    assert main(["study", "status", str(tmp_path / "s")]) == 0


def test_an_interrupt_is_not_lost_where_python_ignores_exceptions() -> None:
    """A signal may come while the callback of a weak reference runs: what its handler raises there goes nowhere."""
    interrupts = Interrupts(wake=lambda: None)
    with interrupts:
        interrupts.at_once = True
        with contextlib.suppress(KeyboardInterrupt):  # as the interpreter does there
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5.0)
        interrupts.at_once = False
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_status_works_while_the_study_runs(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    directory = tmp_path / "s"
    path = write_config(**{**LONGER, "trials": 500})
    process = start_cli("study", "run", path, "--dir", directory, "--workers", 1, cwd=tmp_path)
    try:
        wait_until(lambda: finished(directory) >= 1, process)
        status = start_cli("study", "status", directory, cwd=tmp_path)
        output, _ = status.communicate(timeout=60)
        assert status.returncode == 0, output
        assert "of 500:" in output
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
