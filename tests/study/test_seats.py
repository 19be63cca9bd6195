"""Workers that are started one by one on a machine with several GPUs take different ones."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snnlightning.study.seats import own_gpus, seat

from .conftest import REPOSITORY, config

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file locks of POSIX systems")


def places(count: int, gpus: list[str], each: int, folder: Path) -> list[int]:
    with contextlib.ExitStack() as held:
        return [held.enter_context(seat(gpus, each, folder)) for _ in range(count)]


def test_the_gpu_that_the_fewest_have_is_next(tmp_path: Path) -> None:
    assert places(5, ["0", "1"], 1, tmp_path) == [0, 1, 0, 1, 0]
    assert places(3, ["0", "1", "2", "3", "4"], 2, tmp_path) == [0, 1, 0]


def test_a_seat_that_was_left_is_taken_again(tmp_path: Path) -> None:
    with seat(["0", "1"], 1, tmp_path) as first:
        with seat(["0", "1"], 1, tmp_path) as second:
            assert (first, second) == (0, 1)
        with seat(["0", "1"], 1, tmp_path) as third:
            assert third == 1


def test_seats_are_those_of_gpus_and_not_of_places(tmp_path: Path) -> None:
    """A worker that may use 1 and 2 only meets one that has 1."""
    with seat(["1"], 1, tmp_path), seat(["1", "2"], 1, tmp_path) as place:
        assert place == 1


def test_another_process_sees_which_are_taken(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from snnlightning.study.seats import own_gpus\n"
        "with own_gpus(1, Path(sys.argv[1])) as mine: print(mine, flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "4,GPU-5", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with contextlib.ExitStack() as open_ones:
        seen = []
        for _ in range(2):
            process = open_ones.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            )
            assert process.stdout is not None
            seen.append(process.stdout.readline().strip())
            if len(seen) == 1:
                process.kill()  # and with it goes its lock
                process.wait()
                seen.append(places(1, ["4", "GPU-5"], 1, tmp_path)[0])
    assert seen == ["4", 0, "4"]


def test_what_is_visible_is_its_own_as_long_as_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    with own_gpus(1, tmp_path) as first, own_gpus(1, tmp_path) as second:
        assert (first, second) == ("6", None), "of one GPU there is no choice"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6,7"
    with own_gpus(0, tmp_path) as none:
        assert none is None
    assert not list(tmp_path.glob("7*"))


def test_a_study_on_the_cpu_takes_no_gpu() -> None:
    assert config().gpus == 0
    assert config(trainer={"max_epochs": 1}).gpus == 1
    assert config(trainer={"max_epochs": 1, "accelerator": "gpu", "devices": 2}).gpus == 2
