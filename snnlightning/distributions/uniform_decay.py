"""UniformDecay: time constants whose decay per step is uniform between two bounds."""

import dataclasses
import math

from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive
from .abstract import AbstractDistribution

__all__ = ["UniformDecay"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformDecay(AbstractDistribution):
    """tau = -dt / log d, d ~ Uniform(exp(-dt / low), exp(-dt / high)).

    Long time constants are more frequent than with ``LogUniform`` and less than with ``Uniform``.

    Args:
        low, high: 0 < low < high, in ms.
        dt_ms: time step in ms, > 0; that of the neuron.

    Source: Bittar & Garner 2022 (5 to 25 steps for the membrane, 30 to 120 for the adaptation, in their code).

    Example:
        >>> taus = UniformDecay(low=5.0, high=25.0).draw(1000)
        >>> 5.0 <= taus.min().item() <= taus.max().item() <= 25.0
        True
    """

    dt_ms: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("UniformDecay.dt_ms", self.dt_ms)
        if not (self.low > 0.0 and math.isfinite(self.high)):
            raise ConfigurationError(
                f"UniformDecay has low={self.low:g} and high={self.high:g}; 0 < low < high < inf is expected."
            )

    @property
    def centre(self) -> float:
        return -self.dt_ms / math.log(0.5 * (math.exp(-self.dt_ms / self.low) + math.exp(-self.dt_ms / self.high)))

    @property
    def _unbounded(self) -> tuple[float, float]:
        return self.low, self.high

    def _draw(self, into: Tensor) -> Tensor:
        decays = into.uniform_(math.exp(-self.dt_ms / self.low), math.exp(-self.dt_ms / self.high))
        return -self.dt_ms / decays.log()
