"""SpyTorch: the tutorials of the seed paper."""

import dataclasses
from typing import Any, ClassVar

from ..initializers import AbstractInitializer, ScaledNormal
from ..neurons import AbstractNeuron, AbstractSpikingNeuron, CubaLIF
from .abstract import AbstractRecipe

__all__ = ["SpyTorch"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpyTorch(AbstractRecipe):
    """CubaLIF, tau_mem 10 and tau_syn 5 ms, reset to zero, in SpyTorch's ordering; w ~ Normal(0, gain / √fan_in).

    Args:
        gain: of all weights, > 0; 0.2 in tutorials 3 and 4, 7 (1 - exp(-0.1)) = 0.666 in 1 and 2.

    Source: SpyTorch, tutorials 1 to 4. Tutorial 4 bins at 14.1 ms and keeps the decays of 1 ms: use ``dt_ms=1``.

    Example:
        >>> SpyTorch().neuron().ordering
        'spytorch'
    """

    gain: float = 0.2

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = CubaLIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        return {"tau_mem_ms": 10.0, "tau_syn_ms": 5.0, "ordering": "spytorch", "reset": "zero"}

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return ScaledNormal(self.gain)

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return ScaledNormal(self.gain)
