"""Footprint: bytes of parameters, buffers and the state of one sample; lower is better."""

import dataclasses
from typing import ClassVar

from .abstract import AbstractObjective, Direction, Scale

__all__ = ["FootprintBytes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FootprintBytes(AbstractObjective):
    """Footprint: bytes of parameters, buffers and the state of one sample; lower is better."""

    quantity: ClassVar[str] = "footprint_bytes"
    unit: ClassVar[str] = "bytes"
    natural_direction: ClassVar[Direction] = "minimize"
    natural_scale: ClassVar[Scale] = "log"
