"""Free Spoken Digit Dataset: speech becomes spikes by a cochlea."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..encoders import Cochlea
from ..errors import ConfigurationError, DataError
from ._checks import duration, fraction, stratified, whole
from ._encoding import build_signal_encoder
from ._files import arrays, as_text, file_at
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["FSDDDataModule"]

_ORIGIN = (
    "The recordings come from https://github.com/Jakobovski/free-spoken-digit-dataset: make fsdd.npz with audio (int16, all recordings"
    " joined), offset (recording i is offset[i]:offset[i + 1]), label and is_test (recordings 0 to 4 of a digit and speaker)."
)
_SHA256 = "d93627b57eac92d73e78175e4b43838941675ed6132f8d2a98b4588b155e26d1"
_RATE_HZ = 8000.0
_AT_ONCE = 16
"""Recordings of about one length that are encoded together; more fall out of the processor's cache."""


class FSDDDataModule(SpikingDataModule):
    """x[t, n], the spikes of channel n of a cochlea in each step; ten English digits, spoken by six men, 8 kHz.

    The official split: recordings 0 to 4 of each digit and speaker are for test, so that all speakers are known from training.
    Encoding runs once, when the data is loaded: half a minute of one core with 64 channels.

    What to expect (test, 2,250 recordings for training): logistic regression on log-mel energies 96.0 %, GRU 98.3 %; one test recording is
    a third of a percentage point.

    Args:
        path: ``fsdd.npz``, or a folder with it; None: the folder ``fsdd`` under ``$SNNLIGHTNING_DATA`` (or ``data``).
        encoder: ``cochlea``, or a mapping with ``encoder`` and its arguments, such as ``{"encoder": "cochlea", "channels": 128}``;
            64 channels where it says nothing.
        dt_ms: length of a time step in ms: a whole number of the cochlea's own, whose spikes add up.
        duration_ms: end of the grid in ms, > 0; T = ceil(duration / dt). Recordings are cut there (95 % are shorter than 660 ms).
        batch_size: samples per batch, >= 1.
        val_fraction: share of each class of the training set for validation, in (0, 1).
        seed: of the split and the shuffling; >= 0.
        num_workers: worker processes per loader.
        verify: whether to refuse a file with another checksum than the one that figures refer to.
        events: whether batches hold ``Events`` instead of dense tensors; see :class:`SpikingDataModule`.

    Raises:
        ConfigurationError: a number out of range, or steps that the cochlea's do not fit into.
        DataError: the file is missing, corrupt or another one (when the data is loaded).

    Source: Z. Jackson and others, Free Spoken Digit Dataset, CC BY-SA 4.0.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        encoder: str | dict[str, Any] = "cochlea",
        dt_ms: float = 5.0,
        duration_ms: float = 700.0,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        seed: int = 0,
        num_workers: int = 0,
        verify: bool = True,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        path = as_text(path)
        self.save_hyperparameters()
        self._path, self._verify = path, verify
        self._val_fraction = fraction("val_fraction", val_fraction)
        self._encoder = build_signal_encoder(encoder, Cochlea, {"channels": 64})
        if self._encoder.sample_rate_hz != _RATE_HZ:
            raise ConfigurationError(
                f"the cochlea takes {self._encoder.sample_rate_hz:g} samples per second, and the recordings have {_RATE_HZ:g}; leave "
                "sample_rate_hz out."
            )
        self._per_step = whole("steps of the cochlea in dt_ms", round(dt_ms / self._encoder.dt_ms))
        if abs(self._per_step * self._encoder.dt_ms - dt_ms) > 1e-9:
            raise ConfigurationError(
                f"dt_ms is {dt_ms:g} and the cochlea has steps of {self._encoder.dt_ms:g} ms; a whole number of them is expected."
            )
        self._grid = int(np.ceil(duration("duration_ms", duration_ms) / dt_ms - 1e-9))

    def load(self) -> Splits:
        """Read, encode, and split the validation set off the training set."""
        file = file_at(self._path, "fsdd", ["fsdd.npz"], _ORIGIN)
        wanted = dict.fromkeys(("audio", "offset", "label", "is_test"), 1)
        content = arrays(file, wanted, sha256=_SHA256, verify=self._verify)
        audio, offset = torch.from_numpy(content["audio"]), content["offset"].astype(np.int64)
        labels, is_test = torch.from_numpy(content["label"]).long(), torch.from_numpy(content["is_test"]).bool()
        if not len(offset) == len(labels) + 1 == len(is_test) + 1 or offset[-1] != len(audio):
            raise DataError(
                f"{file}: {len(offset)} offsets up to {offset[-1]}, {len(labels)} labels, {len(is_test)} marks and {len(audio)} samples do "
                "not belong together."
            )
        recordings = self._encoded(audio, torch.from_numpy(offset), labels)
        train, val = stratified(labels[~is_test], [self._val_fraction], self.seed)
        learned = (~is_test).nonzero().flatten()
        test = recordings.subset(is_test.nonzero().flatten())
        return Splits(recordings.subset(learned[train]), recordings.subset(learned[val]), test, num_classes=10)

    def _encoded(self, audio: Tensor, offset: Tensor, labels: Tensor) -> EventDataset:
        lengths = offset.diff().clamp_max(round(self._grid * self.dt_ms * _RATE_HZ / 1000.0))
        found: list[tuple[Tensor, Tensor]] = [(torch.empty(0), torch.empty(0))] * len(labels)
        for members in self._of_one_length(lengths):
            signals = [audio[offset[i] : offset[i] + lengths[i]].double() for i in members]
            together = torch.nn.utils.rnn.pad_sequence(signals, batch_first=True)
            spikes = self._encoder(together, lengths[members])
            for i, one in zip(members.tolist(), spikes, strict=True):
                last = -(-int(lengths[i]) // round(_RATE_HZ * self._encoder.dt_ms / 1000.0))
                step, channel = one[:last].nonzero(as_tuple=True)
                found[i] = step, channel
        counts = torch.tensor([len(step) for step, _ in found])
        return EventDataset(
            torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]),
            torch.cat([step for step, _ in found]) // self._per_step,
            torch.cat([channel for _, channel in found]),
            labels,
            steps=self._grid,
            in_features=self._encoder.channels,
        )

    @staticmethod
    def _of_one_length(lengths: Tensor) -> Iterator[Tensor]:
        """Numbers of recordings, the shortest first, a few at a time."""
        yield from lengths.argsort(stable=True).split(_AT_ONCE)
