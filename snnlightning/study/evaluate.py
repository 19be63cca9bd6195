"""The last look: a front point on the test set, counted layer by layer, with one sample's spikes to look at."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from ..training import EnergyLogger, SpikingModule
from .building import build
from .files import CHECKPOINT, read_yaml, write_json
from .objectives import AbstractObjective, AbstractPriced
from .trial import data_module, evaluation_trainer

__all__ = ["evaluate_on_test"]


def evaluate_on_test(folder: Path, objectives: Mapping[str, AbstractObjective]) -> dict[str, float]:
    """Test the checkpoint of a trial, or of a network that a sweep made.

    Writes ``counts.json`` (synaptic operations by layer and kind), ``raster.json`` (spikes of the first test sample) when
    the model returns records, and ``test.json`` last of all, into its folder.

    Args:
        folder: with ``best.ckpt`` and ``config.yaml``.
        objectives: of the study.

    Returns:
        The objectives' values on the test set, by name.
    """
    config = read_yaml(folder / "config.yaml")
    data = data_module(config["data"])
    model = build("model", config["model"])
    checkpoint = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    model.load_state_dict(checkpoint["state_dict"])
    profiles = [item.profile for item in objectives.values() if isinstance(item, AbstractPriced)]
    energy = EnergyLogger(list(dict.fromkeys(profiles)))
    trainer = evaluation_trainer(config["trainer"], callbacks=[energy] if profiles else [])
    (metrics,) = trainer.test(model, datamodule=data, verbose=False)
    if isinstance(model, SpikingModule):
        metrics = {**metrics, **model.counted("test"), **energy.values.get("test", {})}
        write_json(folder / "counts.json", {"split": "test", **model.counts["test"].as_dict()})
    raster = _raster(model, data)
    if raster is not None:
        write_json(folder / "raster.json", raster)
    values = {name: objective.value(metrics, "test") for name, objective in objectives.items()}
    write_json(folder / "test.json", values)
    return values


def _raster(model: L.LightningModule, data: L.LightningDataModule) -> dict[str, Any] | None:
    if not isinstance(model, SpikingModule):
        return None
    x, y = next(iter(data.test_dataloader()))
    model.cpu().eval()
    with torch.no_grad():
        output = model(x[:1])
    records = output.records
    layers = [("input", x[0]), *((record.name, record.output[0]) for record in records if record.spiking)]
    return {
        "label": int(y[0]),
        "predicted": int(output.logits[0].argmax()),
        "steps": x.shape[1],
        "dt_ms": float(getattr(data, "dt_ms", 1.0)),
        "layers": [_layer(name, activity) for name, activity in layers],
    }


def _layer(name: str, activity: torch.Tensor) -> dict[str, Any]:
    time, neuron = activity.nonzero(as_tuple=True)
    return {"name": name, "neurons": activity.shape[-1], "time": time.tolist(), "neuron": neuron.tolist()}
