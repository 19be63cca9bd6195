"""Method: one key of a configuration that differs, on one data set."""

import copy
import dataclasses
import hashlib
import json
import warnings
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.cli import LightningArgumentParser

from snnlightning import SpikingModule

from ..published.recipe import Data

__all__ = ["Method", "of_class"]


def of_class(path: str, **arguments: Any) -> dict[str, Any]:
    """A class of the package as a configuration file has it."""
    return {"class_path": f"snnlightning.{path}", "init_args": arguments}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """A model as a configuration file says it, what it is trained on, and for how long.

    Args:
        name: what results call it, ``section/thing``; the thing is the file of the package that the row is about, where it is one.
        says: what differs from the network of the section, for the page.
        data: where samples come from.
        model: ``class_path`` and ``init_args``; sizes of a ``SpikingClassifier`` are those of the data.
        published: what a publication reports of the method, with its data and source; empty where no figure was read.
        epochs: passes over the training set.
        seeds: how often it is trained.
        batches: per epoch; all when 0.
        clip: largest norm of a gradient; none when 0.
    """

    name: str
    says: str
    data: Data
    model: dict[str, Any]
    published: str = ""
    epochs: int = 10
    seeds: int = 3
    batches: int = 0
    clip: float = 1.0

    @property
    def fingerprint(self) -> str:
        """Of everything that decides the outcome of a seed."""
        decides = [self.model, dataclasses.asdict(self.data), self.batches, self.clip]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]

    def module(self, in_features: int, num_classes: int) -> L.LightningModule:
        """Built as the command line builds it; weights drawn from torch's global generator."""
        model = self.model
        if model["class_path"].endswith("SpikingClassifier"):
            sizes = {"in_features": in_features, "num_classes": num_classes}
            model = {**model, "init_args": {**sizes, **model["init_args"]}}
        parser = LightningArgumentParser(exit_on_error=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what jsonargparse says about types is nothing to a user
            parser.add_lightning_class_args(SpikingModule, "model", subclass_mode=True)
            built: L.LightningModule = parser.instantiate_classes(
                parser.parse_object(copy.deepcopy({"model": model}))
            ).model
        return built
