"""N-MNIST: events of a camera that looks at handwritten digits and jerks three times."""

import os
from typing import Literal

import numpy as np
import torch

from ..errors import ConfigurationError, DataError
from ._checks import duration, fraction, stratified, whole
from ._files import arrays, as_text, file_at
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["NMNISTDataModule"]

_ORIGIN = (
    "N-MNIST comes from https://www.garrickorchard.com/datasets/n-mnist: make train.npz and test.npz from the recordings with"
    " t (microseconds), x, y, p (all recordings joined), offset (recording i is offset[i]:offset[i + 1]) and label."
)
_SHA256 = {
    "train": "325e2be677489264eff3ec5ca2ca8081dc31b16ca75c69ef5b920611d69855a0",
    "test": "bfbf7bdb5fadde0340099b704286c4e9f3ef39a14c4f588a8fa5e129855105da",
}
_SIDE = 34


class NMNISTDataModule(SpikingDataModule):
    """x[t], the events of each polarity and pixel (N = 2 x 34 x 34, OFF first, row by row) in each step; 10 classes.

    The files that the checksums stand for are a small part, 850 + 100 recordings: one test recording is one percentage
    point. What to expect there: logistic regression on event counts 81 %, in three time bins 90 %.

    Args:
        path: folder with ``train.npz`` and ``test.npz``; None: the folder ``nmnist_small`` under ``$SNNLIGHTNING_DATA``
            (or ``data``).
        dt_ms: length of a time step in ms, > 0.
        duration_ms: end of the grid in ms, > 0; T = ceil(duration / dt); later events are dropped.
        polarity: ``both``: a channel for each; ``merged``: ON and OFF of a pixel are one channel.
        pool: pixels that are added up to one along each axis; a divisor of 34.
        binarize: 1 where there is any event, instead of the number of events.
        batch_size: samples per batch, >= 1.
        val_fraction: share of each class of the training set for validation, in (0, 1).
        seed: of the split and the shuffling; >= 0.
        num_workers: worker processes per loader.
        verify: whether to refuse files with other checksums than those that figures refer to.
        events: whether batches hold ``Events`` instead of dense tensors; see :class:`SpikingDataModule`.

    Raises:
        ConfigurationError: a number out of range.
        DataError: a file is missing, corrupt or another one (when the data is loaded).

    Source: G. Orchard, A. Jayawant, G. Cohen and N. Thakor 2015, Frontiers in Neuroscience 9:437.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        dt_ms: float = 5.0,
        duration_ms: float = 300.0,
        polarity: Literal["both", "merged"] = "both",
        pool: int = 1,
        binarize: bool = False,
        batch_size: int = 32,
        val_fraction: float = 0.1,
        seed: int = 0,
        num_workers: int = 0,
        verify: bool = True,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        path = as_text(path)
        self.save_hyperparameters()
        if polarity not in ("both", "merged"):
            raise ConfigurationError(f"polarity is {polarity!r}; it must be both or merged.")
        if _SIDE % whole("pool", pool):
            raise ConfigurationError(f"pool is {pool}; 34 x 34 pixels can be added up in squares of 1, 2, 17 or 34.")
        # The tolerance is for quotients such as 700 / 0.7, which is 1000.0000000000001.
        self._grid = int(np.ceil(duration("duration_ms", duration_ms) / dt_ms - 1e-9))
        self._path, self._verify = path, verify
        self._duration_ms, self._pool, self._binarize = float(duration_ms), pool, bool(binarize)
        self._channels = 2 if polarity == "both" else 1
        self._val_fraction = fraction("val_fraction", val_fraction)

    def load(self) -> Splits:
        """Put the events of both files on the grid, and split off the validation set."""
        recorded, test = (self._read(part) for part in ("train", "test"))
        train, val = stratified(recorded.labels, [self._val_fraction], self.seed)
        return Splits(recorded.subset(train), recorded.subset(val), test, num_classes=10)

    def _read(self, part: str) -> EventDataset:
        file = file_at(self._path, "nmnist_small", [f"{part}.npz"], _ORIGIN)
        wanted = dict.fromkeys(("t", "x", "y", "p", "offset", "label"), 1)
        content = arrays(file, wanted, sha256=_SHA256[part], verify=self._verify)
        x, y, p = (content[name].astype(np.int64) for name in ("x", "y", "p"))
        offset = content["offset"].astype(np.int64)
        if len({len(content["t"]), len(x), len(y), len(p), int(offset[-1])}) > 1:
            raise DataError(f"{file}: t, x, y, p and the end of offset differ in length; each event needs all of them.")
        if len(x) and (max(x.max(), y.max()) >= _SIDE or p.max() > 1):
            raise DataError(
                f"{file}: x and y up to {max(x.max(), y.max())}, p up to {p.max()}; 33 and 1 are the largest."
            )
        bins = (content["t"] / (1000.0 * self.dt_ms)).astype(np.int64)
        keep = (content["t"] < 1000.0 * self._duration_ms) & (bins < self._grid)
        side = _SIDE // self._pool
        channel = ((p if self._channels == 2 else 0 * p) * side + y // self._pool) * side + x // self._pool
        before = np.concatenate([[0], np.cumsum(keep)])
        return EventDataset(
            torch.from_numpy(before[offset]),
            torch.from_numpy(bins[keep]),
            torch.from_numpy(channel[keep]),
            torch.from_numpy(content["label"].astype(np.int64)),
            steps=self._grid,
            in_features=self._channels * side * side,
            binarize=self._binarize,
        )
