"""Event files in the layout of the Spiking Heidelberg Digits."""

import difflib
import gzip
import io
import logging
import math
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from ..errors import ConfigurationError, DataError, require
from ._checks import duration, fraction, stratified, whole
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["SpikingHDF5DataModule"]

_LAYOUT = "spikes/times (variable-length floats, seconds), spikes/units (variable-length integers) and labels"

log = logging.getLogger(__name__)


class SpikingHDF5DataModule(SpikingDataModule):
    """Utterances as spike trains from HDF5 files, plain or gzipped (which are unpacked in memory).

    An event at time t falls into step floor(t' / dt), where t' is the largest time that may have been stored as t: half
    a unit in the last place above it, in the file's own floating-point type. The data sets store float16, which rounds
    0.03 s down to 0.029999 s; read as it stands, that event would land one step early at dt = 10 ms. With t' every time
    on a grid of 0.5 ms or coarser comes back to its own step up to 1 s, where half a unit is 0.244 ms. From 1 s to 2 s
    float16 is 1 ms coarse: there a time 0.5 ms before the end of a step cannot be told from the end, and counts as the
    end. Times off the grid move by at most half a unit, which is less than their own rounding.

    Events at or beyond ``duration_ms`` are dropped, counted in :attr:`dropped_fraction` and reported once in the log.
    Several events of a channel in one step add up unless ``binarize`` is set.

    The files of this kind come without a validation set. Without ``val`` one is taken from the training file: a share of
    every class, fixed by the seed, or, which says more about new voices, all utterances of ``val_speakers``.

    Args:
        train: file with the training utterances.
        test: file with the test utterances; None when there is none, then there is nothing to test on.
        val: file with the validation utterances; ``val_fraction`` is not used then.
        val_fraction: share of each class of the training file for validation, in (0, 1).
        val_speakers: numbers of the speakers for validation, from ``extra/speaker`` of the training file;
            ``val_fraction`` is not used then.
        dt_ms: length of a time step in ms, > 0.
        duration_ms: end of the grid in ms, > 0; T = ceil(duration / dt).
        channels: number of channels in the files, >= 1.
        batch_size: samples per batch, >= 1.
        binarize: 1 where there is any event, instead of the number of events.
        pool: adjacent channels that are added up into one; ``channels`` must be a multiple.
        first_step: the step that time 0 falls into; the steps before it stay empty, and T grows by as many. 1 with
            dt = 1400 / 99 ms and a duration of 1400 ms is what ``numpy.digitize`` makes of the data in SpyTorch tutorial 4.
        seed: of the split and the shuffling; >= 0.
        num_workers: worker processes per loader.
        events: whether x is handed out as :class:`snnlightning.events.Events`.

    Raises:
        ConfigurationError: a parameter out of range, or two that contradict each other.
        DataError: a file that is missing, empty, corrupt or in another layout (when the data is loaded).
        MissingDependencyError: h5py is not installed (when the data is loaded).

    Source: B. Cramer, Y. Stradmann, J. Schemmel and F. Zenke 2020, The Heidelberg spiking data sets.
    """

    def __init__(
        self,
        train: str | os.PathLike[str],
        test: str | os.PathLike[str] | None = None,
        val: str | os.PathLike[str] | None = None,
        val_fraction: float = 0.1,
        val_speakers: list[int] | None = None,
        dt_ms: float = 10.0,
        duration_ms: float = 1000.0,
        channels: int = 700,
        batch_size: int = 64,
        binarize: bool = False,
        pool: int = 1,
        first_step: int = 0,
        seed: int = 0,
        num_workers: int = 0,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        # Plain values, because these become part of every checkpoint.
        train, test, val = os.fspath(train), test and os.fspath(test), val and os.fspath(val)
        val_speakers = None if val_speakers is None else [whole("val_speakers", s, at_least=0) for s in val_speakers]
        self.save_hyperparameters()
        if val is not None and val_speakers is not None:
            raise ConfigurationError(
                f"val={val!r} and val_speakers={val_speakers} both name the validation set; leave one out."
            )
        if val_speakers is not None and not val_speakers:
            raise ConfigurationError("val_speakers is empty; name at least one speaker or leave it out.")
        if whole("channels", channels) % whole("pool", pool):
            divisors = [p for p in range(1, channels + 1) if channels % p == 0]
            raise ConfigurationError(
                f"{channels} channels cannot be added up in groups of pool={pool}; the nearest group that fits is"
                f" {min(divisors, key=lambda p: abs(p - pool))}."
            )
        self._files = {"train": train, "val": val, "test": test}
        self._val_fraction = fraction("val_fraction", val_fraction)
        self._val_speakers = val_speakers
        # The tolerance is for quotients such as 700 / 0.7, which is 1000.0000000000001.
        self._grid = math.ceil(duration("duration_ms", duration_ms) / dt_ms - 1e-9)
        self._duration_ms = float(duration_ms)
        self._channels = channels
        self._pool = pool
        self._first = whole("first_step", first_step, at_least=0)
        self._binarize = bool(binarize)
        self._class_names: tuple[str, ...] | None = None
        self._dropped_fraction = 0.0

    @property
    def dropped_fraction(self) -> float:
        """Share of all events in the files that lie at or beyond ``duration_ms``; loads the data if need be."""
        _ = self.splits
        return self._dropped_fraction

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the labels mean, from ``extra/keys``, or None when the files do not say; loads the data if need be."""
        _ = self.splits
        return self._class_names

    def load(self) -> Splits:
        """Read all files, put the events on the grid, split off the validation set."""
        files = {
            part: _read(Path(path), self._channels, self.dt_ms, self._duration_ms, self._grid)
            for part, path in self._files.items()
            if path is not None
        }
        self._class_names = _common_keys(files)
        self._report_dropped(files)
        highest = max(int(file.labels.max()) for file in files.values())
        num_classes = highest + 1 if self._class_names is None else len(self._class_names)
        if highest >= num_classes:
            raise DataError(
                f"the highest label in {', '.join(str(self._files[part]) for part in files)} is {highest} and extra/keys names"
                f" {num_classes} classes; the files are of different data sets."
            )
        sets = {part: self._dataset(file) for part, file in files.items()}
        if "val" in sets:
            return Splits(sets["train"], sets["val"], sets.get("test"), num_classes)
        train, val = self._validation(files["train"])
        return Splits(sets["train"].subset(train), sets["train"].subset(val), sets.get("test"), num_classes)

    def _dataset(self, file: "_File") -> EventDataset:
        return EventDataset(
            torch.from_numpy(file.offsets),
            torch.from_numpy(file.bins + self._first),
            torch.from_numpy(file.channels // self._pool),
            torch.from_numpy(file.labels),
            steps=self._grid + self._first,
            in_features=self._channels // self._pool,
            binarize=self._binarize,
        )

    def _validation(self, file: "_File") -> list[torch.Tensor]:
        """Sample numbers of the training file for training and for validation."""
        if self._val_speakers is None:
            return stratified(torch.from_numpy(file.labels), [self._val_fraction], self.seed)
        if file.speakers is None:
            raise DataError(
                f"{self._files['train']} has no extra/speaker, which val_speakers refers to; leave val_speakers out to"
                " split by val_fraction."
            )
        if missing := sorted(set(self._val_speakers) - set(file.speakers.tolist())):
            raise ConfigurationError(
                f"val_speakers {missing} do not speak in {self._files['train']}; the speakers are"
                f" {sorted(set(file.speakers.tolist()))}."
            )
        chosen = torch.from_numpy(np.isin(file.speakers, self._val_speakers))
        if bool(chosen.all()):
            raise ConfigurationError(
                f"val_speakers {self._val_speakers} are all speakers of {self._files['train']}, which leaves nothing"
                " for training; leave one out."
            )
        return [(~chosen).nonzero().flatten(), chosen.nonzero().flatten()]

    def _report_dropped(self, files: dict[str, "_File"]) -> None:
        dropped, total = (sum(getattr(file, name) for file in files.values()) for name in ("dropped", "events"))
        self._dropped_fraction = dropped / max(1, total)
        if dropped:
            _warn(
                "%d of %d events (%.3g %%) lie at or beyond duration_ms = %g and are dropped.",
                dropped,
                total,
                100.0 * self._dropped_fraction,
                self._duration_ms,
            )


@rank_zero_only
def _warn(message: str, *values: object) -> None:
    log.warning(message, *values)


class _File(NamedTuple):
    """One file on the grid: events in the order of the file, those beyond the end left out."""

    offsets: np.ndarray
    bins: np.ndarray
    channels: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray | None
    keys: tuple[str, ...] | None
    events: int
    dropped: int


def _positions(times: np.ndarray, dt_ms: float) -> np.ndarray:
    """Times in seconds as positions on the grid, in steps, float64; the rule is that of the class.

    1e-9 steps are added for the rounding of the float64 product itself: 0.29 s * (1000 / 10) is 28.999999999999996.
    """
    latest = times.astype(np.float64) + 0.5 * np.spacing(times).astype(np.float64)
    position: np.ndarray = latest * (1000.0 / dt_ms) + 1e-9
    return position


def _read(path: Path, channels: int, dt_ms: float, duration_ms: float, steps: int) -> _File:
    """One file, checked and put on the grid."""
    times, units, labels, speakers, keys = _contents(path)
    counts = np.array([len(train) for train in times], dtype=np.int64)
    different = np.flatnonzero(counts != [len(train) for train in units])
    if len(different):
        i = different[0]
        raise DataError(
            f"{path}: {len(different)} utterances have other numbers of times than of units, the first is number {i} with"
            f" {counts[i]} and {len(units[i])}; each event needs both."
        )
    time, unit = np.concatenate(times), np.concatenate(units).astype(np.int32)
    if bool((wrong := ~(np.isfinite(time) & (time >= 0))).any()):
        raise DataError(f"{path}: spikes/times holds {time[wrong][0]} s; times are finite and not negative.")
    if len(unit) and not 0 <= unit.min() <= unit.max() < channels:
        raise DataError(
            f"{path}: spikes/units run from {unit.min()} to {unit.max()}, and channels={channels} allows 0 to"
            f" {channels - 1}; set channels to the number that the data set has."
        )
    position = _positions(time, dt_ms)
    keep = position < min(duration_ms / dt_ms, steps)
    if len(keep) and not keep.any():
        raise DataError(
            f"{path}: all {len(keep)} events lie at or beyond duration_ms = {duration_ms:g}, the first at {time.min()} s."
            " Times are expected in seconds."
        )
    kept = np.bincount(np.repeat(np.arange(len(counts)), counts)[keep], minlength=len(counts))
    return _File(
        offsets=np.concatenate([[0], np.cumsum(kept)]),
        bins=position[keep].astype(np.int32),
        channels=unit[keep],
        labels=labels,
        speakers=speakers,
        keys=keys,
        events=len(keep),
        dropped=len(keep) - int(keep.sum()),
    )


def _contents(
    path: Path,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """What a file holds: times and units per utterance, labels, speakers, class names; only the layout is checked."""
    h5py = require("h5py", "data", "Reading event files")
    source = _unpacked(path)
    try:
        with h5py.File(source, "r") as file:
            found: list[str] = []
            file.visit(found.append)
            if missing := sorted({"spikes/times", "spikes/units", "labels"} - set(found)):
                raise DataError(
                    f"{path} has no {', '.join(missing)}; it has {', '.join(found) or 'nothing'}. The layout is {_LAYOUT}."
                )
            for name, kinds in (("spikes/times", "f"), ("spikes/units", "iu")):
                inner = h5py.check_vlen_dtype(file[name].dtype)
                if inner is None or np.dtype(inner).kind not in kinds:
                    raise DataError(
                        f"{path}: {name} is {file[name].dtype} {file[name].shape}; the layout is {_LAYOUT}."
                    )
            times, units, labels = (file[name][:] for name in ("spikes/times", "spikes/units", "labels"))
            speakers = file["extra/speaker"][:] if "extra/speaker" in file else None
            keys = file["extra/keys"].asstr()[:] if "extra/keys" in file else None
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} cannot be read as HDF5 ({error}); it is corrupt, cut short or another kind of file: fetch it again."
        ) from error
    if len(labels) == 0:
        raise DataError(f"{path} holds no utterances.")
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.min() < 0:
        raise DataError(f"{path}: labels is {labels.dtype} {labels.shape}; one whole number from 0 for each utterance.")
    lengths = {"spikes/times": times, "spikes/units": units, "labels": labels, "extra/speaker": speakers}
    counts = {name: len(values) for name, values in lengths.items() if values is not None}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"{path}: one entry for each utterance is expected everywhere, and there are: {listed}.")
    names = None if keys is None else tuple(str(key) for key in keys)
    return times, units, labels.astype(np.int64), speakers, names


def _unpacked(path: Path) -> Any:
    """The path itself, or the unpacked bytes of a gzipped file; by content, whatever the file is called."""
    if not path.is_file():
        near = difflib.get_close_matches(path.name, os.listdir(path.parent) if path.parent.is_dir() else [], n=1)
        raise DataError(f"there is no file {path}." + (f" Did you mean {path.parent / near[0]}?" if near else ""))
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; fetch it again.")
        return io.BytesIO(gzip.decompress(path.read_bytes())) if packed else path
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}); it is corrupt or cut short: fetch it again.") from error


def _common_keys(files: dict[str, _File]) -> tuple[str, ...] | None:
    """The class names, which all files that have any must agree on."""
    named = {part: file.keys for part, file in files.items() if file.keys is not None}
    if len(set(named.values())) > 1:
        listed = "; ".join(f"{part}: {', '.join(keys)}" for part, keys in named.items())
        raise DataError(f"the files name different classes in extra/keys ({listed}); they are of different data sets.")
    return next(iter(named.values()), None)
