"""LogTailedReLU: alive above threshold, with a tail like 1/x, and a leak below."""

import dataclasses
import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive
from .abstract import AbstractSurrogate, Side

__all__ = ["LogTailedReLU"]


@dataclasses.dataclass(frozen=True)
class LogTailedReLU(AbstractSurrogate):
    """h(x) = leak scale for x < 0, scale for 0 <= x <= reach, scale reach / x beyond, with x = v - v_th.

    Height scale, half width 2 reach (above threshold); infinite area. A family for neurons that spike already; the leak wakes those
    that do not.

    Args:
        reach: up to where it is flat, > 0.
        scale: height, > 0.
        leak: share of the height below threshold, in (0, 0.5).

    Used by: SpikingJelly (LogTailedReLU), braintools.
    Source: Cai et al. 2017; SpikingJelly 2.0.0, surrogate.LogTailedReLU. Differs: its default leak is 0, with which neurons that are
    silent stay silent.

    Example:
        >>> import torch
        >>> LogTailedReLU().derivative(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
        tensor([0.0100, 1.0000, 1.0000, 0.5000])
    """

    reach: float = 1.0
    scale: float = 1.0
    leak: float = 0.01

    side: ClassVar[Side] = "above"

    @property
    def height(self) -> float:
        return self.scale

    @property
    def width(self) -> float:
        return 2.0 * self.reach

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float, *, leak: float = 0.01) -> Self:
        return cls(reach=positive("width", width) / 2.0, scale=height, leak=leak)

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale * torch.where(x < 0, self.leak, 1.0 / (x / self.reach).clamp_min(1.0))

    def soft(self, x: Tensor) -> Tensor:
        y = x / self.reach
        above = y.clamp(0.0, 1.0) + torch.log(y.clamp_min(1.0))
        return 0.5 + self.scale * self.reach * torch.where(x < 0, self.leak * y, above)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.leak < 0.5:
            raise ConfigurationError(f"LogTailedReLU.leak is {self.leak}; a number in (0, 0.5) is expected.")
