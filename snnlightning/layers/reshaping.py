"""Flatten and Unflatten: between maps [B, T, C, *S] and features [B, T, N], without a copy."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ..errors import ShapeError
from .abstract import Shape
from .convolution import per_axis

__all__ = ["Flatten", "Unflatten"]


class Flatten(nn.Module):
    """[B, T, C, *S] to [B, T, C prod(S)]: maps to features, before a dense layer.

    Example:
        >>> import torch
        >>> Flatten()(torch.zeros(2, 5, 4, 3, 3)).shape
        torch.Size([2, 5, 36])
    """

    keeps_spikes = True

    def forward(self, x: Tensor) -> Tensor:
        """A view of x where its memory allows it."""
        return x.flatten(2)

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """(C prod(S),)."""
        return None if shape is None else (math.prod(shape),)


class Unflatten(nn.Module):
    """[B, T, N] to [B, T, *shape]: features to maps, before a convolution.

    Args:
        shape: channels first: [C, S], [C, H, W], ...; its product is N.

    Raises:
        ShapeError: another N.

    Example:
        >>> import torch
        >>> Unflatten([1, 8, 8])(torch.zeros(2, 5, 64)).shape
        torch.Size([2, 5, 1, 8, 8])
    """

    keeps_spikes = True

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = per_axis("shape", shape, len(shape), 1)

    def forward(self, x: Tensor) -> Tensor:
        """A view of x."""
        self.shape_after(tuple(x.shape[2:]))
        maps: Tensor = x.unflatten(2, self.shape)
        return maps

    def shape_after(self, shape: Shape | None) -> Shape | None:
        """``shape``."""
        if shape is not None and shape != (math.prod(self.shape),):
            raise ShapeError(
                f"a step of the input is {list(shape)}; {list(self.shape)} are {math.prod(self.shape)} features."
            )
        return self.shape

    def extra_repr(self) -> str:
        return str(list(self.shape))
