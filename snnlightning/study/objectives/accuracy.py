"""Accuracy: the share of samples that are classified rightly; higher is better."""

import dataclasses
from typing import ClassVar

from ...errors import ConfigurationError
from .abstract import AbstractObjective, Direction

__all__ = ["Accuracy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accuracy(AbstractObjective):
    """Accuracy: the share of samples that are classified rightly; higher is better."""

    quantity: ClassVar[str] = "accuracy"
    unit: ClassVar[str] = ""
    natural_direction: ClassVar[Direction] = "maximize"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("reference", "at_least", "at_most"):
            value = getattr(self, field)
            if value is not None and not self.bounds[0] <= value <= self.bounds[1]:
                raise ConfigurationError(
                    f"objective accuracy: {field} is {value!r}; a share from 0 to 1 is expected, 0.9 for 90 %."
                )
