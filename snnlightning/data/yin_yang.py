"""Yin-Yang: points of a disc in three classes, as spike times; made here, nothing to download."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigurationError
from ._checks import duration, whole
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["YinYangDataModule", "yin_yang"]

_BIG, _SMALL = 0.5, 0.1


def yin_yang(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points of the Yin-Yang disc and their classes.

    With R = 0.5, r = 0.1 and d_right, d_left the distances of (x, y) to (1.5 R, R) and (0.5 R, R): class 2 (dot) if d_right < r
    or d_left < r; else 1 (yang) if r < d_left <= R / 2, or y > R and d_right > R / 2, or d_right = r; else 0 (yin). A class is
    drawn uniformly, then points in the square until one lies in the disc and has it.

    Args:
        samples: how many, >= 1.
        seed: whole number in [0, 2^32). 42, 41 and 40 with 5000, 1000 and 1000 samples give the published training,
            validation and test set, bit for bit.

    Returns:
        [samples, 4] float64, (x, y, 1 - x, 1 - y) in [0, 1], and classes [samples] int64.

    Source: L. Kriener, J. Göltz and M. A. Petrovici, The Yin-Yang dataset, NICE 2022 (arXiv:2102.08211).

    Example:
        >>> points, labels = yin_yang(3, seed=42)
        >>> labels.tolist(), bool((points[:, :2] + points[:, 2:] == 1.0).all())
        ([2, 1, 2], True)
    """
    whole("samples", samples)
    # The published sets were drawn with numpy's old generator; no other gives the same points.
    generator = np.random.RandomState(whole("seed", seed, at_least=0))
    points, classes = np.empty((samples, 2)), np.empty(samples, dtype=np.int64)
    for k in range(samples):
        wanted = generator.randint(3)
        while True:
            x, y = generator.rand(2) * 2.0 * _BIG
            if np.sqrt((x - _BIG) ** 2 + (y - _BIG) ** 2) <= _BIG and _class(x, y) == wanted:
                break
        points[k], classes[k] = (x, y), wanted
    return torch.from_numpy(np.concatenate([points, 1.0 - points], axis=1)), torch.from_numpy(classes)


def _class(x: float, y: float) -> int:
    d_right, d_left = (np.sqrt((x - c * _BIG) ** 2 + (y - _BIG) ** 2) for c in (1.5, 0.5))
    if d_right < _SMALL or d_left < _SMALL:
        return 2
    return int(d_right <= _SMALL or (_SMALL < d_left <= 0.5 * _BIG) or (y > _BIG and d_right > 0.5 * _BIG))


class YinYangDataModule(SpikingDataModule):
    """Each of (x, y, 1 - x, 1 - y) is one spike at t = t_early + value (t_late - t_early); channel 4 spikes at ``bias_ms``.

    The published sets of 5000, 1000 and 1000 points at the defaults, whatever the seed. What to expect (test): linear 64 %,
    perceptron with 30 hidden units 97.6 %, with 120 98.7 +- 0.3 %.

    Args:
        steps: number of time steps T, >= 1; T * dt must be greater than every spike time.
        dt_ms: length of a time step in ms, > 0; the points are told apart by it.
        t_early_ms: spike time of 0 in ms, >= 0.
        t_late_ms: spike time of 1 in ms, greater than ``t_early_ms``.
        bias_ms: time of the spike that says when a sample starts, >= 0.
        samples: sizes of training, validation and test set.
        sample_seeds: seeds of the three sets, all different.
        batch_size: samples per batch, >= 1.
        seed: of the shuffling; >= 0.
        num_workers: worker processes per loader.
        events: whether batches hold ``Events`` instead of dense tensors; see :class:`SpikingDataModule`.

    Raises:
        ConfigurationError: a number out of range, or times that the grid cannot hold.

    Source: L. Kriener, J. Göltz and M. A. Petrovici 2022; J. Göltz et al. 2021 (points as spike times, with a bias).
    """

    def __init__(
        self,
        steps: int = 120,
        dt_ms: float = 0.5,
        t_early_ms: float = 0.0,
        t_late_ms: float = 30.0,
        bias_ms: float = 0.0,
        samples: tuple[int, int, int] = (5000, 1000, 1000),
        sample_seeds: tuple[int, int, int] = (42, 41, 40),
        batch_size: int = 150,
        seed: int = 0,
        num_workers: int = 0,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        samples, sample_seeds = _three("samples", samples, 1), _three("sample_seeds", sample_seeds, 0)
        self.save_hyperparameters()
        if len(set(sample_seeds)) < 3:
            raise ConfigurationError(f"sample_seeds is {sample_seeds}; equal seeds give equal points: use three.")
        for name, value in (("t_early_ms", t_early_ms), ("bias_ms", bias_ms)):
            if not 0.0 <= value < math.inf:
                raise ConfigurationError(f"{name} is {value}; a finite time of at least 0 is expected.")
        if duration("t_late_ms", t_late_ms) <= t_early_ms:
            raise ConfigurationError(f"t_late_ms {t_late_ms} is not after t_early_ms {t_early_ms}.")
        self._grid = whole("steps", steps)
        self._times = (t_early_ms, t_late_ms, bias_ms)
        self._sets = tuple(zip(samples, sample_seeds, strict=True))
        if (last := max(t_late_ms, bias_ms)) >= self._grid * dt_ms:
            raise ConfigurationError(
                f"spikes come as late as {last} ms and {steps} steps of {dt_ms} ms end before; raise steps or dt_ms."
            )

    def load(self) -> Splits:
        """Draw the points and put their spikes on the grid."""
        train, val, test = (self._spikes(*yin_yang(samples, seed)) for samples, seed in self._sets)
        return Splits(train, val, test, num_classes=3)

    def _spikes(self, points: Tensor, labels: Tensor) -> EventDataset:
        early, late, bias = self._times
        times = torch.cat([early + points * (late - early), torch.full((len(points), 1), bias)], dim=1)
        n = times.shape[1]
        return EventDataset(
            torch.arange(len(points) + 1) * n,
            (times / self.dt_ms).long().flatten(),
            torch.arange(n).repeat(len(points)),
            labels,
            steps=self._grid,
            in_features=n,
        )


def _three(name: str, values: Any, at_least: int) -> tuple[int, int, int]:
    listed = tuple(values) if isinstance(values, list | tuple) else (values,)
    if len(listed) != 3:
        raise ConfigurationError(f"{name} is {values!r}; three are expected: training, validation, test.")
    train, val, test = (whole(name, value, at_least) for value in listed)
    return train, val, test
