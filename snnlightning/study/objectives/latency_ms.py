"""Latency: the time one sample takes on a named chip, in ms; lower is better."""

import dataclasses
from typing import ClassVar

from .abstract import Direction, Scale
from .priced import AbstractPriced

__all__ = ["LatencyMs"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyMs(AbstractPriced):
    """Latency: the time one sample takes on a named chip, in ms, as its profile models it; lower is better."""

    quantity: ClassVar[str] = "latency_ms"
    unit: ClassVar[str] = "ms per sample"
    natural_direction: ClassVar[Direction] = "minimize"
    natural_scale: ClassVar[Scale] = "log"
    smallest: ClassVar[float] = 1e-6
