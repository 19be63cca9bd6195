"""Sparse: any family, cut off at a distance from threshold."""

import dataclasses
from typing import Self

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive
from .abstract import AbstractSurrogate
from .superspike import SuperSpike

__all__ = ["Sparse"]

_PUBLISHED = SuperSpike(slope=100.0)
_BOUND = 0.2 / _PUBLISHED.width


@dataclasses.dataclass(frozen=True)
class Sparse(AbstractSurrogate):
    """h(x) = h_inner(x) for |x| < bound, else 0, with x = v - v_th.

    Height, half width and shape near threshold are those of the surrogate inside. Neurons further than the bound from threshold
    get no gradient at all, so that a backward pass may leave them out; with bound towards infinity it is the surrogate inside,
    with bound towards 0 nothing below the readout is trained.

    Args:
        surrogate: the family that is cut.
        bound: distance from threshold from which on h is 0, > 0, in the unit of v (B_th of the paper).

    Used by: Perez-Nieves & Goodman (SparseSpikingBackprop).
    Source: Perez-Nieves & Goodman 2021: SuperSpike(slope=100), bound 0.2.

    Example:
        >>> import torch
        >>> Sparse().derivative(torch.tensor([-0.21, -0.19, 0.0, 0.19, 0.21], dtype=torch.float64))
        tensor([0.0000, 0.0025, 1.0000, 0.0025, 0.0000], dtype=torch.float64)
    """

    surrogate: AbstractSurrogate = _PUBLISHED
    bound: float = 0.2

    @property
    def height(self) -> float:
        return self.surrogate.height

    @property
    def width(self) -> float:
        return min(self.surrogate.width, self.bound)

    @property
    def area(self) -> float:
        low, high = self.surrogate.soft(torch.tensor([-self.bound, self.bound], dtype=torch.float64)).tolist()
        return float(high - low)

    @classmethod
    def from_height_width(
        cls, height: float, width: float, *, of: type[AbstractSurrogate] = SuperSpike, bound: float | None = None
    ) -> Self:
        """A family cut off.

        Args:
            of: the family.
            bound: at least ``width``; when None, as many half widths away as in the paper (48).
        """
        bound = _BOUND * positive("width", width) if bound is None else positive("bound", bound)
        if bound < width:
            raise ConfigurationError(
                f"bound is {bound} and width {width}: what is cut off within its half width has another one; "
                "make the bound at least as large as the width."
            )
        return cls(of.from_height_width(height=height, width=width), bound)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.where(x.abs() >= self.bound, 0.0, self.surrogate.derivative(x))

    def soft(self, x: Tensor) -> Tensor:
        return self.surrogate.soft(torch.clamp(x, -self.bound, self.bound))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.surrogate, AbstractSurrogate):
            raise ConfigurationError(
                f"Sparse.surrogate is {self.surrogate!r}; a surrogate such as SuperSpike(slope=100.0) is expected."
            )
