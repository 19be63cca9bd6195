"""SentBack: what a layer sends back to its input, delta @ w_in, not multiplied out before somebody reads it.

Of a readout of 20 neurons behind 512, delta is a twenty-fifth of the product. The compiled backward pass of the layer before makes
the rows of a few samples when it is their turn, in the cache, and the gradient of a whole batch is never there. For
everybody else (a second consumer, a hook, ``retain_grad``, NumPy) it is a tensor like any other: it is made when it is read, once.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

__all__ = ["SentBack"]


class SentBack(Tensor):
    """A gradient [B, T, K] by its factors.

    Args:
        delta: [B, T, N].
        w_in: [N, K].
        product: ``(delta [R, N], w_in) -> [R, K]``, the same bits for a row whatever is beside it.
    """

    delta: Tensor
    w_in: Tensor
    product: Callable[[Tensor, Tensor], Tensor]
    made: Tensor | None

    @staticmethod
    def __new__(cls, delta: Tensor, w_in: Tensor, product: Callable[[Tensor, Tensor], Tensor]) -> "SentBack":
        shape = (*delta.shape[:-1], w_in.shape[1])
        found: SentBack = Tensor._make_wrapper_subclass(cls, shape, dtype=delta.dtype, device=delta.device)
        found.delta, found.w_in, found.product, found.made = delta, w_in, product, None
        return found

    def whole(self) -> Tensor:
        """The tensor, which from now on is what an operation in place changes."""
        if self.made is None:
            self.made = self.product(self.delta.flatten(0, 1), self.w_in).unflatten(0, self.delta.shape[:2])
        found: Tensor = self.made
        return found

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Every operation reads it; one that changes its shape in place is refused, as nobody would see that."""
        found = func(*tree_map_only(cls, cls.whole, args), **tree_map_only(cls, cls.whole, kwargs or {}))
        for held in args if func._schema.is_mutable else ():
            if isinstance(held, cls) and held.whole().shape != held.shape:
                raise RuntimeError(f"{func} in place on a gradient of {list(held.shape)}; change the shape of a clone.")
        return found

    @property
    def data(self) -> Tensor:
        """What is there without autograd; a hook may put another tensor there."""
        return self.whole()

    @data.setter
    def data(self, other: Tensor) -> None:
        if other.shape != self.shape:
            raise RuntimeError(f"a gradient of {list(self.shape)} cannot become one of {list(other.shape)}.")
        self.made = other

    # What reads memory without an operation of torch's.
    def numpy(self, *, force: bool = False) -> Any:
        return self.whole().numpy(force=force)

    def __array__(self, dtype: Any = None) -> Any:
        return self.whole().__array__(dtype)

    def tolist(self) -> Any:
        return self.whole().tolist()

    def data_ptr(self) -> int:
        return self.whole().data_ptr()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.whole().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self.whole().clone()

    def __repr__(self, **how: Any) -> str:  # type: ignore[override]
        return str(self.whole().__repr__(**how))

    __torch_function__ = cast(Any, torch._C._disabled_torch_function_impl)
