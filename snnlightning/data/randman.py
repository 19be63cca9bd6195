"""Randman: classes are smooth random manifolds of spike times. Counts say nothing, timing says all."""

import math

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ._checks import duration, fraction, stratified, whole
from .abstract import SpikingDataModule, Splits
from .loading import EventDataset

__all__ = ["RandmanDataModule", "randman"]


def randman(
    classes: int = 10,
    units: int = 20,
    dim: int = 1,
    alpha: float = 1.0,
    samples_per_class: int = 1000,
    tau_ms: float = 50.0,
    spikes_per_unit: int = 1,
    modes: int = 1000,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Spike times on random manifolds, in the form of the paper.

    For each class, unit i and spike of that unit, with A, B, C ~ U(0, 1) and a point x ~ U(0, 1)^dim per sample,

        f_i(x) = prod_{j=1..dim} sum_{k=1..modes} k^-alpha A_ijk sin(2 pi (k x_j B_ijk + C_ijk)),

    f is stretched to [0, 1] over the class's own samples, per class and unit, and t_i = tau f_i.

    Args:
        classes: number of classes, >= 1.
        units: number of units, >= 1.
        dim: dimension of the manifold, >= 1.
        alpha: exponent of the spectrum; a larger one is smoother and, at dim 1, easier.
        samples_per_class: points per manifold, >= 2.
        tau_ms: latest spike time in ms, > 0.
        spikes_per_unit: an independent manifold for each additional spike of a unit, >= 1.
        modes: number of sines, >= 1.
        seed: whole number >= 0. Class c does not depend on how many classes follow it.

    Returns:
        times [classes * samples_per_class, units, spikes_per_unit] in ms, float64, in [0, tau_ms], and labels, int64,
        in blocks of one class.

    Raises:
        ConfigurationError: a parameter out of range.

    Source: F. Zenke and T. P. Vogels 2021, section 4.1.1. differs: from the code published with it and from stork, where
    the index k starts at 0, the constant term is treated apart, and alpha limits the number of modes.
    """
    _check(classes, units, dim, alpha, samples_per_class, tau_ms, spikes_per_unit, modes)
    generator = torch.Generator().manual_seed(whole("seed", seed, at_least=0))
    k = torch.arange(1, modes + 1, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    times = torch.empty(classes, samples_per_class, units * spikes_per_unit, dtype=torch.float64)
    for label in range(classes):
        a, b, c = uniform(3, units * spikes_per_unit, dim, modes)
        x = uniform(samples_per_class, dim)
        for i in range(units * spikes_per_unit):  # one unit at a time: [samples, modes] is what fits a cache
            f = torch.ones(samples_per_class, dtype=torch.float64)
            for j in range(dim):
                phase = torch.outer(x[:, j], k * b[i, j]) + c[i, j]
                f *= (2.0 * torch.pi * phase).sin_() @ (k**-alpha * a[i, j])
            low, high = f.min(), f.max()
            times[label, :, i] = tau_ms * ((f - low) / (high - low))
    labels = torch.arange(classes).repeat_interleave(samples_per_class)
    return times.view(len(labels), units, spikes_per_unit), labels


def _check(
    classes: int,
    units: int,
    dim: int,
    alpha: float,
    samples_per_class: int,
    tau_ms: float,
    spikes_per_unit: int,
    modes: int,
) -> None:
    """Refuse what no manifold can be made of."""
    whole("classes", classes)
    whole("units", units)
    whole("dim", dim)
    whole("samples_per_class", samples_per_class, at_least=2)
    whole("spikes_per_unit", spikes_per_unit)
    whole("modes", modes)
    duration("tau_ms", tau_ms)
    if not math.isfinite(alpha):
        raise ConfigurationError(f"alpha is {alpha}; a finite exponent is expected.")


class RandmanDataModule(SpikingDataModule):
    """Randman spike times on a grid of ``steps`` x ``dt_ms``, split class by class.

    The sample at the maximum of its unit has t = tau exactly; it goes into the last bin before tau, so that the bins are
    0 ... tau/dt - 1 and with the defaults the second half of the grid is silent. Every unit fires exactly
    ``spikes_per_unit`` times in every sample.

    What to expect at the defaults: nearest neighbour on the spike times 1.00, linear on the spike times 0.46 +- 0.03; a
    network below that has not learned.

    Args:
        classes, units, dim, alpha, samples_per_class, tau_ms, spikes_per_unit, modes: see :func:`randman`.
        steps: number of time steps T, >= 1; T * dt must not be less than tau.
        dt_ms: length of a time step in ms, > 0.
        val_fraction: share of each class for validation, in (0, 1).
        test_fraction: share of each class for test, in (0, 1).
        batch_size: samples per batch, >= 1.
        seed: of the manifolds, the split and the shuffling; >= 0.
        num_workers: worker processes per loader.
        events: whether x is handed out as :class:`snnlightning.events.Events`.

    Raises:
        ConfigurationError: a number out of range, or spike times that the grid cannot hold.

    Source: F. Zenke and T. P. Vogels 2021, sections 4.1.1 and 4.2 (10 classes, 20 units, 800/100/100, batches of 250).
    """

    def __init__(
        self,
        classes: int = 10,
        units: int = 20,
        dim: int = 1,
        alpha: float = 1.0,
        samples_per_class: int = 1000,
        steps: int = 100,
        tau_ms: float = 50.0,
        dt_ms: float = 1.0,
        spikes_per_unit: int = 1,
        modes: int = 1000,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        batch_size: int = 250,
        seed: int = 0,
        num_workers: int = 0,
        events: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, dt_ms=dt_ms, num_workers=num_workers, events=events)
        self.save_hyperparameters()
        _check(classes, units, dim, alpha, samples_per_class, tau_ms, spikes_per_unit, modes)
        self._manifolds = (classes, units, dim, alpha, samples_per_class, tau_ms, spikes_per_unit, modes)
        self._classes = classes
        self._grid = whole("steps", steps)
        self._tau_ms = tau_ms
        self._fractions = (fraction("val_fraction", val_fraction), fraction("test_fraction", test_fraction))
        if steps * dt_ms < tau_ms:
            raise ConfigurationError(
                f"spikes come as late as tau_ms = {tau_ms} ms and {steps} steps of {dt_ms} ms end before; raise steps"
                " or dt_ms, or lower tau_ms."
            )

    def load(self) -> Splits:
        """Make the spike times, put them on the grid, split each class."""
        times, labels = randman(*self._manifolds, seed=self.seed)
        last = math.ceil(self._tau_ms / self.dt_ms) - 1
        bins = (times / self.dt_ms).long().clamp_max(last)
        samples, units, spikes = bins.shape
        grid = EventDataset(
            torch.arange(samples + 1) * units * spikes,
            bins.flatten(),
            torch.arange(units).repeat_interleave(spikes).repeat(samples),
            labels,
            steps=self._grid,
            in_features=units,
        )
        train, val, test = (grid.subset(part) for part in stratified(labels, self._fractions, self.seed))
        return Splits(train, val, test, num_classes=self._classes)
