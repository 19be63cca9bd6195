"""Whether the weights that are zero are still the same ones, as machine code: one pass that makes nothing."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..neurons._numba import compiling
from ..neurons._numba.compiling import kernel

__all__ = ["same"]

Array = Any


def same(weight: Tensor, there: Tensor) -> bool | None:
    """Whether ``there``, uint8, flat, is 1 where ``weight`` is not zero; None where no compiled code is at hand for it."""
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or not weight.is_contiguous():
        return None
    if not compiling.in_use():
        return None
    return not _differ.of("float32")(weight.numpy().reshape(-1), there.numpy())


@kernel("uint8(real[::1], uint8[::1])")
def _differ(weight: Array, there: Array) -> Any:
    differ = np.uint8(0)
    for k in range(len(weight)):
        differ |= there[k] ^ np.uint8(weight[k] != 0)
    return differ
