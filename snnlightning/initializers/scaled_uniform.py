"""ScaledUniform: uniform weights with a bound that falls with the number of inputs."""

import dataclasses
import math

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractInitializer

__all__ = ["ScaledUniform"]


@dataclasses.dataclass(frozen=True)
class ScaledUniform(AbstractInitializer):
    """w ~ Uniform(-gain / √fan_in, gain / √fan_in).

    With gain 1 and a scaled current (``ordering="stork"``) a layer that gets few spikes starts silent, and only a
    lower-bound regularizer or a wide surrogate wakes it.

    Args:
        gain: > 0.

    Source: ``torch.nn.Linear``'s default, and the initialisation of Zenke & Vogels 2021.

    Example:
        >>> ScaledUniform()(torch.empty(8, 4)).abs().max().item() <= 0.5
        True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        positive("ScaledUniform.gain", self.gain)

    def __call__(self, weight: Tensor) -> Tensor:
        """Fill ``weight`` [N_post, N_pre], or a kernel [C_out, C_in, *K], in place and return it."""
        bound = self.gain / math.sqrt(weight.shape[1:].numel())
        with torch.no_grad():
            return weight.uniform_(-bound, bound)
