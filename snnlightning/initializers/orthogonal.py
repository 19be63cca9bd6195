"""Orthogonal: weights that keep the length of what comes in."""

import dataclasses

import torch
from torch import Tensor

from ..units import positive
from .abstract import AbstractInitializer

__all__ = ["Orthogonal"]


@dataclasses.dataclass(frozen=True)
class Orthogonal(AbstractInitializer):
    """w = gain Q with QᵀQ = 1 (or QQᵀ = 1, whichever is the smaller identity), Q drawn uniformly.

    Args:
        gain: > 0: every singular value of w.

    Source: Saxe, McClelland & Ganguli 2014; recurrent weights of Yin, Corradi & Bohté 2021, Bittar & Garner 2022 (there without
    autapses) and Baronig et al. 2025.

    Example:
        >>> w = Orthogonal(gain=2.0)(torch.empty(3, 3))
        >>> torch.allclose(w @ w.mT, 4.0 * torch.eye(3), atol=1e-5)
        True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        positive("Orthogonal.gain", self.gain)

    def __call__(self, weight: Tensor) -> Tensor:
        """Fill ``weight`` [N_post, N_pre], or a kernel as the matrix [C_out, C_in K], in place and return it."""
        return weight if weight.numel() == 0 else torch.nn.init.orthogonal_(weight, gain=self.gain)
