"""Sigmoid: the derivative of the logistic function."""

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["Sigmoid"]

_HALF = 2.0 * math.acosh(math.sqrt(2.0))
"""k x at which s(1 - s) falls to half its peak: s(1 - s) = 1 / (4 cosh²(k x / 2))."""


@dataclasses.dataclass(frozen=True)
class Sigmoid(AbstractSurrogate):
    """h(x) = scale s (1 - s), s = 1 / (1 + exp(-slope x)), with x = v - v_th.

    Height scale / 4, half width 1.7627 / slope, area scale / slope. ``scale=slope`` is the form with area 1
    (stork's SigmoidSpike, snnTorch's sigmoid).

    Args:
        slope: steepness, > 0.
        scale: factor on s (1 - s), > 0.

    Used by: Zenke & Vogels, stork, snnTorch, SpikingJelly; as 1 - tanh² in Norse and Spyx.
    Source: Zenke & Vogels 2021 (their sigma prime); evaluated through ``torch.sigmoid``, finite for every finite x
    (the textbook form k e^(-kx) / (1 + e^(-kx))² is not).

    Example:
        >>> import torch
        >>> Sigmoid(slope=10.0).derivative(torch.tensor([0.0, 0.1]))
        tensor([0.2500, 0.1966])
    """

    slope: float = 10.0
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale / 4.0

    @property
    def width(self) -> float:
        return _HALF / self.slope

    @property
    def area(self) -> float:
        return self.scale / self.slope

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(slope=_HALF / positive("width", width), scale=4.0 * height)

    def derivative(self, x: Tensor) -> Tensor:
        s = torch.sigmoid(self.slope * x)
        return self.scale * s * (1.0 - s)

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.scale / self.slope * (torch.sigmoid(self.slope * x) - 0.5)
