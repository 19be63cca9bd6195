"""What a constraint is: a record that puts a parametrisation on weights; forward, counts and exports see its result alone."""

import abc
import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...errors import ConfigurationError
from ..abstract import AbstractLayer
from ..weight_rule import AbstractWeightRule

__all__ = ["AbstractConstraint", "AbstractSparsity", "share"]

WEIGHTS = ("w_in", "w_rec")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractConstraint(abc.ABC):
    """``constraint.apply(network)``, or ``SpikingNetwork(layers, readout, constraints=[constraint])``; in the order of the list."""

    @abc.abstractmethod
    def apply(self, network: nn.Module) -> None:
        """Put the constraint on the weights of a network (or of one layer), in place; values change to keep it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractSparsity(AbstractConstraint):
    """A constraint that leaves some weights at exactly zero, where they are no synapses and cost no operation.

    Args:
        weights: which of ``w_in`` and ``w_rec``.
        readout: whether the last layer is among those it applies to; a layer alone always is.
    """

    weights: Sequence[str] = WEIGHTS
    readout: bool = False

    def __post_init__(self) -> None:
        if not self.weights or any(name not in WEIGHTS for name in self.weights):
            raise ConfigurationError(f"weights is {self.weights!r}; a list of {' and '.join(WEIGHTS)} is expected.")

    @abc.abstractmethod
    def rule(self, weight: Tensor) -> AbstractWeightRule:
        """The parametrisation of one weight, from its value."""

    def apply(self, network: nn.Module) -> None:
        with torch.no_grad():
            for layer, name in self._found(network):
                parametrize.register_parametrization(layer, name, self.rule(getattr(layer, name)))

    def _found(self, network: nn.Module) -> Iterator[tuple[AbstractLayer, str]]:
        layers = [module for module in network.modules() if isinstance(module, AbstractLayer)]
        kept = layers if self.readout or len(layers) == 1 else layers[:-1]
        found = [(m, name) for m in kept for name in self.weights if isinstance(getattr(m, name, None), Tensor)]
        if not found:
            raise ConfigurationError(
                f"{type(network).__name__} has no {' or '.join(self.weights)} for {type(self).__name__} to act on (the readout "
                "is left out unless readout=True)."
            )
        yield from found


def share(name: str, value: float, *, zero: bool = False) -> None:
    """Refuse what is no share.

    Raises:
        ConfigurationError: outside (0, 1], or [0, 1) where ``zero``.
    """
    inside = isinstance(value, int | float) and not isinstance(value, bool)
    if not inside or not (0.0 <= value < 1.0 if zero else 0.0 < value <= 1.0):
        raise ConfigurationError(f"{name} is {value!r}; a share in {'[0, 1)' if zero else '(0, 1]'} is expected.")
