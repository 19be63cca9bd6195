"""Versions: what decides a number besides the configuration, and how many cores there are to compute it with."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["usable_cores", "versions"]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of everything that decides a number, and the machine's kind."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in ("snnlightning", "torch", "lightning", "torchmetrics", "optuna", "numpy", "scikit-learn", "wandb"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "cores": str(usable_cores()), "threads_per_worker": "1", "executable": Path(sys.executable).name}
