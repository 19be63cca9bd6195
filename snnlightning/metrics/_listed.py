"""``events.listed`` by machine code: one pass over the elements, with the loop that compiled layers find their events with."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._loops import loop

__all__ = ["listed_by_loop"]

_PIECE = 2**18
"""Elements that are read at a time, so that the room for their events is small and stays in the cache."""


def listed_by_loop(x: Tensor, at_most: int) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """See :func:`snnlightning.events.listed`; x [R, N] is float32 or float64, on the CPU."""
    rows, features = x.shape
    elements = x.detach().contiguous().numpy()
    find = loop("events", str(elements.dtype))
    step = max(1, _PIECE // max(1, features))
    index, value = np.empty(step * features, np.int32), np.empty(step * features, elements.dtype)
    pointer = np.zeros(rows + 1, np.int64)
    found: list[np.ndarray[tuple[int], np.dtype[np.int32]]] = []
    values: list[np.ndarray[Any, Any] | None] = []
    before = 0
    for start in range(0, rows, step):
        piece = elements[start : start + step]
        own = pointer[start : start + len(piece) + 1]
        others = find(piece, index, value, own)
        count = int(own[-1])
        own += before
        before += count
        if before > at_most:
            return None
        found.append(index[:count].copy())
        values.append(value[:count].copy() if others else None)
    if not found:
        return torch.from_numpy(pointer), torch.from_numpy(index), None
    kept = None
    if any(part is not None for part in values):
        parts = [np.ones(len(at), value.dtype) if v is None else v for v, at in zip(values, found, strict=True)]
        kept = torch.from_numpy(np.concatenate(parts))
    return torch.from_numpy(pointer), torch.from_numpy(np.concatenate(found)), kept
