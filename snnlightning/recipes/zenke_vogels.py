"""ZenkeVogels: the networks in which surrogates were compared."""

import dataclasses
from typing import Any, ClassVar

from ..initializers import AbstractInitializer, ScaledUniform
from ..neurons import AbstractNeuron, AbstractSpikingNeuron, CubaLIF
from .abstract import AbstractRecipe

__all__ = ["ZenkeVogels"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZenkeVogels(AbstractRecipe):
    """CubaLIF, tau_mem 20 and tau_syn 10 ms, reset to zero, scaled current; w ~ Uniform(±1 / √fan_in).

    With few input spikes no neuron spikes at the start: add a lower bound on spike counts, or a wide surrogate.

    Source: Zenke & Vogels 2021; the initialisation as later work quotes it.

    Example:
        >>> ZenkeVogels().neuron().ordering
        'stork'
    """

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = CubaLIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        return {"tau_mem_ms": 20.0, "tau_syn_ms": 10.0, "ordering": "stork", "reset": "zero"}

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return ScaledUniform()

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return ScaledUniform()
