"""Spikes: spikes of all spiking layers per sample; lower is better."""

import dataclasses
from typing import ClassVar

from .abstract import AbstractObjective, Direction, Scale

__all__ = ["Spikes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spikes(AbstractObjective):
    """Spikes: spikes of all spiking layers per sample; lower is better."""

    quantity: ClassVar[str] = "spikes"
    unit: ClassVar[str] = "spikes per sample"
    natural_direction: ClassVar[Direction] = "minimize"
    natural_scale: ClassVar[Scale] = "log"
