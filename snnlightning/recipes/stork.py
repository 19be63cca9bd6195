"""Stork: fluctuation-driven initialisation in stork's ordering."""

import dataclasses
from typing import Any, ClassVar

from ..initializers import AbstractInitializer, FluctuationDriven
from ..neurons import AbstractNeuron, AbstractSpikingNeuron, CubaLIF
from .abstract import AbstractRecipe

__all__ = ["Stork"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stork(AbstractRecipe):
    """CubaLIF, tau_mem 20 and tau_syn 10 ms, reset to zero, scaled current; w fluctuation-driven, of mean 0.

    Args:
        rate_hz: expected rate of the inputs and of the layer itself, > 0.
        sigma_u: standard deviation of the potential in units of v_th, > 0.
        share: part of the variance that the inputs of a recurrent layer make, in (0, 1).

    Source: Rossbroich, Gygax & Zenke 2022, with the values of stork's examples for the Heidelberg digits.

    Example:
        >>> recipe = Stork(rate_hz=10.0)
        >>> round(recipe.initializer(recipe.neuron(), recurrent=True).moments(100)[1].item(), 6)
        0.699009
    """

    rate_hz: float = 10.0
    sigma_u: float = 1.0
    share: float = 0.9

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = CubaLIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        return {"tau_mem_ms": 20.0, "tau_syn_ms": 10.0, "ordering": "stork", "reset": "zero"}

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return self._driven(neuron, self.share if recurrent else 1.0)

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return self._driven(neuron, 1.0 - self.share)

    def _driven(self, neuron: AbstractNeuron, share: float) -> FluctuationDriven:
        return FluctuationDriven(neuron.central(), self.rate_hz, xi=1.0 / self.sigma_u, share=share)
