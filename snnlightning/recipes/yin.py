"""Yin: adaptive thresholds with learned time constants."""

import dataclasses
from typing import Any, ClassVar

from ..distributions import Normal
from ..initializers import AbstractInitializer, GlorotUniform, Orthogonal
from ..neurons import ALIF, AbstractNeuron, AbstractSpikingNeuron
from .abstract import AbstractRecipe

__all__ = ["Yin"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Yin(AbstractRecipe):
    """ALIF (``yin``), tau_mem ~ Normal(20, 5) and tau_adapt ~ Normal(150, 10) steps, learned; w_in Glorot, w_rec orthogonal.

    v_th 0.01 and beta 1.8. A step is ``dt_ms``, so that 20 steps are 80 ms at 4 ms, as their script has it.

    Source: Yin, Corradi & Bohté 2021, and their script for the Heidelberg digits.
    differs: time constants are drawn at 1 step or more, and trained as logarithms; states start at zero and not at random.

    Example:
        >>> Yin().neuron(dt_ms=4.0).tau_mem_ms
        Normal(low=4.0, high=inf, mean=80.0, std=20.0)
    """

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = ALIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        return {
            "tau_mem_ms": Normal(mean=20.0 * dt_ms, std=5.0 * dt_ms, low=dt_ms),
            "tau_adapt_ms": Normal(mean=150.0 * dt_ms, std=10.0 * dt_ms, low=dt_ms),
            "beta": 1.8,
            "v_th": 0.01,
            "form": "yin",
            "learn_tau": "per_neuron",
        }

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return GlorotUniform()

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return Orthogonal()
