"""What every recipe is: a record that makes the neuron of a layer and the initializers of its weights.

Time constants in code that has no unit are steps; a recipe says in its docstring what it takes them for. Surrogates, losses and
schedules are not part of it.
"""

import abc
import dataclasses
from typing import Any, ClassVar, cast

from ..initializers import AbstractInitializer
from ..naming import build
from ..neurons import AbstractNeuron, AbstractSpikingNeuron

__all__ = ["AbstractRecipe"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractRecipe(abc.ABC):
    """A published set-up of one hidden layer."""

    neuron_class: ClassVar[type[AbstractSpikingNeuron]]

    def neuron(self, dt_ms: float = 1.0, **changes: Any) -> AbstractSpikingNeuron:
        """The neuron in steps of ``dt_ms``; ``changes`` are fields that should differ from the publication.

        Raises:
            ConfigurationError: changes that the neuron does not take.
        """
        fields = {**self.published(dt_ms), "dt_ms": dt_ms, **changes}
        return cast(AbstractSpikingNeuron, build(self.neuron_class, fields))

    @abc.abstractmethod
    def published(self, dt_ms: float) -> dict[str, Any]:
        """The fields of the neuron that the publication sets."""

    @abc.abstractmethod
    def initializer(self, neuron: AbstractNeuron, *, recurrent: bool) -> AbstractInitializer:
        """What fills the input weights of a layer of this neuron, recurrent or not; or of the readout behind it."""

    @abc.abstractmethod
    def rec_initializer(self, neuron: AbstractNeuron) -> AbstractInitializer:
        """What fills the recurrent weights."""
