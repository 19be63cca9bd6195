"""From a checkpoint and a configuration file to a network and its data, for commands that look at what was trained."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from ..errors import ConfigurationError
from ..training import SpikingModule
from .building import build
from .files import read_yaml

__all__ = ["configuration_of", "file_sha256", "load_data", "load_network"]

_CLASS, _PRIVATE = "_class_path", ("_class_path", "_instantiator")


def configuration_of(checkpoint: Path, given: Path | None) -> dict[str, Any]:
    """What is known of a checkpoint's model and data: the given YAML file, else ``config.yaml`` beside the checkpoint.

    Raises:
        ConfigurationError: no such file, or no mapping.
    """
    beside = checkpoint.parent / "config.yaml"
    file = given if given is not None else beside if beside.exists() else None
    if file is None:
        raise ConfigurationError(
            f"there is no config.yaml beside {checkpoint}; say which data to use: --data configs/experiments/NAME.yaml."
        )
    if not file.is_file():
        raise ConfigurationError(f"{file}: no such file; give the YAML file of an experiment or a trial.")
    content = read_yaml(file)
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{file} is no mapping; the YAML file of an experiment or a trial is expected.")
    return dict(content)


def load_data(config: Mapping[str, Any], where: object) -> L.LightningDataModule:
    """The data module of a configuration.

    Raises:
        ConfigurationError: it has no ``data``, or that cannot be built.
    """
    component = config.get("data")
    if not isinstance(component, Mapping) or "class_path" not in component:
        raise ConfigurationError(f"{where} has no data with a class_path; give a configuration that has.")
    data: L.LightningDataModule = build("data", component)
    return data


def load_network(checkpoint: Path, config: Mapping[str, Any]) -> SpikingModule:
    """The trained module: built from the checkpoint's own hyper-parameters where it has them, else from the configuration.

    Raises:
        ConfigurationError: no such file, no checkpoint of Lightning's, or one of another network.
    """
    if not checkpoint.is_file():
        raise ConfigurationError(f"{checkpoint}: no such file; give a checkpoint (.ckpt), or the folder of an export.")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = content["state_dict"]
    except Exception as error:  # torch has many ways to say that a file is none of its own
        what = " ".join(str(error).split())[:200]
        raise ConfigurationError(
            f"{checkpoint} is no checkpoint of Lightning's: {type(error).__name__}: {what}"
        ) from None
    hyper = content.get("hyper_parameters") or {}
    component = config.get("model")
    if hyper:
        known = component.get("class_path") if isinstance(component, Mapping) else None
        component = {
            "class_path": hyper.get(_CLASS, known or "SpikingClassifier"),
            "init_args": {key: value for key, value in hyper.items() if key not in _PRIVATE},
        }
    if not isinstance(component, Mapping) or "class_path" not in component:
        raise ConfigurationError(
            f"{checkpoint} does not hold the arguments of its model, and the configuration has no model with a class_path; "
            "give the configuration it was trained with."
        )
    model = build("model", component)
    if not isinstance(model, SpikingModule):
        raise ConfigurationError(f"the model is a {type(model).__name__}; counts are those of a SpikingModule.")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{checkpoint} holds the weights of another network than the configuration: {' '.join(str(error).split())[:300]}"
        ) from None
    return model


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
