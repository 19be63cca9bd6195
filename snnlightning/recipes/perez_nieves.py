"""PerezNieves: neurons of many time constants."""

import dataclasses
import math
from typing import Any, ClassVar

from ..distributions import Gamma
from ..initializers import AbstractInitializer, ScaledUniform
from ..neurons import AbstractNeuron, AbstractSpikingNeuron, CubaLIF
from .abstract import AbstractRecipe

__all__ = ["PerezNieves"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerezNieves(AbstractRecipe):
    """CubaLIF, tau_mem ~ Gamma(3) around 20 and tau_syn around 10 ms, learned, decays in [2 / e, 0.995]; w ~ Uniform(±1 / √fan_in).

    The bounds are those of a step of 0.5 ms, 1.63 to 99.7 ms; reset by subtraction, scaled current.

    Args:
        shape: of the gamma distribution, > 0.

    Source: Perez-Nieves, Leung, Dragotti & Goodman 2021, and their code (``dt_ms=0.5``).
    differs: the bound of the input weights there is 1 / √N_post, by the transposed layout of their matrix; learned constants are
    kept in their bounds by a smooth map and not by clipping; 1 - exp(-dt / tau_mem) is not detached.

    Example:
        >>> PerezNieves().neuron(dt_ms=0.5).tau_syn_ms.mean
        10.0
    """

    shape: float = 3.0

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = CubaLIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        low, high = -0.5 / math.log(2.0 / math.e), -0.5 / math.log(0.995)
        return {
            "tau_mem_ms": Gamma(mean=20.0, shape=self.shape, low=low, high=high),
            "tau_syn_ms": Gamma(mean=10.0, shape=self.shape, low=low, high=high),
            "bounds": {"tau_mem_ms": (low, high), "tau_syn_ms": (low, high)},
            "learn_tau": "per_neuron",
            "ordering": "stork",
            "reset": "subtract",
        }

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return ScaledUniform()

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return ScaledUniform()
