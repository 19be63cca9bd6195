"""LeakyBoxcar: a boxcar that does not quite forget what is outside."""

import dataclasses
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive
from .abstract import AbstractSurrogate

__all__ = ["LeakyBoxcar"]


@dataclasses.dataclass(frozen=True)
class LeakyBoxcar(AbstractSurrogate):
    """h(x) = scale for |x| <= half_width, else leak scale, with x = v - v_th.

    Height scale, half width half_width; infinite area. The leak keeps silent and saturated neurons trainable.

    Args:
        half_width: where the box ends, > 0.
        scale: height, > 0.
        leak: share of the height outside, in (0, 0.5).

    Used by: SpikingJelly (PiecewiseLeakyReLU: w = half_width, c = leak), braintools.
    Source: SpikingJelly 2.0.0, surrogate.PiecewiseLeakyReLU with w = 1, c = 0.01 (its height is 1 / w).

    Example:
        >>> import torch
        >>> LeakyBoxcar().derivative(torch.tensor([0.0, 1.0, 2.0]))
        tensor([1.0000, 1.0000, 0.0100])
    """

    half_width: float = 1.0
    scale: float = 1.0
    leak: float = 0.01

    jumps: ClassVar[bool] = True

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return self.half_width

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float, *, leak: float = 0.01) -> Self:
        return cls(half_width=positive("width", width), scale=height, leak=leak)

    def derivative(self, x: Tensor) -> Tensor:
        inside = (x.abs() <= self.half_width).to(x.dtype)
        return torch.where(x.isnan(), x, self.scale * (self.leak + (1.0 - self.leak) * inside))

    def soft(self, x: Tensor) -> Tensor:
        inside = torch.clamp(x, -self.half_width, self.half_width)
        return 0.5 + self.scale * (self.leak * x + (1.0 - self.leak) * inside)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.leak < 0.5:
            raise ConfigurationError(f"LeakyBoxcar.leak is {self.leak}; a number in (0, 0.5) is expected.")
