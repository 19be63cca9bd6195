"""WithoutAutapses: any initializer, with zeros on the diagonal."""

import dataclasses

import torch
from torch import Tensor

from ..errors import ShapeError
from .abstract import AbstractInitializer
from .scaled_normal import ScaledNormal

__all__ = ["WithoutAutapses"]


@dataclasses.dataclass(frozen=True)
class WithoutAutapses(AbstractInitializer):
    """w as ``of`` draws it, then w[i, i] = 0: no neuron starts connected to itself.

    This is where weights start; training may move the diagonal, a mask keeps it.

    Args:
        of: fills the matrix first.

    Raises:
        ShapeError: a weight that is not [N, N], when it is filled.

    Source: Bellec et al. 2018 (LSNN); Bittar & Garner 2022.

    Example:
        >>> w = WithoutAutapses()(torch.empty(3, 3))
        >>> w.diagonal().tolist(), bool((w != 0.0).sum() == 6)
        ([0.0, 0.0, 0.0], True)
    """

    of: AbstractInitializer = ScaledNormal()  # noqa: RUF009  (a frozen record)

    def __call__(self, weight: Tensor) -> Tensor:
        """Fill ``weight`` [N, N] in place and return it."""
        if weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
            raise ShapeError(
                f"weights are {list(weight.shape)}; autapses are the diagonal of recurrent weights [N, N]."
            )
        self.of(weight)
        with torch.no_grad():
            weight.fill_diagonal_(0.0)
        return weight
