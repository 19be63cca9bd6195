"""What every readout is: the output of the last layer over time becomes one number per class."""

import abc
import dataclasses
from typing import ClassVar

from torch import Tensor

from ..errors import ShapeError

__all__ = ["AbstractReadout"]


@dataclasses.dataclass(frozen=True)
class AbstractReadout(abc.ABC):
    """y [B, T, C] -> logits [B, C]."""

    reads_spikes: ClassVar[bool] = False
    """Whether it is made for a last layer that spikes; the others read potentials."""
    reduction: ClassVar[str | None] = None
    """``sum``, ``mean``, ``max`` (the first of equal ones) or ``last`` where ``reduce`` is exactly that: compiled loops then do it."""

    def __call__(self, y: Tensor) -> Tensor:
        """Reduce the time axis.

        Raises:
            ShapeError: not [B, T, C], or no time step at all.
        """
        if y.ndim != 3 or y.shape[1] == 0:
            raise ShapeError(f"{type(self).__name__} reads [B, T, C] with T >= 1; {list(y.shape)} came.")
        return self.reduce(y)

    @abc.abstractmethod
    def reduce(self, y: Tensor) -> Tensor:
        """[B, T, C] -> [B, C]."""
