"""Dropout of spikes in training, by one mask for the whole sequence or by a new one in every step."""

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError

__all__ = ["Dropout"]


class Dropout(nn.Module):
    """y = x m / (1 - p), m = 1 with probability 1 - p, in training; y = x in ``eval()``.

    A mask that stays over time takes a neuron out of the sequence; one per step takes single spikes out, which a leaky neuron
    averages away. A mask is drawn in every call: a sequence in pieces gets one per piece.

    Args:
        p: in [0, 1).
        per_step: whether every step has a mask of its own.

    Gradient: exact, through the mask that was drawn.
    Source: one mask per sequence: SpikingJelly's multi-step Dropout, as SNN-delays has it behind each layer; per step: sparch.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> Dropout(0.5)(torch.ones(1, 3, 4))[0, :, 0].unique().numel()
        1
    """

    def __init__(self, p: float = 0.1, *, per_step: bool = False) -> None:
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0.0 <= p < 1.0:
            raise ConfigurationError(f"p is {p!r}; a share in [0, 1) is expected.")
        self.p, self.per_step = float(p), per_step

    @property
    def keeps_spikes(self) -> bool:
        """Whether spikes come out as 0 and 1."""
        return not self.training or self.p == 0.0

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, ...], same shape."""
        if self.keeps_spikes:
            return x
        like = x if self.per_step else x[:, :1]
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        return x * (torch.rand_like(like, dtype=x.dtype) >= self.p) / (1.0 - self.p)

    def shape_after(self, shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """As it came."""
        return shape

    def extra_repr(self) -> str:
        return f"p={self.p}, per_step={self.per_step}"
