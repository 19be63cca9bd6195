"""Partial: a training that is cut off goes on from here, not from its first epoch, and ends with the same numbers."""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from .jobs import Job
from .room import disk_is_full

__all__ = ["Partial"]

SAVE_EVERY_S = 20.0
"""A training that is cut off loses at most so much, and the epoch it was in."""


class Partial(L.Callback):
    """Writes a whole checkpoint at the end of an epoch now and then; the last callback of a Trainer, so that it holds the others.

    Args:
        folder: of the trial; the file is ``partial.ckpt`` in it.
        job: that is being done. A file that another job left is not taken up.
        every_s: shortest time between two of them.
    """

    def __init__(self, folder: Path, job: Job, every_s: float = SAVE_EVERY_S) -> None:
        self.file, self.every_s = folder / "partial.ckpt", every_s
        self._job = hashlib.sha256(json.dumps(job.as_dict(), sort_keys=True).encode()).hexdigest()
        self._saved = time.monotonic()

    def found(self) -> Path | None:
        """The file, when it is whole and of this job."""
        try:
            held = torch.load(self.file, weights_only=True, map_location="cpu")
            mine = held["callbacks"][self.state_key]["job"] == self._job
        except FileNotFoundError:
            return None
        except Exception:  # torn, or of another version: the training begins again
            mine = False
        if not mine:
            self.remove()
        return self.file if mine else None

    def save(self, trainer: L.Trainer) -> None:
        """Write it now; a disk without room is none of the training's business."""
        temporary = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        try:
            trainer.save_checkpoint(temporary, weights_only=False)
            if trainer.is_global_zero:
                temporary.replace(self.file)
        except (OSError, RuntimeError) as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            if not disk_is_full(error):
                raise
        self._saved = time.monotonic()

    def remove(self) -> None:
        """The job is done, or the file is of no use."""
        self.file.unlink(missing_ok=True)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        due = time.monotonic() - self._saved >= self.every_s and not trainer.should_stop
        if trainer.strategy.broadcast(due):  # all ranks save, or none
            self.save(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"job": self._job}
