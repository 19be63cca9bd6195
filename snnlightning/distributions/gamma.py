"""Gamma: positive numbers, most below the mean and a few far above it."""

import dataclasses
import math

import torch
from torch import Tensor

from .abstract import AbstractDistribution

__all__ = ["Gamma"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gamma(AbstractDistribution):
    """x ~ Gamma(shape, scale = mean / shape): mean ``mean``, standard deviation mean / √shape.

    Args:
        mean: > 0, in the unit of the field.
        shape: > 0, dimensionless; 3 is published for time constants.
        low, high: bounds of every draw.

    Source: Perez-Nieves, Leung, Dragotti & Goodman 2021 (shape 3 around 20 ms for the membrane and 10 ms for the synapse).

    Example:
        >>> _ = torch.manual_seed(0)
        >>> taus = Gamma(mean=20.0, shape=3.0, low=1.6, high=100.0).draw(10_000)
        >>> round(taus.mean().item()), taus.min().item() >= 1.6
        (20, True)
    """

    mean: float
    shape: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_zero("mean")
        self._at_least_zero("shape")

    @property
    def centre(self) -> float:
        return self.mean

    @property
    def _unbounded(self) -> tuple[float, float]:
        return torch.finfo(torch.float32).tiny, math.inf  # a draw of a small shape may round to 0

    def _draw(self, into: Tensor) -> Tensor:
        rate = torch.full_like(into, self.shape / self.mean)
        return torch.distributions.Gamma(torch.full_like(into, self.shape), rate, validate_args=False).sample()
