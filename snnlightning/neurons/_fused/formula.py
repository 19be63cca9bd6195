"""The surrogate's h as a loop, from whatever compiles the loops; a family that is cut off is its inner one and zeros."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Formula", "formula"]

Formula = tuple[Callable[..., Any], tuple[float, ...]]
"""A loop ``(v, v_th, parameters, out)``, ``out`` may be ``v``, and its parameters."""


def formula(code: Any, spike: Any, dtype: str) -> Formula | None:
    """None when the compiler has no loop for this surrogate: then its ``derivative`` is called on tensors."""
    kind = type(spike)
    if (kind.__module__, kind.__name__) != ("snnlightning.surrogates.sparse", "Sparse"):
        found: Formula | None = code.derivative(spike, dtype)
        return found
    inner = formula(code, spike.surrogate, dtype)
    if inner is None:
        return None
    loop, parameters = inner
    return _Cut(loop, spike.bound), parameters


@dataclasses.dataclass(frozen=True)
class _Cut:
    """A loop whose result is zero from ``bound`` on; equal to another one of the same loop and bound."""

    loop: Callable[..., Any]
    bound: float

    def __call__(self, v: Any, v_th: Any, parameters: Any, out: Any) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            far = np.abs(v - v_th) >= self.bound
        self.loop(v, v_th, parameters, out)
        out[far] = 0.0
