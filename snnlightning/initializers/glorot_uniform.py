"""GlorotUniform: uniform weights with a bound that falls with the number of inputs and outputs."""

import dataclasses
import math

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractInitializer

__all__ = ["GlorotUniform"]


@dataclasses.dataclass(frozen=True)
class GlorotUniform(AbstractInitializer):
    """w ~ Uniform(-bound, bound), bound = gain √(6 / (fan_in + fan_out)).

    Args:
        gain: > 0.

    Source: Glorot & Bengio 2010; input weights of Yin, Corradi & Bohté 2021.

    Example:
        >>> GlorotUniform()(torch.empty(8, 16)).abs().max().item() <= 0.5
        True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        positive("GlorotUniform.gain", self.gain)

    def __call__(self, weight: Tensor) -> Tensor:
        """Fill ``weight`` [N_post, N_pre], or a kernel [C_out, C_in, *K], in place and return it."""
        places = weight.shape[2:].numel()
        bound = self.gain * math.sqrt(6.0 / (places * (weight.shape[0] + weight.shape[1])))
        with torch.no_grad():
            return weight.uniform_(-bound, bound)
