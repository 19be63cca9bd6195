"""ScaledNormal: normal weights whose sum over the inputs has a given spread."""

import dataclasses
import math

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractInitializer

__all__ = ["ScaledNormal"]


@dataclasses.dataclass(frozen=True)
class ScaledNormal(AbstractInitializer):
    """w ~ Normal(0, gain / √fan_in).

    Args:
        gain: > 0. SpyTorch uses 0.2 and 7 (1 - exp(-dt / tau_mem)).

    Source: SpyTorch tutorials 1-4.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> round(ScaledNormal(gain=2.0)(torch.empty(200, 100)).std().item(), 1)
        0.2
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        positive("ScaledNormal.gain", self.gain)

    def __call__(self, weight: Tensor) -> Tensor:
        """Fill ``weight`` [N_post, N_pre], or a kernel [C_out, C_in, *K], in place and return it."""
        with torch.no_grad():
            return weight.normal_(0.0, self.gain / math.sqrt(weight.shape[1:].numel()))
