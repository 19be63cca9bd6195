"""What every regularizer is: a penalty on what the layers did, with a strength that may ramp up.

Most of them penalise the spikes of the hidden layers, by their counts per sample or by their rates per step; some look at
the potentials, the weights or the synaptic operations in the layers' records.
"""

import abc
import dataclasses
import math
from collections.abc import Sequence
from numbers import Real
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..errors import ConfigurationError, ShapeError
from ..typing import LayerRecord

__all__ = [
    "AbstractCountRegularizer",
    "AbstractRateRegularizer",
    "AbstractRegularizer",
    "AbstractSpikeRegularizer",
    "Reads",
]

Reads = Literal["spikes", "potentials", "connections"]

_AT_LEAST_ZERO = ("strength", "start_epoch", "ramp_epochs", "bound", "target")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractRegularizer(abc.ABC):
    """strength * penalty. Every penalty is a mean over the batch (or a function of means over it), so that a batch twice over
    pays the same. Lower is better.

    Args:
        strength: lambda, >= 0.
        start_epoch: before this epoch the penalty is off.
        ramp_epochs: over so many epochs from ``start_epoch`` on it rises linearly to ``strength``; an upper bound that
            acts from the start can silence a network for good.
    """

    reads: ClassVar[Reads] = "spikes"
    """What it needs of the records; not every rule of credit assignment keeps more than spikes."""

    strength: float
    start_epoch: float = 0.0
    ramp_epochs: float = 0.0

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ZERO:
            value = getattr(self, name, 0.0)
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ConfigurationError(f"{type(self).__name__}.{name} is {value!r}; a number is expected.")
            if not 0.0 <= float(value) < math.inf:
                raise ConfigurationError(
                    f"{type(self).__name__}.{name} is {value}; it must be 0 or greater, and finite."
                )
        if getattr(self, "power", 1) not in (1, 2):
            raise ConfigurationError(f"{type(self).__name__}.power is {getattr(self, 'power', 1)}; it must be 1 or 2.")

    def factor(self, epoch: float) -> float:
        """Share of the strength that is in force in an epoch: 0, the ramp, 1.

        Example:
            >>> from snnlightning.regularizers import TotalCount
            >>> warm = TotalCount(strength=1.0, start_epoch=2, ramp_epochs=4)
            >>> [warm.factor(epoch) for epoch in (0, 2, 3, 5, 9)]
            [0.0, 0.25, 0.5, 1.0, 1.0]
        """
        if epoch < self.start_epoch:
            return 0.0
        return min(1.0, (epoch - self.start_epoch + 1.0) / self.ramp_epochs) if self.ramp_epochs > 0.0 else 1.0

    @abc.abstractmethod
    def of_records(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """The penalty on a network, strength included; None when there is nothing to penalise.

        Args:
            records: one per layer, first to last; the last one is the readout.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractSpikeRegularizer(AbstractRegularizer):
    """A penalty on the spikes of one layer, applied to each hidden layer and summed.

    Gradient: through the spikes only, and from there to the weights through the surrogate.
    """

    def __call__(self, spikes: Tensor) -> Tensor:
        """spikes [B, T, N] -> scalar."""
        if spikes.ndim != 3:
            raise ShapeError(f"{type(self).__name__} takes spikes [B, T, N]; {list(spikes.shape)} came.")
        return self.of_spikes(spikes)

    def of_records(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """The sum over the hidden spiking layers (all but the last one)."""
        terms = [self(record.output.flatten(2)) for record in records[:-1] if record.spiking]
        return torch.stack(terms).sum() if terms else None

    @abc.abstractmethod
    def of_spikes(self, spikes: Tensor) -> Tensor:
        """spikes [B, T, N] -> scalar, strength included."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractCountRegularizer(AbstractSpikeRegularizer):
    """strength * penalty(zeta), zeta_bi = sum_n S_bi[n]: the spikes of neuron i in sample b."""

    def of_spikes(self, spikes: Tensor) -> Tensor:
        """Of the counts over time."""
        return self.of_counts(spikes.sum(dim=1))

    def of_counts(self, counts: Tensor) -> Tensor:
        """counts [B, N] -> scalar."""
        return self.strength * self.penalty(counts)

    @abc.abstractmethod
    def penalty(self, counts: Tensor) -> Tensor:
        """The penalty at strength 1; counts [B, N] -> scalar."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractRateRegularizer(AbstractSpikeRegularizer):
    """strength * penalty(r), r_bi = zeta_bi / T: the share of steps in which neuron i spikes in sample b."""

    def of_spikes(self, spikes: Tensor) -> Tensor:
        """Of the mean over time."""
        return self.of_rates(spikes.mean(dim=1))

    def of_rates(self, rates: Tensor) -> Tensor:
        """rates [B, N] in spikes per step -> scalar."""
        return self.strength * self.penalty(rates)

    @abc.abstractmethod
    def penalty(self, rates: Tensor) -> Tensor:
        """The penalty at strength 1; rates [B, N] -> scalar."""
