"""Loss: the mean loss, without penalties; lower is better."""

import dataclasses
import math
from typing import ClassVar

from .abstract import AbstractObjective, Direction

__all__ = ["Loss"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(AbstractObjective):
    """Loss: the mean loss, without penalties; lower is better."""

    quantity: ClassVar[str] = "loss"
    unit: ClassVar[str] = ""
    natural_direction: ClassVar[Direction] = "minimize"
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
