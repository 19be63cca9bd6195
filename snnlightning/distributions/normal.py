"""Normal: numbers around a mean."""

import dataclasses
import math

from torch import Tensor

from .abstract import AbstractDistribution

__all__ = ["Normal"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normal(AbstractDistribution):
    """x ~ Normal(mean, std).

    A time constant needs ``low`` > 0.

    Args:
        mean: in the unit of the field.
        std: standard deviation, >= 0, in the same unit.
        low, high: bounds of every draw.

    Source: Yin, Corradi & Bohté 2021 (20 ± 5 ms for the membrane and 150 ± 10 ms for the adaptation, in their code for SHD).

    Example:
        >>> Normal(mean=20.0, std=0.0).draw(2)
        tensor([20., 20.], dtype=torch.float64)
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_zero("std", strictly=False)

    @property
    def centre(self) -> float:
        return self.mean

    @property
    def _unbounded(self) -> tuple[float, float]:
        return (self.mean, self.mean) if self.std == 0.0 else (-math.inf, math.inf)

    def _draw(self, into: Tensor) -> Tensor:
        return into.normal_(self.mean, self.std)
