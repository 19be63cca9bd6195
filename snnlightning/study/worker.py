"""A worker process: reads jobs as JSON lines on standard input, does them, answers on standard output.

:mod:`snnlightning.study.pool` starts it. It lives as long as its input: when the study that started it is gone,
it reads the end of its input, or cannot write an epoch's line, and ends. Interrupts are the study's to handle.
"""

import contextlib
import dataclasses
import json
import logging
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .jobs import Job, JobLostError, TrialError
from .ranks import ranks
from .room import disk_is_full

if TYPE_CHECKING:
    import lightning.pytorch as L

__all__ = ["Task", "execute", "main"]

Task = dict[str, Any]
"""A :class:`~snnlightning.study.jobs.Job` as a mapping, with ``ranking``: pairs (metric, sign), most important first, sign -1
where higher is better; ``profiles``: the chips on which objectives are measured; and ``root``, when its files go below a
folder of the study's directory."""


def execute(task: Task, directory: Path, send: Any, leads: bool = True, last: Sequence["L.Callback"] = ()) -> None:
    """Run one job and send its messages: any number of ``epoch`` and ``note``, then ``finished`` or ``failed``.

    Args:
        task: the job.
        directory: of the study.
        send: called with each message.
        leads: whether this process is rank 0 of the training; it starts the others.
        last: callbacks behind those of the study.
    """
    number, order = task["number"], task["order"]
    from .trial import run_trial

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        send({"type": "epoch", "number": number, "epoch": epoch, "metrics": metrics})

    def told(sentence: str) -> None:
        send({"type": "note", "text": f"trial {number}: {sentence}"})

    def failed(reason: str) -> None:
        send({"type": "failed", "order": order, "reason": reason})

    try:
        job = Job.of({key: value for key, value in task.items() if key not in ("ranking", "profiles", "root")})
        with ranks(task, directory) if leads else contextlib.nullcontext():
            result = run_trial(
                job, directory / task.get("root", "."), task["ranking"], on_epoch, task["profiles"], told, leads, last
            )
    except (KeyboardInterrupt, BrokenPipeError, JobLostError):
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or _memory_ran_out(error):
            return failed("out of memory")
        traceback.print_exc(file=sys.stderr)
        reason = " ".join(str(error).split()) or "no message"
        if disk_is_full(error):
            return failed(f"no room on the disk: {reason}")
        failed(reason if isinstance(error, TrialError) else f"{type(error).__name__}: {reason}")
    else:
        send({"type": "finished", **dataclasses.asdict(result)})


def _memory_ran_out(error: Exception) -> bool:
    """Whether PyTorch could not get memory: on an accelerator it has a class for that, on the CPU only words."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def be_quiet() -> None:
    """Silence what Lightning prints for every Trainer; a study makes hundreds."""
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", module=r"torch\.jit.*")


def main(directory: str, threads: str, members: str = "1") -> None:
    """A worker process, from start to end."""
    try:
        _serve(directory, int(threads), int(members))
    except BrokenPipeError:
        # The study is gone; there is nobody to tell.
        os._exit(1)


def _serve(directory: str, threads: int, members: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not mix with the answers: standard output becomes standard error, our own end of it
    # keeps the original.
    answers: TextIO = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(threads)
    be_quiet()

    def send(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")

    send({"type": "ready"})
    if members == 1:
        for line in sys.stdin:
            execute(json.loads(line), Path(directory), send)
    else:
        _serve_together(Path(directory), members, send)


def _serve_together(directory: Path, members: int, send: Callable[[dict[str, Any]], None]) -> None:
    """Jobs that come while others run begin with their next epoch."""
    from .grouping import Group

    came: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            came.put(line)
        came.put(None)

    threading.Thread(target=listen, daemon=True).start()
    group = Group(members, directory, send)
    while True:
        while group.free and (group.free == members or not came.empty()):
            line = came.get()
            if line is None:
                return
            group.add(json.loads(line))
        group.step()
