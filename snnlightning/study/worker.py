"""A worker process: reads trials as JSON lines on standard input, trains them, answers on standard output.

:mod:`snnlightning.study.pool` starts it. It lives as long as its input: when the study that started it is gone,
it reads the end of its input, or cannot write an epoch's line, and ends. Interrupts are the study's to handle.
"""

import json
import logging
import math
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

__all__ = ["Job", "execute", "main"]

Job = dict[str, Any]
"""``config`` of a trial; ``order``: pairs (metric, sign), most important first, sign -1 where higher is better; and
``profiles``: the chips on which objectives are measured."""


def execute(job: Job, directory: Path, send: Any) -> None:
    """Run one job and send its messages: any number of ``epoch``, then ``finished`` or ``failed``."""
    number = job["config"]["number"]
    from .trial import run_trial

    def better(new: Mapping[str, float], old: Mapping[str, float]) -> bool:
        for metric, sign in job["order"]:
            costs = [sign * row[metric] if math.isfinite(row.get(metric, math.nan)) else math.inf for row in (new, old)]
            if costs[0] != costs[1]:
                return bool(costs[0] < costs[1])
        return False

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        send({"type": "epoch", "number": number, "epoch": epoch, "metrics": metrics})

    try:
        result = run_trial(job["config"], directory, better, on_epoch, job.get("profiles", ()))
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except MemoryError:
        send({"type": "failed", "number": number, "reason": "out of memory"})
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        reason = " ".join(str(error).split()) or "no message"
        name = type(error).__name__
        send({"type": "failed", "number": number, "reason": reason if name == "TrialError" else f"{name}: {reason}"})
    else:
        send(
            {
                "type": "finished",
                "number": number,
                "metrics": result.metrics,
                "best_epoch": result.best_epoch,
                "epochs": result.epochs,
                "seconds": result.seconds,
                "misfits": result.misfits,
            }
        )


def be_quiet() -> None:
    """Silence what Lightning prints for every Trainer; a study makes hundreds."""
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", module=r"torch\.jit.*")


def main(directory: str, threads: str) -> None:
    """A worker process, from start to end."""
    try:
        _serve(directory, int(threads))
    except BrokenPipeError:
        # The study is gone; there is nobody to tell.
        os._exit(1)


def _serve(directory: str, threads: int) -> None:
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
    for line in sys.stdin:
        execute(json.loads(line), Path(directory), send)
