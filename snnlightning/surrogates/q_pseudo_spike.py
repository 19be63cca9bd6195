"""QPseudoSpike: a power law whose exponent is a parameter."""

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["QPseudoSpike"]


def _half_width(alpha: float) -> float:
    """For slope 1."""
    return (math.pow(2.0, 1.0 / alpha) - 1.0) * (alpha - 1.0) / 2.0


@dataclasses.dataclass(frozen=True)
class QPseudoSpike(AbstractSurrogate):
    """h(x) = scale / (1 + 2 slope |x| / (alpha - 1))^alpha, with x = v - v_th.

    Height scale, half width (2^(1 / alpha) - 1) (alpha - 1) / (2 slope), area scale / slope. alpha = 2 is SuperSpike; a large alpha
    is nearly an exponential.

    Args:
        slope: steepness, > 0.
        alpha: exponent of the tail, > 1.
        scale: height, > 0.

    Used by: SpikingJelly, braintools (QPseudoSpike).
    Source: Herranz-Celotti & Rouat 2022; default alpha from SpikingJelly 2.0.0, which is SuperSpike(slope=2).

    Example:
        >>> import torch
        >>> QPseudoSpike(alpha=3.0).derivative(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.1250])
    """

    slope: float = 1.0
    alpha: float = 2.0
    scale: float = 1.0

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return _half_width(self.alpha) / self.slope

    @property
    def area(self) -> float:
        return self.scale / self.slope

    @classmethod
    def from_height_width(cls, height: float, width: float, *, alpha: float = 2.0) -> Self:
        alpha = cls(alpha=alpha).alpha
        return cls(slope=_half_width(alpha) / positive("width", width), alpha=alpha, scale=height)

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale * (1.0 + self._rise * x.abs()).pow(-self.alpha)

    def soft(self, x: Tensor) -> Tensor:
        tail = (1.0 + self._rise * x.abs()).pow(1.0 - self.alpha)
        return 0.5 + 0.5 * self.area * torch.sign(x) * (1.0 - tail)

    @property
    def _rise(self) -> float:
        return 2.0 * self.slope / (self.alpha - 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.alpha > 1.0:
            raise ConfigurationError(f"QPseudoSpike.alpha is {self.alpha}; a number greater than 1 is expected.")
