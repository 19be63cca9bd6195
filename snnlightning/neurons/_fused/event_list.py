"""EventList: events as the loops read them."""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...events import Events

__all__ = ["EventList", "array"]

Array = np.ndarray[Any, Any]


def array(tensor: torch.Tensor) -> Array:
    """The tensor's memory, or that of a contiguous copy."""
    if tensor.requires_grad or type(tensor) is not torch.Tensor:
        tensor = tensor.detach()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    found: Array = tensor.contiguous().numpy()
    return found


@dataclasses.dataclass(slots=True)
class EventList:
    """Of a chunk or of a batch; ``value`` is empty when all are one."""

    pointer: Array
    index: Array
    value: Array

    def part(self, lo: int, hi: int, steps: int) -> "EventList":
        """Those of some samples, in the same memory."""
        return EventList(self.pointer[lo * steps : hi * steps + 1], self.index, self.value)

    @classmethod
    def joined(cls, parts: Sequence["EventList"]) -> "EventList":
        """One list for all chunks."""
        if len(parts) == 1:
            return parts[0]
        starts = list(itertools.accumulate((int(part.pointer[-1]) for part in parts), initial=0))
        pointer, at = np.empty(sum(len(part.pointer) - 1 for part in parts) + 1, np.int64), 0
        for part, start in zip(parts, starts, strict=False):
            np.add(part.pointer, start, out=pointer[at : at + len(part.pointer)])
            at += len(part.pointer) - 1
        value = parts[0].value
        if any(part.value.size for part in parts):
            ones = (part.value if part.value.size else np.ones_like(part.index, value.dtype) for part in parts)
            value = np.concatenate([*ones])
        return cls(pointer, np.concatenate([part.index for part in parts]), value)

    @classmethod
    def of(cls, events: Events, dtype: torch.dtype) -> "EventList":
        """In the same memory where the element type allows it."""
        pointer, index = array(events.pointer), array(events.index)
        if events.value is None:
            return cls(pointer, index, _no_values(dtype))
        return cls(pointer, index, array(events.value.detach().to(dtype)))


@functools.cache
def _no_values(dtype: torch.dtype) -> Array:
    return torch.empty(0, dtype=dtype).numpy()
