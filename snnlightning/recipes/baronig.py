"""Baronig: adaptive neurons in the symplectic form, SE-adLIF."""

import dataclasses
from typing import Any, ClassVar

from ..distributions import Uniform
from ..initializers import AbstractInitializer, Orthogonal, ScaledUniform
from ..neurons import AbstractNeuron, AbstractSpikingNeuron, AdLIF
from .abstract import AbstractRecipe

__all__ = ["Baronig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baronig(AbstractRecipe):
    """AdLIF (``symplectic``, q 120), tau_mem uniform in 5 to 25 and tau_adapt in 60 to 300 steps, a in [0, 1], b in [0, 2], learned.

    w_in ~ Uniform(±1 / √fan_in), w_rec orthogonal. A step is ``dt_ms``.

    Source: Baronig, Ferrand, Sabathiel & Legenstein 2025, and their code for the Heidelberg digits.
    differs: learned constants are kept in their bounds by a smooth map and not by clipping.

    Example:
        >>> Baronig().neuron().form
        'symplectic'
    """

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = AdLIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        membrane, adaptation = (5.0 * dt_ms, 25.0 * dt_ms), (60.0 * dt_ms, 300.0 * dt_ms)
        return {
            "tau_mem_ms": Uniform(low=membrane[0], high=membrane[1]),
            "tau_adapt_ms": Uniform(low=adaptation[0], high=adaptation[1]),
            "a": Uniform(low=0.0, high=1.0),
            "b": Uniform(low=0.0, high=2.0),
            "bounds": {"tau_mem_ms": membrane, "tau_adapt_ms": adaptation, "a": (0.0, 1.0), "b": (0.0, 2.0)},
            "learn_tau": "per_neuron",
            "learn_gains": "per_neuron",
            "form": "symplectic",
            "q": 120.0,
            "reset": "zero",
        }

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return ScaledUniform()

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return Orthogonal()
