"""Energy: what one sample costs on a named chip, in pJ, as far as its profile prices it; lower is better."""

import dataclasses
from typing import ClassVar

from .abstract import Direction, Scale
from .priced import AbstractPriced

__all__ = ["EnergyPj"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyPj(AbstractPriced):
    """Energy: what one sample costs on a named chip, in pJ; lower is better.

    The nominal sum of the terms that the profile prices (dynamic, static and host, or all-in);
    ``snnlightning energy`` shows them apart, with bands and with what is missing.
    """

    quantity: ClassVar[str] = "energy_pj"
    unit: ClassVar[str] = "pJ per sample"
    natural_direction: ClassVar[Direction] = "minimize"
    natural_scale: ClassVar[Scale] = "log"
