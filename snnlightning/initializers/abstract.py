"""What every initializer is: it fills a weight matrix."""

import abc
import dataclasses

from torch import Tensor

__all__ = ["AbstractInitializer"]


@dataclasses.dataclass(frozen=True)
class AbstractInitializer(abc.ABC):
    """weight [N_post, N_pre] -> the same tensor, filled in place."""

    @abc.abstractmethod
    def __call__(self, weight: Tensor) -> Tensor:
        """Fill ``weight`` [N_post, N_pre] in place and return it."""
