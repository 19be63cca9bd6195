"""Fashion-MNIST: 28 x 28 images of ten kinds of clothing, as spike trains; SpyTorch's tutorials 2 and 3."""

import os
from typing import Any

import torch

from ._checks import fraction, stratified, whole
from ._encoding import build_encoder
from ._files import as_text
from ._images import read_images
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["FashionMNISTDataModule"]

_ORIGIN = (
    "Fashion-MNIST comes from https://github.com/zalandoresearch/fashion-mnist (folder data/fashion, four files *-ubyte.gz):"
    " put them into one folder and pass it as path; or make fashion_mnist.npz with train_images, train_labels, test_images"
    " and test_labels (uint8)."
)
_SHA256 = "efd8dea84636f68a42c181e02c1b3b777d2f6ca281454a4297cf8003d4cc18d9"


class FashionMNISTDataModule(SpikingDataModule):
    """784 pixels, value / 255 in [0, 1], encoded; 10 classes; the official test set, validation from the training set.

    What to expect: logistic regression on the pixels of 10,000 training images 82.8 %.

    Args:
        path: ``fashion_mnist.npz``, or a folder with it or with the four official IDX files; None: the folder
            ``fashion_mnist`` under ``$SNNLIGHTNING_DATA`` (or ``data``).
        encoder: name of an encoder (``latency``, ``rate``, ``poisson``, ...), or a mapping with ``encoder`` and its arguments.
        steps: number of time steps T, >= 1.
        tau_steps: of the latency code, in steps; 20 unless given, as in SpyTorch.
        threshold: of the latency code; 0.2 unless given, as in SpyTorch.
        max_probability: of the rate code; 1 unless given.
        batch_size: samples per batch, >= 1.
        val_fraction: share of each class of the training set for validation, in (0, 1).
        seed: of the split, the shuffling and the rate code's draws; >= 0.
        dt_ms: length of a time step in ms, > 0.
        num_workers: worker processes per loader.
        verify: whether to refuse an npz file with another checksum than the one that figures refer to.
        events: whether batches hold ``Events`` instead of dense tensors; see :class:`SpikingDataModule`.

    Raises:
        UnknownNameError: no encoder of this name.
        ConfigurationError: a number out of range, or a parameter that the encoder does not take.
        DataError: the file is missing, corrupt or another one (when the data is loaded).

    Source: H. Xiao, K. Rasul and R. Vollgraf 2017; the code is that of SpyTorch tutorial 2.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        encoder: str | dict[str, Any] = "latency",
        steps: int = 100,
        tau_steps: float | None = None,
        threshold: float | None = None,
        max_probability: float | None = None,
        batch_size: int = 256,
        val_fraction: float = 0.1,
        seed: int = 0,
        dt_ms: float = 1.0,
        num_workers: int = 0,
        verify: bool = True,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        path = as_text(path)
        self.save_hyperparameters()
        self._path, self._verify = path, verify
        self._encoder = build_encoder(
            encoder,
            steps=whole("steps", steps),
            seed=self.seed,
            given={"tau_steps": tau_steps, "threshold": threshold, "max_probability": max_probability},
        )
        self._val_fraction = fraction("val_fraction", val_fraction)

    def load(self) -> Splits:
        """Encode all images once, in the order of the files; training images first."""
        images = read_images(self._path, "fashion_mnist", origin=_ORIGIN, sha256=_SHA256, verify=self._verify)
        pixels = torch.cat([images.train_images, images.test_images]).flatten(1)
        labels = torch.cat([images.train_labels, images.test_labels]).long()
        whole_set = EventDataset.encoded(self._encoder, pixels, labels)
        train, val = stratified(images.train_labels.long(), [self._val_fraction], self.seed)
        test = torch.arange(len(images.train_labels), len(labels))
        return Splits(whole_set.subset(train), whole_set.subset(val), whole_set.subset(test), num_classes=10)
