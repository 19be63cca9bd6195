"""SynOps: synaptic operations per sample, exact, all layers; lower is better."""

import dataclasses
from typing import ClassVar

from .abstract import AbstractObjective, Direction, Scale

__all__ = ["SynOps"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SynOps(AbstractObjective):
    """SynOps: synaptic operations per sample, exact, all layers; lower is better."""

    quantity: ClassVar[str] = "synops"
    unit: ClassVar[str] = "synaptic operations per sample"
    natural_direction: ClassVar[Direction] = "minimize"
    natural_scale: ClassVar[Scale] = "log"
