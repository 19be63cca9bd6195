"""LogUniform: every order of magnitude between two bounds alike."""

import dataclasses
import math

from torch import Tensor

from ..errors import ConfigurationError
from .abstract import AbstractDistribution

__all__ = ["LogUniform"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogUniform(AbstractDistribution):
    """log x ~ Uniform(log low, log high); the median is √(low high).

    Args:
        low, high: 0 < low < high, in the unit of the field.

    Example:
        >>> taus = LogUniform(low=1.0, high=100.0).draw(1000)
        >>> 1.0 <= taus.min().item() <= taus.max().item() <= 100.0
        True
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.low > 0.0 and math.isfinite(self.high)):
            raise ConfigurationError(
                f"LogUniform has low={self.low:g} and high={self.high:g}; 0 < low < high < inf is expected."
            )

    @property
    def centre(self) -> float:
        return math.sqrt(self.low * self.high)

    @property
    def _unbounded(self) -> tuple[float, float]:
        return self.low, self.high

    def _draw(self, into: Tensor) -> Tensor:
        return into.uniform_(math.log(self.low), math.log(self.high)).exp()
