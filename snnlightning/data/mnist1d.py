"""MNIST-1D: forty-step signals in ten classes, on which linear models fail."""

import os
from typing import Any

import numpy as np
import torch

from ..encoders import Delta
from ..errors import ConfigurationError, DataError
from ._checks import fraction, stratified
from ._encoding import build_signal_encoder
from ._files import arrays, as_text, file_at
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset, SequenceDataset

__all__ = ["MNIST1DDataModule"]

_ORIGIN = (
    "MNIST-1D comes from https://github.com/greydanus/mnist1d (file mnist1d_data.pkl): make mnist1d.npz with x (4000, 40),"
    " y, x_test (1000, 40) and y_test from it."
)
_SHA256 = "7d065ff6e20d64329f3e05c1da825135efe1bfd16730a09cc9c4bfb5d38de463"


class MNIST1DDataModule(SpikingDataModule):
    """x[t] [1], the signal as an input current, about -5.5 to 4.5, or its spikes; the published test set, validation from training.

    What to expect (test): logistic regression 32.7 %, 5 nearest neighbours 60.0 %, perceptron (100, 100) 57.4 %; the authors
    report 32 % (linear), 68 % (perceptron), 91 % (GRU) and 94 % (convolution).

    Args:
        path: ``mnist1d.npz``, or a folder with it; None: the folder ``mnist1d`` under ``$SNNLIGHTNING_DATA`` (or ``data``).
        batch_size: samples per batch, >= 1.
        val_fraction: share of each class of the training set for validation, in (0, 1).
        seed: of the split and the shuffling; >= 0.
        dt_ms: length of a time step in ms, > 0.
        num_workers: worker processes per loader.
        verify: whether to refuse a file with another checksum than the one that figures refer to.
        encoder: None: the current itself; ``delta``, or a mapping with ``encoder`` and its arguments, such as ``{"encoder":
            "delta", "threshold": 0.5}``: spikes whenever it has moved by a threshold, [2] channels for up and down.
        events: whether spikes are handed out as :class:`snnlightning.events.Events`.

    Raises:
        ConfigurationError: a number out of range, an encoder that does not take such signals, or events of a current.
        DataError: the file is missing, corrupt or another one (when the data is loaded).

    Source: S. Greydanus and D. Kobak, Scaling down deep learning with MNIST-1D, ICML 2024.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        seed: int = 0,
        dt_ms: float = 1.0,
        num_workers: int = 0,
        verify: bool = True,
        encoder: str | dict[str, Any] | None = None,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        path = as_text(path)
        self.save_hyperparameters()
        self._encoder = None if encoder is None else build_signal_encoder(encoder, Delta)
        if events and self._encoder is None:
            raise ConfigurationError("events=True and no encoder: a current is no events; give encoder='delta'.")
        self._path, self._verify = path, verify
        self._val_fraction = fraction("val_fraction", val_fraction)

    def load(self) -> Splits:
        """Read, and split off the validation set."""
        file = file_at(self._path, "mnist1d", ["mnist1d.npz"], _ORIGIN)
        content = arrays(file, {"x": 2, "y": 1, "x_test": 2, "y_test": 1}, sha256=_SHA256, verify=self._verify)
        if content["x"].shape[1] != content["x_test"].shape[1]:
            raise DataError(f"{file}: x has {content['x'].shape[1]} steps and x_test {content['x_test'].shape[1]}.")

        whole_set, test = self._made(content["x"], content["y"]), self._made(content["x_test"], content["y_test"])
        train, val = stratified(whole_set.labels, [self._val_fraction], self.seed)
        return Splits(whole_set.subset(train), whole_set.subset(val), test, num_classes=10)

    def _made(self, x: np.ndarray, y: np.ndarray) -> SequenceDataset | EventDataset:
        """Signals [n, T] as currents or spikes."""
        signal, labels = torch.from_numpy(x).unsqueeze(-1), torch.from_numpy(y).long()
        if self._encoder is None:
            return SequenceDataset(signal, labels)
        return EventDataset.from_dense(self._encoder(signal), labels)
