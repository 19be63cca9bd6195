"""QuantileUpperBound: a bound on all but the busiest neurons."""

import dataclasses

import torch
from torch import Tensor

from ..errors import ConfigurationError
from .abstract import AbstractCountRegularizer

__all__ = ["QuantileUpperBound"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantileUpperBound(AbstractCountRegularizer):
    """strength * < max(0, Q_q(zeta_b) - bound)^power >_b, Q_q: the q-quantile over the neurons of a layer, interpolated.

    A few busy neurons cost nothing: only the one or two at the quantile get a gradient.

    Args:
        bound: spikes per neuron and sample, >= 0.
        quantile: q, in [0, 1].
        power: 1 or 2.

    Source: ours; a mean bound (PopulationUpperBound) is what it is robust against.

    Example:
        >>> import torch
        >>> zeta = torch.tensor([[0.0, 2.0, 5.0], [1.0, 4.0, 0.0]], dtype=torch.float64)
        >>> QuantileUpperBound(strength=1.0, bound=1.0, quantile=0.5, power=1).of_counts(zeta).item()
        0.5
    """

    bound: float = 1.0
    quantile: float = 0.9
    power: int = 2

    def penalty(self, counts: Tensor) -> Tensor:
        return torch.relu(counts.quantile(self.quantile, dim=-1) - self.bound).pow(self.power).mean()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.quantile <= 1.0:
            raise ConfigurationError(f"QuantileUpperBound.quantile is {self.quantile}; a number in [0, 1] is expected.")
