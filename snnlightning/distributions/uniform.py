"""Uniform: every number between two bounds alike."""

import dataclasses
import math

from torch import Tensor

from ..errors import ConfigurationError
from .abstract import AbstractDistribution

__all__ = ["Uniform"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Uniform(AbstractDistribution):
    """x ~ Uniform(low, high).

    Args:
        low, high: both are needed, in the unit of the field.

    Source: Baronig, Ferrand, Sabathiel & Legenstein 2025 (5 to 25 ms for the membrane, 60 to 300 ms for the adaptation).

    Example:
        >>> taus = Uniform(low=5.0, high=25.0).draw(1000)
        >>> 5.0 <= taus.min().item() <= taus.max().item() <= 25.0
        True
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.high - self.low):
            raise ConfigurationError(
                f"Uniform has low={self.low:g} and high={self.high:g}; two finite bounds are expected."
            )

    @property
    def centre(self) -> float:
        return 0.5 * (self.low + self.high)

    @property
    def _unbounded(self) -> tuple[float, float]:
        return self.low, self.high

    def _draw(self, into: Tensor) -> Tensor:
        return into.uniform_(self.low, self.high)
