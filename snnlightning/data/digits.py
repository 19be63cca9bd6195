"""Handwritten digits: the 1,797 images of 8 x 8 that scikit-learn ships, as spike trains. No download."""

from types import MappingProxyType
from typing import Any

import torch

from ..errors import ConfigurationError, require
from ._checks import fraction, whole
from ._encoding import build_encoder
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["DigitsDataModule"]

_DEFAULTS = MappingProxyType({"latency": {"tau_steps": 12.0, "threshold": 0.2}})
"""Where the encoder's own default does not suit short runs: with T = 20, grey 4/16 fires in step 19 and 16/16 in step 2,
and the greys between take nine steps; tau = 20 would lose everything below 6/16."""


class DigitsDataModule(SpikingDataModule):
    """64 pixels, value / 16 in [0, 1], encoded; 10 classes; a stratified split fixed by the seed.

    Args:
        encoder: name of an encoder (``latency``, ``rate``, ``poisson``, ...), or a mapping with ``encoder`` and its arguments.
        steps: number of time steps T, >= 1.
        tau_steps: of the latency code, in steps; 12 unless given.
        threshold: of the latency code; 0.2 unless given.
        max_probability: of the rate code; 1 unless given.
        batch_size: samples per batch, >= 1.
        val_fraction: share of the images for validation, in (0, 1).
        test_fraction: share of the images for test, in (0, 1).
        seed: of the split, the shuffling and the rate code's draws; >= 0.
        dt_ms: length of a time step in ms, > 0.
        num_workers: worker processes per loader.
        events: whether x is handed out as :class:`snnlightning.events.Events`.

    Raises:
        UnknownNameError: no encoder of this name.
        ConfigurationError: a number out of range, or a parameter that the encoder does not take.
        MissingDependencyError: scikit-learn is not installed (when the data is loaded).

    Source: E. Alpaydin and C. Kaynak 1998, UCI optical recognition of handwritten digits (the test part), by way of
    ``sklearn.datasets.load_digits``.
    """

    def __init__(
        self,
        encoder: str | dict[str, Any] = "latency",
        steps: int = 20,
        tau_steps: float | None = None,
        threshold: float | None = None,
        max_probability: float | None = None,
        batch_size: int = 64,
        val_fraction: float = 0.22,
        test_fraction: float = 0.22,
        seed: int = 0,
        dt_ms: float = 1.0,
        num_workers: int = 0,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        self.save_hyperparameters()
        self._encoder = build_encoder(
            encoder,
            steps=whole("steps", steps),
            seed=self.seed,
            given={"tau_steps": tau_steps, "threshold": threshold, "max_probability": max_probability},
            defaults=_DEFAULTS,
        )
        self._fractions = (fraction("val_fraction", val_fraction), fraction("test_fraction", test_fraction))
        if sum(self._fractions) >= 1.0:
            raise ConfigurationError(
                f"val_fraction {val_fraction} and test_fraction {test_fraction} leave nothing for training; their sum"
                " must be less than 1."
            )

    def load(self) -> Splits:
        """Encode all images once, in the order of the file, then split; the noise of a rate code is part of the data."""
        datasets = require("sklearn.datasets", "data", "The handwritten digits data set")
        selection = require("sklearn.model_selection", "data", "Splitting the handwritten digits")
        images = datasets.load_digits()
        labels = torch.from_numpy(images.target).long()
        whole_set = EventDataset.from_dense(self._encoder(torch.from_numpy(images.data).float() / 16.0), labels)

        val_size, test_size = (round(share * len(labels)) for share in self._fractions)
        index = torch.arange(len(labels)).numpy()
        try:
            rest, test = selection.train_test_split(
                index, test_size=test_size, stratify=images.target, random_state=self.seed
            )
            train, val = selection.train_test_split(
                rest, test_size=val_size, stratify=images.target[rest], random_state=self.seed
            )
        except ValueError as error:
            raise ConfigurationError(
                f"{val_size} images for validation and {test_size} for test of {len(labels)} cannot be split by class"
                f" ({error}); change val_fraction or test_fraction."
            ) from error
        parts = [whole_set.subset(torch.from_numpy(part)) for part in (train, val, test)]
        return Splits(parts[0], parts[1], parts[2], num_classes=10)
