"""StepPWL: constant from somewhat below threshold on, as if a spike were worth its potential."""

import dataclasses
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate, Side

__all__ = ["StepPWL"]


@dataclasses.dataclass(frozen=True)
class StepPWL(AbstractSurrogate):
    """h(x) = scale for x > -window, else 0, with x = v - v_th.

    Height scale, half width window (below threshold; above it, h stays); infinite area.

    Args:
        window: how far below threshold it begins, > 0, in the unit of v.
        scale: height, > 0 (both sources: one over the threshold).

    Used by: Rockpool (StepPWL), sinabs (Heaviside).
    Source: Rockpool 3.1.0, lif_torch.StepPWL with window 0.5; sinabs 3.1.3, surrogate_gradient_fn.Heaviside.

    Example:
        >>> import torch
        >>> StepPWL().derivative(torch.tensor([-0.6, 0.0, 3.0]))
        tensor([0., 1., 1.])
    """

    window: float = 0.5
    scale: float = 1.0

    side: ClassVar[Side] = "below"
    jumps: ClassVar[bool] = True

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return self.window

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(window=positive("width", width), scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.where(x.isnan(), x, self.scale * (x > -self.window).to(x.dtype))

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.scale * x.clamp_min(-self.window)
