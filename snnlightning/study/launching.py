"""Launching: SLURM starts the workers of a study, as one array, through submitit. The study itself stays where it was called.

The workers are those of ``snnlightning study worker``: an array task that dies costs nothing but the time since the last
checkpoint, and tasks that come late take what is left.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import StudyError, require
from .files import read_json, write_json
from .processes import worker_environment

__all__ = ["slurm_workers"]

MINUTES = 240
"""Time limit of a worker when none is given. Shortly before it ends, SLURM asks the worker to give its job back."""


@contextlib.contextmanager
def slurm_workers(
    directory: Path,
    count: int,
    url: str | None = None,
    options: Mapping[str, Any] | None = None,
    told: Callable[[str], None] = lambda sentence: None,
) -> Iterator[list[str]]:
    """Workers of a study as a SLURM array, for as long as ``with`` lasts.

    ``DIR/slurm.json`` holds the numbers of the jobs; those that a killed study left behind are cancelled first.

    Args:
        directory: of the study, on a file system that the nodes share.
        count: how many workers.
        url: of the storage. A password in it travels in the environment of the jobs, not on their command lines.
        options: of sbatch, by their long names: ``{"partition": "short", "time": "2:00:00"}``.
        told: is told in a sentence what was submitted.

    Raises:
        MissingDependencyError: submitit is not installed.
        StudyError: there is no SLURM here, or it refuses the jobs.
    """
    submitit = require("submitit", "slurm", "SLURM as the engine")
    if shutil.which("sbatch") is None:
        raise StudyError(
            "there is no SLURM here (sbatch is not found); call this on a login node, or use --engine local."
        )
    file = directory / "slurm.json"
    if file.exists():
        _cancel(read_json(file)["jobs"])
    jobs = _submit(submitit, directory, count, url, dict(options or {}))
    try:
        write_json(file, {"jobs": jobs})
        told(f"{count} workers wait in SLURM as job {jobs[0].partition('_')[0]}")
        yield jobs
    finally:
        _cancel(jobs)
        file.unlink(missing_ok=True)


def _submit(submitit: Any, directory: Path, count: int, url: str | None, options: dict[str, Any]) -> list[str]:
    from .serving import STORAGE

    executor = submitit.SlurmExecutor(folder=str(directory / "slurm"), python=sys.executable)
    own = {
        "job_name": f"snnlightning-{directory.name}",
        "array_parallelism": count,
        "cpus_per_task": 1,
        "ntasks_per_node": 1,
        "time": MINUTES,
    }
    names = {"partition", "time", "mem", "gres", "account", "qos", "constraint", "exclude", "nodelist", "comment"}
    known = {key: value for key, value in options.items() if key in names}
    rest = {key: value for key, value in options.items() if key not in names}
    executor.update_parameters(**own, **known, **({"additional_parameters": rest} if rest else {}))
    command = [sys.executable, "-m", "snnlightning", "study", "worker", str(directory.absolute())]
    # submitit hands on the environment of this process.
    given = {**worker_environment(1), STORAGE: url}  # None: one that is set here may be another study's
    with _environment(given):
        try:
            submitted = executor.map_array(_run, [command] * count)
        except Exception as error:
            what = " ".join(str(error).split())[:300]
            raise StudyError(f"SLURM has not taken the workers: {what}") from None
    return [str(job.job_id) for job in submitted]


def _run(command: list[str]) -> int:
    """What an array task does."""
    return subprocess.call(command)


@contextlib.contextmanager
def _environment(given: Mapping[str, str | None]) -> Iterator[None]:
    """The environment with these values, None for a variable that is not set, as long as ``with`` lasts."""
    before = {name: os.environ.get(name) for name in given}
    _set(given)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _cancel(jobs: list[str]) -> None:
    """Tell SLURM that the jobs are not wanted any more; those that ended are none of its business."""
    arrays = sorted({job.partition("_")[0] for job in jobs})
    if arrays:
        subprocess.run(["scancel", *arrays], check=False, capture_output=True)
