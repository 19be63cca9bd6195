"""GradedExponential: rises exponentially up to threshold and stays; for graded spikes."""

import dataclasses
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate, Side

__all__ = ["GradedExponential"]


@dataclasses.dataclass(frozen=True)
class GradedExponential(AbstractSurrogate):
    """h(x) = scale exp(alpha min(x, 0)), with x = v - v_th.

    Height scale, half width ln 2 / alpha (below threshold; above it, h stays); infinite area.

    Args:
        alpha: steepness below threshold, > 0.
        scale: height, > 0.

    Used by: lava-dl (graded spikes: alpha = 1 / tau_rho).
    Source: lava-dl, lib/dl/slayer/spike/spike.py.

    Example:
        >>> import torch
        >>> GradedExponential(alpha=5.0).derivative(torch.tensor([-0.1, 0.0, 3.0]))
        tensor([0.6065, 1.0000, 1.0000])
    """

    alpha: float = 5.0
    scale: float = 1.0

    side: ClassVar[Side] = "below"

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return math.log(2.0) / self.alpha

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(alpha=math.log(2.0) / positive("width", width), scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale * torch.exp(self.alpha * x.clamp_max(0.0))

    def soft(self, x: Tensor) -> Tensor:
        below = torch.expm1(self.alpha * x.clamp_max(0.0)) / self.alpha
        return 0.5 + self.scale * torch.where(x > 0, x, below)
