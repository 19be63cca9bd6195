"""MemClamp: SuperSpike up to threshold, nothing above it."""

import dataclasses
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate, Side

__all__ = ["MemClamp"]


@dataclasses.dataclass(frozen=True)
class MemClamp(AbstractSurrogate):
    """h(x) = scale / (1 - slope x)² for x <= 0, else 0, with x = v - v_th.

    Height scale, half width (√2 - 1) / slope (below threshold), area scale / slope. A neuron that spikes is not taught: its gradient
    comes from steps before the spike.

    Args:
        slope: steepness, > 0 (stork: 20).
        scale: height, > 0.

    Used by: stork (SuperSpike_MemClamp).
    Source: stork, activations.SuperSpike_MemClamp.

    Example:
        >>> import torch
        >>> MemClamp(slope=10.0).derivative(torch.tensor([-0.1, 0.0, 0.1]))
        tensor([0.2500, 1.0000, 0.0000])
    """

    slope: float = 20.0
    scale: float = 1.0

    side: ClassVar[Side] = "below"

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return (math.sqrt(2.0) - 1.0) / self.slope

    @property
    def area(self) -> float:
        return self.scale / self.slope

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(slope=(math.sqrt(2.0) - 1.0) / positive("width", width), scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        below = self.scale / (1.0 - self.slope * x.clamp_max(0.0)).square()
        return torch.where(x > 0, 0.0, below)

    def soft(self, x: Tensor) -> Tensor:
        below = x.clamp_max(0.0)
        return 0.5 + self.scale * below / (1.0 - self.slope * below)
