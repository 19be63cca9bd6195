"""S2NN: a sigmoid's flank below threshold and a slow tail above it."""

import dataclasses
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate, Side

__all__ = ["S2NN"]

_HALF = 2.0 * math.acosh(math.sqrt(2.0))


@dataclasses.dataclass(frozen=True)
class S2NN(AbstractSurrogate):
    """h(x) = scale alpha s (1 - s), s = 1 / (1 + exp(-alpha x)), for x < 0, scale (alpha / 4) / (1 + alpha x / 4) for x >= 0.

    With x = v - v_th. Height scale alpha / 4, half width 1.7627 / alpha (below threshold; above it 4 / alpha); infinite area. A
    neuron far above threshold is still taught, one far below is not.

    Args:
        alpha: steepness, > 0.
        scale: factor, > 0.

    Used by: SpikingJelly, braintools (S2NN).
    Source: Suetake et al. 2022; SpikingJelly's defaults alpha = 4, beta = 1. Differs: beta is tied to alpha / 4, which keeps h
    continuous, and scales the upper tail.

    Example:
        >>> import torch
        >>> S2NN().derivative(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.0707, 1.0000, 0.5000])
    """

    alpha: float = 4.0
    scale: float = 1.0

    side: ClassVar[Side] = "below"

    @property
    def height(self) -> float:
        return self.scale * self.alpha / 4.0

    @property
    def width(self) -> float:
        return _HALF / self.alpha

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        alpha = _HALF / positive("width", width)
        return cls(alpha=alpha, scale=4.0 * height * width / _HALF)

    def derivative(self, x: Tensor) -> Tensor:
        s = torch.sigmoid(self.alpha * x)
        above = 1.0 + 0.25 * self.alpha * x.clamp_min(0.0)
        return self.height * torch.where(x < 0, 4.0 * s * (1.0 - s), 1.0 / above)

    def soft(self, x: Tensor) -> Tensor:
        below = torch.sigmoid(self.alpha * x.clamp_max(0.0)) - 0.5
        return 0.5 + self.scale * torch.where(x < 0, below, torch.log1p(0.25 * self.alpha * x.clamp_min(0.0)))
