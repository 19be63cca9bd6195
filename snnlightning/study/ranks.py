"""Ranks: one training on several devices of this machine, by Lightning's own strategies (``trainer: {devices: 2, strategy: ddp}``).

The worker that has the job is rank 0: it alone writes files and sends messages. The other ranks are processes of the same training, which
start and end with it.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from .jobs import TrialError
from .processes import how_it_died, worker_environment

__all__ = ["main", "ranks"]

_ENTRY = "import sys; from snnlightning.study.ranks import main; main(*sys.argv[1:])"
_GOODBYE_S = 60.0
_GRACE_S = 2.0
"""Between the end of a connection and the end of the process whose it was."""
_PATIENCE_S = 30.0
"""A rank that is gone ends the others at their next exchange; where that hangs, this long later."""


@contextlib.contextmanager
def ranks(task: Mapping[str, Any], directory: Path) -> Iterator[None]:
    """The other ranks of a job, and this process as rank 0, for as long as ``with`` lasts; nothing for a single device.

    Args:
        task: the job.
        directory: of the study.
    """
    count = int(task["config"]["trainer"].get("devices", 1))
    if count == 1:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(count), "NODE_RANK": "0"}
    before = {name: os.environ.get(name) for name in (*own, "LOCAL_RANK")}
    others = [_start(task, directory, threads, {**own, "LOCAL_RANK": str(rank)}) for rank in range(1, count)]
    over = threading.Event()
    threading.Thread(target=_watch, args=(others, over), daemon=True).start()
    os.environ.update(own, LOCAL_RANK="0")
    done = False
    try:
        yield
        done = True
    except Exception as error:
        cause = None if isinstance(error, TrialError) else _cause(others)
        if cause is not None:
            raise TrialError(cause) from error
        raise
    finally:
        over.set()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for process in others:
            _end(process, _GOODBYE_S if done else 0.0)


def _start(
    task: Mapping[str, Any], directory: Path, threads: int, environment: Mapping[str, str]
) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", _ENTRY, str(directory), str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **worker_environment(threads), **environment},
        start_new_session=True,  # Ctrl-C is for rank 0, which then ends the others
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()  # and it stays open: its end tells the rank that this process is gone
    return process


def _end(process: "subprocess.Popen[str]", seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def _cause(others: "list[subprocess.Popen[str]]") -> str | None:
    """What ended another rank while this one still held its end of the exchange: it failed first, and this one only heard of it."""
    end = time.monotonic() + _GRACE_S
    while time.monotonic() < end:
        for rank, process in enumerate(others, start=1):
            code = process.poll()
            if code is not None and code < 0:
                return f"another rank of the training died ({how_it_died(code)})"
            if code:
                assert process.stdout is not None
                return f"rank {rank}: {process.stdout.read().strip() or how_it_died(code)}"
        time.sleep(0.05)
    return None


def _watch(others: "list[subprocess.Popen[str]]", over: threading.Event) -> None:
    """End this process when another rank died and the exchange with it hangs; the job is then taken up again by another worker."""
    while not over.wait(1.0):
        dead = [process.returncode for process in others if process.poll() not in (None, 0)]
        if dead and not over.wait(_PATIENCE_S):
            print(f"another rank died ({how_it_died(dead[0])}), and this one waits for it", file=sys.stderr, flush=True)
            os._exit(1)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main(directory: str, threads: str) -> None:
    """A rank other than 0, from start to end."""
    import torch

    from .worker import be_quiet, execute

    if hasattr(signal, "pthread_sigmask"):
        # A scheduler tells all processes of a job to stop; rank 0 answers. Ignoring it would not do: Lightning puts a handler of
        # its own there, which exchanges something with the other ranks in the middle of whatever they are at.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    task = json.loads(sys.stdin.readline())
    reason: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no reason
    threading.Thread(target=_end_with_rank_0, daemon=True).start()
    torch.set_num_threads(int(threads))
    be_quiet()
    messages: list[dict[str, Any]] = []
    execute(task, Path(directory), messages.append, leads=False)
    if messages[-1]["type"] == "finished":
        os._exit(0)
    reason.write(messages[-1]["reason"])
    reason.flush()
    os._exit(1)  # without waiting for a rank that has failed


def _end_with_rank_0() -> None:
    sys.stdin.read()
    os._exit(1)
