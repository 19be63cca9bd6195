"""Accuracy: the share of samples that are classified rightly; higher is better."""

import dataclasses
from typing import ClassVar

from .abstract import AbstractObjective, Direction

__all__ = ["Accuracy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accuracy(AbstractObjective):
    """Accuracy: the share of samples that are classified rightly; higher is better."""

    quantity: ClassVar[str] = "accuracy"
    unit: ClassVar[str] = ""
    natural_direction: ClassVar[Direction] = "maximize"
