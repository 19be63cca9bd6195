"""What every spike-count regularizer is: a penalty on how often neurons spike, with a strength that may ramp up."""

import abc
import dataclasses

from torch import Tensor

from ..errors import ConfigurationError, ShapeError

__all__ = ["AbstractRegularizer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractRegularizer(abc.ABC):
    """strength * penalty(zeta), zeta_bi = sum_n S_bi[n]: the spikes of neuron i in sample b.

    Every penalty is a mean over the batch (or of batch means), so that doubling the batch does not change it. Lower is
    better. It is applied to each hidden layer and summed.

    Args:
        strength: lambda, >= 0.
        start_epoch: before this epoch the penalty is off.
        ramp_epochs: over so many epochs from ``start_epoch`` on it rises linearly to ``strength``; an upper bound that
            acts from the start can silence a network for good.

    Gradient: through zeta only, and from there to the weights through the surrogate.
    """

    strength: float
    start_epoch: float = 0.0
    ramp_epochs: float = 0.0

    def __post_init__(self) -> None:
        for name in ("strength", "start_epoch", "ramp_epochs", "bound", "target"):
            value = getattr(self, name, 0.0)
            if not value >= 0.0:
                raise ConfigurationError(f"{type(self).__name__}.{name} is {value}; it must be 0 or greater.")
        if getattr(self, "power", 1) not in (1, 2):
            raise ConfigurationError(f"{type(self).__name__}.power is {getattr(self, 'power', 1)}; it must be 1 or 2.")

    def __call__(self, spikes: Tensor) -> Tensor:
        """spikes [B, T, N] -> scalar."""
        if spikes.ndim != 3:
            raise ShapeError(f"{type(self).__name__} takes spikes [B, T, N]; {list(spikes.shape)} came.")
        return self.of_counts(spikes.sum(dim=1))

    def of_counts(self, counts: Tensor) -> Tensor:
        """counts [B, N] -> scalar."""
        return self.strength * self.penalty(counts)

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
    def penalty(self, counts: Tensor) -> Tensor:
        """The penalty at strength 1; counts [B, N] -> scalar."""
