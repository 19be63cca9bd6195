"""Processes: what a worker process is started with, its GPUs among it, and how it died."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence

__all__ = ["gpu_environment", "gpus_here", "how_it_died", "worker_environment"]

VISIBLE = "CUDA_VISIBLE_DEVICES"


def worker_environment(threads: int) -> dict[str, str]:
    """What a worker process gets beside this process's own environment: its threads, and the same modules to import."""
    one = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {**one, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def how_it_died(code: int) -> str:
    """The exit status of a process in words."""
    if code >= 0:
        return f"exit status {code}"
    hint = "; out of memory?" if code == -signal.SIGKILL else ""
    return f"signal {-code}, {signal.Signals(-code).name}{hint}"


def gpus_here(environment: Mapping[str, str] | None = None) -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them; all there are when it is not set.

    Example:
        >>> gpus_here({"CUDA_VISIBLE_DEVICES": "2,3"}), gpus_here({"CUDA_VISIBLE_DEVICES": ""})
        (['2', '3'], [])
    """
    given = (os.environ if environment is None else environment).get(VISIBLE)
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    import torch

    return [str(k) for k in range(torch.cuda.device_count())]


def gpu_environment(gpus: Sequence[str], worker: int, each: int = 1) -> dict[str, str]:
    """What a worker's environment needs to see its own GPUs only: ``each`` of them, the next worker the next ones, round and round.

    Args:
        gpus: of the machine, as :func:`gpus_here` has them.
        worker: 0, 1, ...: its seat on this machine.
        each: devices of a trial.

    Example:
        >>> [gpu_environment(["0", "1"], worker)["CUDA_VISIBLE_DEVICES"] for worker in range(3)]
        ['0', '1', '0']
        >>> gpu_environment(["0", "1", "2", "3"], 1, each=2)
        {'CUDA_VISIBLE_DEVICES': '2,3'}
        >>> gpu_environment(["0"], 0), gpu_environment([], 0)
        ({}, {})
    """
    if len(gpus) <= each:
        return {}
    places = len(gpus) // each
    first = worker % places * each
    return {VISIBLE: ",".join(gpus[first : first + each])}
