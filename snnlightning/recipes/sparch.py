"""Sparch: the adaptive neurons of Bittar & Garner, RadLIF where the layer is recurrent."""

import dataclasses
from typing import Any, ClassVar

from ..distributions import Uniform, UniformDecay
from ..initializers import AbstractInitializer, Orthogonal, ScaledUniform, WithoutAutapses
from ..neurons import AbstractNeuron, AbstractSpikingNeuron, AdLIF
from .abstract import AbstractRecipe

__all__ = ["Sparch"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sparch(AbstractRecipe):
    """AdLIF (``radlif``), decays uniform for 5 to 25 and 30 to 120 steps, a in [-1, 1], b in [0, 2], all learned in their bounds.

    w_in ~ Uniform(±1 / √fan_in), w_rec orthogonal without autapses. A step is ``dt_ms``.

    Source: Bittar & Garner 2022, and sparch.
    differs: learned constants are kept in their bounds by a smooth map and not by clipping; states start at zero and not at
    random; autapses start at zero and may be learned, where sparch keeps them there.

    Example:
        >>> Sparch().neuron().bounds[0]
        ('a', -1.0, 1.0)
    """

    neuron_class: ClassVar[type[AbstractSpikingNeuron]] = AdLIF

    def published(self, dt_ms: float) -> dict[str, Any]:
        membrane, adaptation = (5.0 * dt_ms, 25.0 * dt_ms), (30.0 * dt_ms, 120.0 * dt_ms)
        return {
            "tau_mem_ms": UniformDecay(low=membrane[0], high=membrane[1], dt_ms=dt_ms),
            "tau_adapt_ms": UniformDecay(low=adaptation[0], high=adaptation[1], dt_ms=dt_ms),
            "a": Uniform(low=-1.0, high=1.0),
            "b": Uniform(low=0.0, high=2.0),
            "bounds": {"tau_mem_ms": membrane, "tau_adapt_ms": adaptation, "a": (-1.0, 1.0), "b": (0.0, 2.0)},
            "learn_tau": "per_neuron",
            "learn_gains": "per_neuron",
            "form": "radlif",
            "reset": "subtract",
        }

    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        return ScaledUniform()

    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        return WithoutAutapses(Orthogonal())
