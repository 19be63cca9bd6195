"""Sliding kernels: the functions of torch by number of axes, sizes, and a convolution in the place of recurrent weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigurationError, ShapeError
from ..typing import Convolution

__all__ = ["RecurrentConvolution", "convolve", "per_axis", "sizes_after"]

_CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, slide: Convolution) -> Tensor:
    """x [M, C_in, *S] through a kernel [C_out, C_in / groups, *K] to [M, C_out, *S']."""
    out: Tensor = _CONVOLUTION[weight.ndim - 2](
        x, weight, bias, slide.stride, slide.padding, slide.dilation, slide.groups
    )
    return out


def sizes_after(sizes: Sequence[int], kernel: Sequence[int], slide: Convolution) -> tuple[int, ...]:
    """S' for S.

    Raises:
        ShapeError: a kernel that does not lie inside the padded input.

    Example:
        >>> sizes_after((8, 8), (3, 3), Convolution((2, 2), (1, 1), (1, 1)))
        (4, 4)
    """
    after = tuple(
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(sizes, kernel, slide.stride, slide.padding, slide.dilation, strict=True)
    )
    if min(after) < 1:
        raise ShapeError(
            f"a kernel of {list(kernel)} does not lie inside an input of {list(sizes)} with padding {list(slide.padding)} "
            f"and dilation {list(slide.dilation)}; take a smaller kernel, or more padding."
        )
    return after


def per_axis(name: str, value: int | Sequence[int], axes: int, least: int) -> tuple[int, ...]:
    """One whole number per axis, from one for all or a list.

    Raises:
        ConfigurationError: not whole numbers of at least ``least``, or not one per axis.
    """
    numbers = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(numbers) != axes or any(isinstance(k, bool) or not isinstance(k, int) or k < least for k in numbers):
        raise ConfigurationError(
            f"{name} is {value!r}; a whole number of at least {least}, or one for each of {axes} axes, is expected."
        )
    return numbers


class RecurrentConvolution:
    """V of a layer whose spikes come back through a kernel: the matrix [N, N] that it stands for is never made.

    ``z @ this.mT`` is the drive [B, N] by spikes z [B, N], N = C prod(S), with zeros around the borders.

    Args:
        weight: [C, C, *K] with odd K.
        sizes: S.
    """

    def __init__(self, weight: Tensor, sizes: Sequence[int]) -> None:
        self.weight, self.sizes = weight, tuple(sizes)
        axes = len(self.sizes)
        self.slide = Convolution((1,) * axes, tuple(k // 2 for k in weight.shape[2:]), (1,) * axes)

    @property
    def shape(self) -> tuple[int, int]:
        n = self.weight.shape[0] * math.prod(self.sizes)
        return (n, n)

    @property
    def mT(self) -> "RecurrentConvolution":  # noqa: N802  (as tensors call it)
        return self

    def __rmatmul__(self, z: Tensor) -> Tensor:
        maps = z.reshape(-1, self.weight.shape[0], *self.sizes)
        return convolve(maps, self.weight, None, self.slide).to(z.dtype).reshape(z.shape)

    def matrix(self) -> Tensor:
        """The matrix [N, N] (row: to, column: from), for loops that take nothing else; gradients reach the kernel."""
        n = self.shape[0]
        unit = torch.eye(n, dtype=self.weight.dtype, device=self.weight.device)
        return (unit @ self.mT).mT
