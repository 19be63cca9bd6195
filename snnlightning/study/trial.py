"""One trial: train a network from its configuration, keep its best epoch, say what it reached.

Everything a trial needs is in the configuration it is given, and everything it did is in the files it leaves and the
result it returns: no state is shared between trials but the data set, which is the same for all that name the same one.
"""

import dataclasses
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from ..training import EnergyLogger, SpikingModule
from ..training.randomness import random_state, restore_random
from .building import build
from .edits import KeepZeros, inherit_weights
from .files import CHECKPOINT, STATE, trial_directory, write_csv, write_json, write_yaml
from .jobs import Job, StopAsked, TrialError
from .partial import Partial
from .room import with_room
from .sweep import Candidate, Sweep, can_stop, sweep_network

__all__ = ["Recorder", "TrialResult", "data_module", "run_trial"]

EpochHook = Callable[[int, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """What a training is worth: the validation metrics of its best epoch.

    ``order`` is that of the job; ``epochs`` are all that the trial has had; ``misfits`` are the limits of chips that the
    network does not keep, by profile; ``steps`` are the time steps it looks at, 0 when nobody counted; ``swept`` are the
    networks that the sweep found and ``sweep_epochs`` what it is charged.
    """

    order: int
    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    misfits: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    steps: int = 0
    swept: list[Candidate] = dataclasses.field(default_factory=list)
    sweep_epochs: float = 0.0


class Recorder(L.Callback):
    """Keeps every epoch's metrics, and the weights of the best one in memory; goes into checkpoints with all of it.

    Args:
        better: whether the first of two rows of metrics is strictly better than the second.
        on_epoch: called with the epoch and its metrics after each validation.
        until_epoch: the training stops after so many epochs, earlier than the trainer's ``max_epochs`` when that is less.
            (Learning-rate schedules are those of ``max_epochs``, so that a training may be gone on with.)
        energy: what prices the counts on the chips of the objectives, when there are any.
    """

    def __init__(
        self,
        better: Callable[[Mapping[str, float], Mapping[str, float]], bool],
        on_epoch: EpochHook,
        until_epoch: int | None = None,
        energy: EnergyLogger | None = None,
    ) -> None:
        self.better, self.on_epoch, self.until_epoch, self.energy = better, on_epoch, until_epoch, energy
        self.misfits: dict[str, list[str]] = {}
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.best_epoch = -1
        self._validated = False
        self.weights: dict[str, torch.Tensor] = {}
        self._random: dict[str, Any] | None = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._validated = not trainer.sanity_checking

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # What was drawn in building the model again is drawn back, before a loader draws its order.
        if self._random is not None:
            restore_random(self._random)
            self._random = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.until_epoch is not None and len(self.rows) >= self.until_epoch:
            trainer.should_stop = True  # it was cut off after its last epoch: there is nothing left to train

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        validated, self._validated = self._validated, False
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if validated or not name.startswith("val_")  # those of an earlier epoch
        }
        if validated and isinstance(pl_module, SpikingModule):
            # The logger's copies went through float32; the counts themselves did not.
            metrics.update(pl_module.counted("val"))
            if self.energy is not None:
                metrics.update(self.energy.values["val"])
        self.rows.append({"epoch": trainer.current_epoch, **metrics})
        for name in ("train_loss", "val_loss"):
            if not math.isfinite(metrics.get(name, 0.0)):
                raise TrialError(f"{name} became {metrics[name]} in epoch {trainer.current_epoch}")
        if validated and (self.best is None or self.better(metrics, self.best)):
            self.best, self.best_epoch = metrics, trainer.current_epoch
            self.misfits = {} if self.energy is None else self.energy.misfits["val"]
            self.weights = {key: value.detach().clone() for key, value in pl_module.state_dict().items()}
        if self.until_epoch is not None and trainer.current_epoch + 1 >= self.until_epoch:
            trainer.should_stop = True
        self.on_epoch(trainer.current_epoch, metrics)

    def state_dict(self) -> dict[str, Any]:
        kept = ("rows", "best", "best_epoch", "misfits", "weights")
        return {**{name: getattr(self, name) for name in kept}, "random": random_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        self._random = state.pop("random")
        for name, value in state.items():
            setattr(self, name, value)


class OwnSignals(L.Callback):
    """Puts back who answered SIGTERM before Lightning did, in a training on several devices.

    Lightning's handler exchanges something with the other ranks, wherever this one happens to be; they take it for what they wait
    for, and all of them hang.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        before: Any = trainer._signal_connector._original_handlers.get(signal.SIGTERM)
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


_DATA: dict[str, L.LightningDataModule] = {}
"""Data modules of this worker process by configuration; they hold data, never anything a trial changes."""
_DATA_LIMIT = 2


def data_module(component: Mapping[str, Any]) -> L.LightningDataModule:
    """The data module of a configuration, loaded once per process."""
    key = json.dumps(component, sort_keys=True, default=str)
    if key not in _DATA:
        while len(_DATA) >= _DATA_LIMIT:
            _DATA.pop(next(iter(_DATA)))
        _DATA[key] = build("data", component)
    return _DATA[key]


def run_trial(
    job: Job,
    directory: Path,
    ranking: Sequence[tuple[str, float]],
    on_epoch: EpochHook = lambda epoch, metrics: None,
    profiles: Sequence[str] = (),
    told: Callable[[str], None] = lambda sentence: None,
    leads: bool = True,
    last: Sequence[L.Callback] = (),
) -> TrialResult:
    """Do a job: train a configuration, go on with a training (also one that was cut off in this job), or train a child.

    Args:
        job: what to do.
        directory: the study's directory; ``trials/<number>/`` gets ``config.yaml``, ``metrics.csv``, ``best.ckpt``, the whole
            state of the training (``last.ckpt``) when the job says so, and, last of all, ``result.json``.
        ranking: which of two epochs is the better one: pairs (metric, sign), most important first, sign -1 where higher is
            better.
        on_epoch: called after every epoch.
        profiles: chips on which every validation is priced.
        told: is told in a sentence what the training waits for.
        leads: whether this process is rank 0 of the training, which writes the files; see :mod:`snnlightning.study.ranks`.
        last: callbacks behind those of the study.

    Raises:
        TrialError: the loss is not finite, or there was no validation epoch.
        SnnLightningError: the configuration cannot be built.
    """
    started = time.perf_counter()
    config = job.config
    folder = trial_directory(directory, job.number)
    folder.mkdir(parents=True, exist_ok=True)
    if leads:
        (folder / "result.json").unlink(missing_ok=True)
        with_room(lambda: write_yaml(folder / "config.yaml", config), folder, told)
    L.seed_everything(int(config["seed"]), workers=False, verbose=False)
    data = data_module(config["data"])
    model = build("model", config["model"])
    energy = EnergyLogger(profiles) if profiles else None
    partial = Partial(folder, job)
    before = partial.found() or (folder / STATE if job.action == "resume" else None)
    recorder = Recorder(better_by(ranking), on_epoch, job.until_epoch, energy)
    callbacks: list[L.Callback] = [energy] if energy else []
    if int(config["trainer"].get("devices", 1)) > 1:
        callbacks.append(OwnSignals())
    if job.action == "child":
        assert job.parent is not None
        # A child that was cut off has its own weights and optimizer state by now.
        parent = trial_directory(directory, job.parent)
        callbacks += [inherit_weights(model, parent, job.edits)] if before is None else []
        callbacks.append(KeepZeros())
    trainer = quiet_trainer(
        callbacks=[*callbacks, recorder, partial, *last], default_root_dir=str(folder), **config["trainer"]
    )
    try:
        trainer.fit(model, datamodule=data, ckpt_path=before)
    except StopAsked:
        if trainer.world_size == 1:  # else the other ranks are in the next epoch by now
            partial.save(trainer)
        raise
    finally:
        columns = dict.fromkeys(key for row in recorder.rows for key in row)
        if recorder.rows and leads:
            with_room(lambda: write_csv(folder / "metrics.csv", columns, recorder.rows), folder, told)
    if recorder.best is None:
        raise TrialError("no epoch was trained and validated; check trainer.max_epochs and check_val_every_n_epoch")
    if job.keep_state:
        with_room(lambda: _save(trainer, folder / STATE, weights_only=False), folder, told)
    model.load_state_dict(recorder.weights)
    swept: list[Candidate] = []
    charged = 0.0
    if job.sweep is not None and _worth_a_sweep(job, ranking, recorder.best):
        swept, charged = sweep_network(
            model, trainer, Sweep(**job.sweep), ranking, recorder.best, energy, can_stop(config["model"])
        )
    with_room(lambda: _save(trainer, folder / CHECKPOINT, weights_only=True), folder, told)
    result = TrialResult(
        order=job.order,
        metrics=recorder.best,
        best_epoch=recorder.best_epoch,
        epochs=len(recorder.rows),
        seconds=time.perf_counter() - started,
        misfits=recorder.misfits,
        steps=_steps(model, data),
        swept=swept,
        sweep_epochs=charged,
    )
    if leads:
        with_room(lambda: write_json(folder / "result.json", dataclasses.asdict(result)), folder, told)
        partial.remove()
    return result


def better_by(
    ranking: Sequence[tuple[str, float]],
) -> Callable[[Mapping[str, float], Mapping[str, float]], bool]:
    """Whether the first of two rows of metrics is strictly better; what is missing or not finite is worse than all else."""

    def better(new: Mapping[str, float], old: Mapping[str, float]) -> bool:
        for metric, sign in ranking:
            costs = [sign * row[metric] if math.isfinite(row.get(metric, math.nan)) else math.inf for row in (new, old)]
            if costs[0] != costs[1]:
                return bool(costs[0] < costs[1])
        return False

    return better


def _worth_a_sweep(job: Job, ranking: Sequence[tuple[str, float]], best: Mapping[str, float]) -> bool:
    metric, _ = ranking[0]
    return job.sweep_above is None or better_by(ranking[:1])(best, {metric: job.sweep_above})


def _steps(model: L.LightningModule, data: L.LightningDataModule) -> int:
    """Time steps of a sample that the network looks at."""
    steps = getattr(data, "steps", 0)
    steps = steps if isinstance(steps, int) else 0
    stop = getattr(model, "stop_step", None)
    return steps if stop is None else min(stop, steps) if steps else stop


def _save(trainer: L.Trainer, file: Path, *, weights_only: bool) -> None:
    """A whole checkpoint, or the one before."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")  # a worker taken for dead may still be writing
    try:
        trainer.save_checkpoint(temporary, weights_only=weights_only)
        if trainer.is_global_zero:
            temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def quiet_trainer(**arguments: Any) -> L.Trainer:
    """A Trainer that trains and nothing else: no logger, no files, no bars."""
    return L.Trainer(
        **{
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "devices": 1,
            "plugins": [LightningEnvironment()],  # a worker under SLURM is no part of a job of Lightning's
            **arguments,
        }
    )


def evaluation_trainer(configured: Mapping[str, Any], **arguments: Any) -> L.Trainer:
    """The Trainer of a configuration for looking only: where and in which precision, and nothing about training."""
    where = {key: configured[key] for key in ("accelerator", "precision") if key in configured}
    return quiet_trainer(**where, **arguments)
