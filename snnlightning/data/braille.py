"""Braille letters read by touch: four taxels of a fingertip that slides over 27 characters; SpyTorch's tutorial 5."""

import os
from typing import Literal

import numpy as np
import torch

from ..errors import ConfigurationError, DataError
from ._checks import fraction, stratified, whole
from ._files import arrays, as_text, file_at
from .abstract import SpikingDataModule, Splits
from .loading import SequenceDataset

__all__ = ["BrailleDataModule"]

_ORIGIN = (
    "The tactile Braille letters come from https://github.com/fzenke/spytorch (notebooks/data/"
    "tutorial5_braille_spiking_data.pkl.gz): make braille.npz from the list with taxels (all trials joined, 12), offset (trial"
    " i is offset[i]:offset[i + 1]), label and repetition."
)
_SHA256 = "0b9a5434da39d17ae8695b2f1344532344e96527fbfb14fd177d03de5bb28b5a"
_CHANGING = (1, 2, 6, 10)


class BrailleDataModule(SpikingDataModule):
    """x[t] [4] = standardised pressure 1 - value / 255 of the four taxels that change, as an input current; 27 classes.

    Trials are cut to the shortest (76 steps of 2 ms) and each step is repeated ``upsample`` times. What to expect: logistic
    regression on the 304 values 99.3 % (random split), 98.9 % (by repetition).

    Args:
        path: ``braille.npz``, or a folder with it; None: the folder ``braille`` under ``$SNNLIGHTNING_DATA`` (or ``data``).
        upsample: how often each step is repeated, >= 1; T = 76 ``upsample``, dt = 2 ms / ``upsample``.
        split: ``random``: stratified and fixed by the seed; ``repetition``: the last ``test_fraction`` of the 50
            repetitions of each letter are the test set, which says more about a later day.
        statistics: mean and standard deviation of each taxel over the ``train`` part, or over ``all`` trials as in the
            tutorial, where the test set is in them.
        val_fraction: share of each class for validation, in (0, 1).
        test_fraction: share of each class for test, in (0, 1).
        batch_size: samples per batch, >= 1.
        seed: of the splits and the shuffling; >= 0.
        num_workers: worker processes per loader.
        verify: whether to refuse a file with another checksum than the one that figures refer to.

    Raises:
        ConfigurationError: a number out of range.
        DataError: the file is missing, corrupt or another one (when the data is loaded).

    Source: S. F. Müller-Cleve et al. 2022, Braille letter reading; the preparation is that of SpyTorch tutorial 5.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        upsample: int = 2,
        split: Literal["random", "repetition"] = "random",
        statistics: Literal["train", "all"] = "train",
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        batch_size: int = 100,
        seed: int = 0,
        num_workers: int = 0,
        verify: bool = True,
    ) -> None:
        repeats = whole("upsample", upsample)
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=2.0 / repeats, num_workers=num_workers)
        path = as_text(path)
        self.save_hyperparameters()
        for name, value, allowed in (
            ("split", split, ("random", "repetition")),
            ("statistics", statistics, ("train", "all")),
        ):
            if value not in allowed:
                raise ConfigurationError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
        self._path, self._verify = path, verify
        self._repeats, self._split, self._statistics = repeats, split, statistics
        self._fractions = (fraction("val_fraction", val_fraction), fraction("test_fraction", test_fraction))
        if sum(self._fractions) >= 1.0:
            raise ConfigurationError(
                f"val_fraction {val_fraction} and test_fraction {test_fraction} leave nothing for training; their sum"
                " must be less than 1."
            )

    def load(self) -> Splits:
        """Cut, choose the taxels, split, standardise, repeat."""
        file = file_at(self._path, "braille", ["braille.npz"], _ORIGIN)
        wanted = {"taxels": 2, "offset": 1, "label": 1, "repetition": 1}
        content = arrays(file, wanted, sha256=_SHA256, verify=self._verify)
        x, labels = _trials(file, content), torch.from_numpy(content["label"]).long()
        train, val, test = self._parts(labels, torch.from_numpy(content["repetition"]).long())
        seen = x if self._statistics == "all" else x[train]
        mean, std = seen.flatten(0, 1).mean(0), seen.flatten(0, 1).std(0)
        x = ((x - mean) / (std + 1e-3)).repeat_interleave(self._repeats, dim=1)
        whole_set = SequenceDataset(x.float(), labels)
        return Splits(
            whole_set.subset(train), whole_set.subset(val), whole_set.subset(test), num_classes=int(labels.max()) + 1
        )

    def _parts(self, labels: torch.Tensor, repetition: torch.Tensor) -> list[torch.Tensor]:
        if self._split == "random":
            return stratified(labels, self._fractions, self.seed)
        val_fraction, test_fraction = self._fractions
        last = repetition >= (1.0 - test_fraction) * (repetition.max() + 1)
        rest = (~last).nonzero().flatten()
        train, val = stratified(labels[rest], [val_fraction / (1.0 - test_fraction)], self.seed)
        return [rest[train], rest[val], last.nonzero().flatten()]


def _trials(file: str | os.PathLike[str], content: dict[str, np.ndarray]) -> torch.Tensor:
    """Pressure of the changing taxels, [trials, steps of the shortest, 4] float64."""
    taxels, offset = content["taxels"], content["offset"]
    lengths = np.diff(offset)
    if len(lengths) != len(content["label"]) or len(lengths) != len(content["repetition"]):
        raise DataError(
            f"{file}: {len(lengths)} trials, {len(content['label'])} labels; one for each trial is expected."
        )
    if taxels.shape[1] <= max(_CHANGING) or lengths.min() < 1 or offset[-1] != len(taxels):
        raise DataError(
            f"{file}: taxels {list(taxels.shape)} and offset, which ends at {offset[-1]}, do not fit together."
        )
    trials = np.stack([taxels[start : start + lengths.min()] for start in offset[:-1]])[:, :, _CHANGING]
    return 1.0 - torch.from_numpy(trials).double() / 255.0
