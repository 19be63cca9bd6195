"""LSNN: networks with adaptive thresholds."""

import dataclasses
from typing import Any, ClassVar

from ..initializers import AbstractInitializer, ScaledNormal, WithoutAutapses
from ..neurons import ALIF, AbstractNeuron, AbstractSpikingNeuron
from .abstract import AbstractRecipe

__all__ = ["LSNN"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSNN(AbstractRecipe):
    """ALIF (``lsnn``), tau_mem 20 and tau_adapt 200 ms, v_th 0.01, beta 1.6; w ~ Normal(0, 1 / √fan_in), no autapses.

    Source: Bellec et al. 2018 and the defaults of their code. There a part of the neurons adapts; here all do, and a list of
    ``beta`` with zeros makes a part of them plain.

    Example:
        >>> LSNN().neuron().beta
        1.6
    """

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = ALIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        return {"tau_mem_ms": 20.0, "tau_adapt_ms": 200.0, "beta": 1.6, "v_th": 0.01, "form": "lsnn"}

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return ScaledNormal()

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return WithoutAutapses(ScaledNormal())
