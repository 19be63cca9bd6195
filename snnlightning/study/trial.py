"""One trial: train a network from its configuration, keep its best epoch, say what it reached.

Everything a trial needs is in the configuration it is given, and everything it did is in the files it leaves and the
result it returns: no state is shared between trials but the data set, which is the same for all that name the same one.
"""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from ..errors import SnnLightningError
from ..training import EnergyLogger, SpikingModule
from .building import build
from .files import CHECKPOINT, trial_directory, write_csv, write_json, write_yaml

__all__ = ["Recorder", "TrialError", "TrialResult", "data_module", "run_trial"]

EpochHook = Callable[[int, dict[str, float]], None]


class TrialError(SnnLightningError, RuntimeError):
    """A trial that cannot give a result, with the reason."""


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """What a finished training is worth: the validation metrics of its best epoch.

    ``misfits`` are the limits of chips that the network does not keep then, by profile.
    """

    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    misfits: dict[str, list[str]] = dataclasses.field(default_factory=dict)


class Recorder(L.Callback):
    """Keeps every epoch's metrics, and the weights of the best one in memory.

    Args:
        better: whether the first of two rows of metrics is strictly better than the second.
        on_epoch: called with the epoch and its metrics after each validation.
        energy: what prices the counts on the chips of the objectives, when there are any.
    """

    def __init__(
        self,
        better: Callable[[Mapping[str, float], Mapping[str, float]], bool],
        on_epoch: EpochHook,
        energy: EnergyLogger | None = None,
    ) -> None:
        self.better, self.on_epoch, self.energy = better, on_epoch, energy
        self.misfits: dict[str, list[str]] = {}
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        self.best_epoch = -1
        self._validated = False
        self.weights: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._validated = not trainer.sanity_checking

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
        self.on_epoch(trainer.current_epoch, metrics)


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
    config: Mapping[str, Any],
    directory: Path,
    better: Callable[[Mapping[str, float], Mapping[str, float]], bool],
    on_epoch: EpochHook = lambda epoch, metrics: None,
    profiles: Sequence[str] = (),
) -> TrialResult:
    """Train one configuration.

    Args:
        config: ``number``, ``seed``, and the parts ``model``, ``data`` and ``trainer``.
        directory: the study's directory; ``trials/<number>/`` gets ``config.yaml``, ``metrics.csv``, ``best.ckpt`` and, last
            of all, ``result.json``.
        better: which of two epochs is the better one.
        on_epoch: called after every epoch.
        profiles: chips on which every validation is priced.

    Raises:
        TrialError: the loss is not finite, or there was no validation epoch.
        SnnLightningError: the configuration cannot be built.
    """
    started = time.perf_counter()
    number = int(config["number"])
    folder = trial_directory(directory, number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    write_yaml(folder / "config.yaml", dict(config))
    L.seed_everything(int(config["seed"]), workers=False, verbose=False)
    data = data_module(config["data"])
    model = build("model", config["model"])
    energy = EnergyLogger(profiles) if profiles else None
    recorder = Recorder(better, on_epoch, energy)
    trainer = quiet_trainer(
        callbacks=[*([energy] if energy else []), recorder], default_root_dir=str(folder), **config["trainer"]
    )
    try:
        trainer.fit(model, datamodule=data)
    finally:
        columns = dict.fromkeys(key for row in recorder.rows for key in row)
        if recorder.rows:
            write_csv(folder / "metrics.csv", columns, recorder.rows)
    if recorder.best is None:
        raise TrialError("no epoch was trained and validated; check trainer.max_epochs and check_val_every_n_epoch")
    model.load_state_dict(recorder.weights)
    temporary = folder / f".{CHECKPOINT}"
    trainer.save_checkpoint(temporary, weights_only=True)
    temporary.replace(folder / CHECKPOINT)
    result = TrialResult(
        metrics=recorder.best,
        best_epoch=recorder.best_epoch,
        epochs=len(recorder.rows),
        seconds=time.perf_counter() - started,
        misfits=recorder.misfits,
    )
    write_json(folder / "result.json", dataclasses.asdict(result))
    return result


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
            **arguments,
        }
    )


def evaluation_trainer(configured: Mapping[str, Any], **arguments: Any) -> L.Trainer:
    """The Trainer of a configuration for looking only: where and in which precision, and nothing about training."""
    where = {key: configured[key] for key in ("accelerator", "devices", "precision") if key in configured}
    return quiet_trainer(**where, **arguments)
