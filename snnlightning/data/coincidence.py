"""Coincidence: which interval lies between two volleys of spikes. One volley says nothing, and neither do counts."""

import math
from collections.abc import Sequence

import torch

from ..errors import ConfigurationError
from ._checks import duration, fraction, stratified, whole
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["CoincidenceDataModule"]


class CoincidenceDataModule(SpikingDataModule):
    """Class c: the volley of the second group of channels comes ``intervals_ms[c]`` after that of the first.

    Each channel fires once: at the onset of its group plus normal jitter, in whole steps, cut at the ends of the grid. The
    first onset is uniform over all places that leave room for the interval, so that no channel alone tells the class.

    What to expect at the defaults: neurons that forget within a step or two see whether volleys coincide, and little else: with
    five intervals, 1/5 + 4/5 · 1/4 = 0.40 is about the best without delays, recurrence or longer time constants (a reset that subtracts
    keeps the overshoot of large weights for longer; see docs/architecture.md for figures).

    Args:
        intervals_ms: one per class, distinct, at least two; negative: the second group is first.
        width: channels of a group, >= 1; N = 2 width.
        jitter_ms: standard deviation, >= 0.
        samples_per_class: >= 2.
        steps: time steps T; must hold the longest interval.
        dt_ms: length of a time step in ms, > 0.
        val_fraction: share of each class for validation, in (0, 1).
        test_fraction: share of each class for test, in (0, 1).
        batch_size: samples per batch, >= 1.
        seed: of the samples, the split and the shuffling; >= 0.
        num_workers: worker processes per loader.
        events: whether x is handed out as :class:`snnlightning.events.Events`.

    Raises:
        ConfigurationError: a number out of range, or intervals that the grid cannot hold.
    """

    def __init__(
        self,
        intervals_ms: Sequence[float] = (-20.0, -10.0, 0.0, 10.0, 20.0),
        width: int = 4,
        jitter_ms: float = 0.5,
        samples_per_class: int = 400,
        steps: int = 60,
        dt_ms: float = 1.0,
        val_fraction: float = 0.1,
        test_fraction: float = 0.25,
        batch_size: int = 50,
        seed: int = 0,
        num_workers: int = 0,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        intervals_ms = [float(interval) for interval in intervals_ms]
        self.save_hyperparameters()
        if (
            len(set(intervals_ms)) != len(intervals_ms)
            or len(intervals_ms) < 2
            or not all(map(math.isfinite, intervals_ms))
        ):
            raise ConfigurationError(
                f"intervals_ms is {intervals_ms}; at least two different finite numbers are expected."
            )
        self._intervals = torch.tensor(intervals_ms, dtype=torch.float64)
        self._width = whole("width", width)
        self._jitter_ms = duration("jitter_ms", jitter_ms) if jitter_ms else 0.0
        self._per_class = whole("samples_per_class", samples_per_class, at_least=2)
        self._grid = whole("steps", steps)
        self._fractions = (fraction("val_fraction", val_fraction), fraction("test_fraction", test_fraction))
        longest = max(map(abs, intervals_ms))
        if longest > (steps - 1) * dt_ms:
            raise ConfigurationError(
                f"an interval of {longest:g} ms and {steps} steps of {dt_ms:g} ms; raise steps, or shorten the interval."
            )

    def load(self) -> Splits:
        """Draw onsets and jitter, put the spikes on the grid, split each class."""
        generator = torch.Generator().manual_seed(self.seed)
        labels = torch.arange(len(self._intervals)).repeat_interleave(self._per_class)
        interval, samples = self._intervals[labels], len(labels)
        last_ms = (self._grid - 1) * self.dt_ms
        room = last_ms - interval.abs()
        first = room * torch.rand(samples, dtype=torch.float64, generator=generator) - interval.clamp_max(0.0)
        onsets = torch.stack([first, first + interval], dim=1).repeat_interleave(self._width, dim=1)
        jitter = self._jitter_ms * torch.randn(onsets.shape, dtype=torch.float64, generator=generator)
        bins = ((onsets + jitter) / self.dt_ms).round().long().clamp(0, self._grid - 1)
        channels = bins.shape[1]
        grid = EventDataset(
            torch.arange(samples + 1) * channels,
            bins.flatten(),
            torch.arange(channels).repeat(samples),
            labels,
            steps=self._grid,
            in_features=channels,
        )
        train, val, test = (grid.subset(part) for part in stratified(labels, self._fractions, self.seed))
        return Splits(train, val, test, num_classes=len(self._intervals))
