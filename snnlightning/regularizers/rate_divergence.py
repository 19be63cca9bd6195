"""RateDivergence: how far each neuron's rate is from a sparse one, as a divergence."""

import dataclasses

import torch
from torch import Tensor

from ..errors import ConfigurationError
from .abstract import AbstractRateRegularizer

__all__ = ["RateDivergence"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RateDivergence(AbstractRateRegularizer):
    """strength * sum_i KL(rate || r_i), r_i = < r_bi >_b, KL(p || q) = p ln(p / q) + (1 - p) ln((1 - p) / (1 - q)).

    Between Bernoulli variables: "spikes in a step". It grows without bound for neurons that never or always spike; q is kept between
    rate / 10 and 1 - (1 - rate) / 10, and a neuron beyond gets the gradient of that end (at most 10 strength).

    Args:
        rate: spikes per step that are wanted, in (0, 1).

    Source: the sparsity term of sparse autoencoders (Ng 2011), on spikes.

    Example:
        >>> import torch
        >>> RateDivergence(strength=1.0, rate=0.2).of_rates(torch.tensor([[0.2, 0.3], [0.2, 0.1]])).item()
        0.0
    """

    rate: float = 0.05

    def penalty(self, rates: Tensor) -> Tensor:
        p, mean = self.rate, rates.mean(dim=0)
        q = mean + (mean.detach().clamp(0.1 * p, 0.9 + 0.1 * p) - mean.detach())
        return (p * torch.log(p / q) + (1.0 - p) * torch.log((1.0 - p) / (1.0 - q))).sum()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.rate < 1.0:
            raise ConfigurationError(f"RateDivergence.rate is {self.rate}; a number in (0, 1) is expected.")
