"""What every distribution is: a frozen record of numbers in the unit of the field it fills, and a draw within bounds.

A neuron's record takes one where it takes a list with one number per neuron. The layer draws when its weights are drawn,
from the same generator (``torch.manual_seed``, Lightning's ``seed_everything``), and keeps what it drew in its state dict.
"""

import abc
import dataclasses
import math
from numbers import Real
from typing import cast

import torch
from torch import Tensor

from ..errors import ConfigurationError

__all__ = ["AbstractDistribution"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractDistribution(abc.ABC):
    """x ~ what the subclass says, then clipped to [low, high].

    Args:
        low, high: bounds that no draw leaves, in the unit of the field. Draws beyond them are set to them, as the published
            models do it, so that a bound holds the mass beyond it.
    """

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, self._number(field.name))
        if not self.low < self.high:
            raise ConfigurationError(
                f"{self._name}.low is {self.low:g} and high {self.high:g}; low < high is expected."
            )

    def draw(self, count: int) -> Tensor:
        """``count`` numbers in float64 on the CPU, [count], from torch's default generator.

        They are drawn in float64 whatever the layer's precision is, so that a seed means the same numbers in each.
        """
        drawn = self._draw(torch.empty(count, dtype=torch.float64, device="cpu"))
        low, high = self.support
        return drawn.clamp(low, high)

    @property
    def support(self) -> tuple[float, float]:
        """The least and the largest number that can be drawn, bounds included."""
        least, most = self._unbounded
        return max(least, self.low), min(most, self.high)

    @property
    @abc.abstractmethod
    def centre(self) -> float:
        """One number for all of them: the mean, or the geometric one where orders of magnitude are alike; bounds left out."""

    @property
    @abc.abstractmethod
    def _unbounded(self) -> tuple[float, float]:
        """The support without bounds."""

    @abc.abstractmethod
    def _draw(self, into: Tensor) -> Tensor:
        """Fill ``into`` or return a tensor like it."""

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _number(self, name: str) -> float:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(float(value)):
            raise ConfigurationError(f"{self._name}.{name} is {value!r}; a number is expected.")
        number = float(value)
        if math.isinf(number) and name not in ("low", "high"):
            raise ConfigurationError(f"{self._name}.{name} is {number}; a finite number is expected.")
        return number

    def _at_least_zero(self, name: str, *, strictly: bool = True) -> None:
        value = cast(float, getattr(self, name))
        if value < 0.0 or (strictly and value == 0.0):
            than = "greater than 0" if strictly else "at least 0"
            raise ConfigurationError(f"{self._name}.{name} is {value:g}; it must be {than}.")
