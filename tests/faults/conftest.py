"""Servers for the tests of this folder. They are installed where they can be, and otherwise the tests skip and say why."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snnlightning.study import Study
from tests.study.conftest import config, start, write_config  # noqa: F401  (two are fixtures)

from .postgres import Postgres, binaries
from .slurm import Slurm, has_slurm

STUDY: dict[str, Any] = {"trials": 6, "trainer": {"max_epochs": 8, "accelerator": "cpu"}}
"""The small study of these tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.timeout(600))


def _install(*packages: str) -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], env=environment, capture_output=True, check=False, timeout=500)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    if binaries() is None:
        _install("postgresql")
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed, and could not be")
    pytest.importorskip("psycopg", reason="pip install 'snnlightning[postgres]'")
    server = Postgres(folder)
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_server: Postgres) -> Postgres:
    """A server that runs, with none of the tables of earlier tests."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(postgres_server.url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("drop schema public cascade; create schema public"))
    engine.dispose()
    return postgres_server


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    if not has_slurm():
        _install("slurm-wlm", "munge")
    if not has_slurm():
        pytest.skip("SLURM is not installed, and could not be (it needs root)")
    pytest.importorskip("submitit", reason="pip install 'snnlightning[slurm]'")
    cluster = Slurm()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the study finds when nothing happens to it."""
    directory = tmp_path_factory.mktemp("whole") / "s"
    Study(config(**STUDY), directory).run(workers=0)
    return directory
