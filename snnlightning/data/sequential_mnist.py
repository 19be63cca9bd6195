"""Sequential MNIST: handwritten digits one pixel, or one row, at a time; permuted on request."""

import os
from typing import Literal

import torch

from ..errors import ConfigurationError
from ._checks import fraction, stratified
from ._files import as_text
from ._images import read_images
from .abstract import SpikingDataModule, Splits
from .loading import SequenceDataset

__all__ = ["SequentialMNISTDataModule"]

_ORIGIN = (
    "MNIST comes as four IDX files (train-images-idx3-ubyte and so on, plain or gzipped): put them into one folder and pass"
    " it as path; or make mnist.npz with train_images, train_labels, test_images and test_labels (uint8)."
)
_SHA256 = "39b9b1ffaa0ba4d8995a616551f0966941fe02a3fe79ba4a9db7373db16d53ad"
_PERMUTATION_SEED = 0


class SequentialMNISTDataModule(SpikingDataModule):
    """x[t] = grey value / 255 of pixel t as an input current: 784 steps of one channel, or 28 steps of 28.

    The order of the permuted task is one fixed permutation, the same for every ``seed``, because accuracies at different
    permutations are those of different tasks. There is no agreed one; pass ``permutation_seed`` for others.

    Args:
        path: ``mnist.npz``, or a folder with it or with the four official IDX files; None: the folder ``mnist`` under
            ``$SNNLIGHTNING_DATA`` (or ``data``).
        by: ``pixel``: T = 784, N = 1; ``row``: T = 28, N = 28.
        permuted: whether the steps come in a fixed random order; with ``by="pixel"`` this is psMNIST.
        permutation_seed: which order, >= 0.
        batch_size: samples per batch, >= 1.
        val_fraction: share of each class of the training set for validation, in (0, 1).
        seed: of the split and the shuffling; >= 0.
        dt_ms: length of a time step in ms, > 0.
        num_workers: worker processes per loader.
        verify: whether to refuse an npz file with another checksum than the one that figures refer to.

    Raises:
        ConfigurationError: a number out of range.
        DataError: the file is missing, corrupt or another one (when the data is loaded).

    Source: Y. LeCun and C. Cortes, MNIST; Q. V. Le, N. Jaitly and G. E. Hinton 2015 (pixel by pixel, and permuted).
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        by: Literal["pixel", "row"] = "pixel",
        permuted: bool = False,
        permutation_seed: int = _PERMUTATION_SEED,
        batch_size: int = 128,
        val_fraction: float = 0.1,
        seed: int = 0,
        dt_ms: float = 1.0,
        num_workers: int = 0,
        verify: bool = True,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers)
        path = as_text(path)
        self.save_hyperparameters()
        if by not in ("pixel", "row"):
            raise ConfigurationError(f"by is {by!r}; it must be pixel or row.")
        self._path, self._verify, self._by = path, verify, by
        self._permutation = torch.Generator().manual_seed(permutation_seed) if permuted else None
        self._val_fraction = fraction("val_fraction", val_fraction)

    def load(self) -> Splits:
        """Bytes stay bytes (55 MB); a batch becomes floats when it is taken."""
        images = read_images(self._path, "mnist", origin=_ORIGIN, sha256=_SHA256, verify=self._verify)
        shape = (-1, images.train_images.shape[-1]) if self._by == "row" else (-1, 1)
        steps = images.train_images[0].reshape(shape).shape[0]
        order = None if self._permutation is None else torch.randperm(steps, generator=self._permutation)

        def sequences(pixels: torch.Tensor, labels: torch.Tensor) -> SequenceDataset:
            return SequenceDataset(pixels.reshape(len(pixels), *shape), labels, scale=1.0 / 255.0, order=order)

        train, val = stratified(images.train_labels.long(), [self._val_fraction], self.seed)
        whole_set = sequences(images.train_images, images.train_labels)
        test = sequences(images.test_images, images.test_labels)
        return Splits(whole_set.subset(train), whole_set.subset(val), test, num_classes=10)
