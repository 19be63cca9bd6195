"""Events: a batch of spike trains as the list of its spikes, beside the dense tensor [B, T, N].

At 1.5 % activity a dense batch is 98.5 % zeros that are written, moved and searched for what is not zero, at every step.
Data modules hand out events when asked (``events=True``), ``scan`` and ``SpikingLayer`` take them wherever they take a
dense x, and metrics count them; what does not know them asks :func:`dense`, which makes the tensor once.

A layer's output stays a tensor, because gradients flow through it; the events of one that a backend has at hand anyway are
found by :func:`known`.
"""

import functools
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import DataError, ShapeError

__all__ = ["Events", "dense", "known", "listed", "remember", "settled"]

_LINE = 64
"""Bytes of a cache line."""


class Events:
    """x [B, T, N] by its elements that are not zero, row by row (row b T + t), channels ascending within a row.

    The elements of row r are ``pointer[r]:pointer[r + 1]`` of ``index`` and ``value``. Data, not a variable: no gradient
    flows into events. Lightning moves them with the batch (``to``), a loader pins them (``pin_memory``).

    Args:
        pointer: [B T + 1] int64, ascending from 0 to E.
        index: [E] int32, the channel of each event, in [0, N); strictly ascending within a row.
        value: [E] floating point and not zero, or None when all events are 1.
        shape: (B, T, N).

    Raises:
        ShapeError: tensors that do not belong together.
        DataError: channels out of range, out of order or twice in a row; a value of zero.

    Example:
        >>> x = torch.tensor([[[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]]])
        >>> events = Events.from_dense(x)
        >>> events.pointer.tolist(), events.index.tolist(), events.value is None
        ([0, 1, 1, 3], [1, 0, 1], True)
        >>> torch.equal(events.dense(), x)
        True
    """

    pointer: Tensor
    index: Tensor
    value: Tensor | None
    shape: torch.Size
    _dense: Tensor | None

    def __init__(self, pointer: Tensor, index: Tensor, value: Tensor | None, shape: Sequence[int]) -> None:
        self._set(pointer, index, value, shape)
        self._check()

    @classmethod
    def from_dense(cls, x: Tensor) -> "Events":
        """The events of x [B, T, N], of any real dtype; values are kept unless all are 1."""
        if x.ndim != 3:
            raise ShapeError(f"x is {list(x.shape)}; a batch of sequences [B, T, N] is expected.")
        if (found := known(x)) is not None:
            return found
        lists = listed(x.reshape(-1, x.shape[2]))
        assert lists is not None
        pointer, index, value = lists
        if value is not None and not value.is_floating_point():
            value = value.to(torch.get_default_dtype())
        return cls.trusted(pointer, index, value, x.shape)

    @classmethod
    def of_rows(cls, row: Tensor, index: Tensor, value: Tensor | None, shape: Sequence[int]) -> "Events":
        """From the row b T + t of each event, ascending; trusted, not checked."""
        pointer = _pointer(torch.bincount(row, minlength=shape[0] * shape[1]))
        return cls.trusted(pointer, index.to(torch.int32), value, shape)

    @classmethod
    def trusted(cls, pointer: Tensor, index: Tensor, value: Tensor | None, shape: Sequence[int]) -> "Events":
        """As the constructor, without its checks: for code that made the lists itself."""
        made = cls.__new__(cls)
        made._set(pointer, index, value, shape)
        return made

    @classmethod
    def cat(cls, parts: "Sequence[Events]") -> "Events":
        """One batch of several, for a collate function of one's own.

        Raises:
            ShapeError: no part, or parts of different T or N.
        """
        if len({part.shape[1:] for part in parts}) != 1:
            raise ShapeError(f"events of {[list(part.shape) for part in parts]}; all need the same [T, N].")
        starts, pointers = 0, []
        for part in parts:
            pointers.append(part.pointer[:-1] + starts)
            starts += len(part.index)
        pointers.append(parts[-1].pointer[-1:] * 0 + starts)
        value = None
        if any(part.value is not None for part in parts):
            value = torch.cat([torch.ones(len(p.index), dtype=p.dtype) if p.value is None else p.value for p in parts])
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        return cls.trusted(torch.cat(pointers), torch.cat([part.index for part in parts]), value, shape)

    @property
    def ndim(self) -> int:
        """3: [B, T, N]."""
        return 3

    @property
    def device(self) -> torch.device:
        """Where the lists are."""
        return self.index.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the values; torch's default where all are 1."""
        return torch.get_default_dtype() if self.value is None else self.value.dtype

    @property
    def density(self) -> float:
        """Share of the elements that are not zero."""
        return len(self.index) / max(1, self.numel())

    def numel(self) -> int:
        """B T N, zeros included."""
        return self.shape.numel()

    def dense(self) -> Tensor:
        """x [B, T, N]; made once, and known to be these events from then on."""
        if self._dense is None:
            x = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
            at = self.rows() * self.shape[2] + self.index
            x.view(-1)[at] = torch.ones((), dtype=self.dtype, device=self.device) if self.value is None else self.value
            remember(x, self)
            self._dense = x
        return self._dense

    def stands_for(self, x: "Tensor | Events") -> bool:
        """Whether this is known to be the list of x: x itself, or the tensor that ``dense`` gives."""
        return x is self or (self._dense is not None and x is self._dense)

    def beside(self, x: Tensor) -> "Events":
        """The same list, known to be that of x [B, T, N]; trusted, not checked."""
        made = self.trusted(self.pointer, self.index, self.value, self.shape)
        made._dense = x
        return made

    def first(self, steps: int) -> "Events":
        """x[:, :steps]: the same batch, stopped early."""
        if steps >= self.shape[1]:
            return self
        row = self.rows()
        sample, step = row.div(self.shape[1], rounding_mode="floor"), row.remainder(self.shape[1])
        kept = step < steps
        value = None if self.value is None else self.value[kept]
        row = (sample * steps + step)[kept]
        return self.of_rows(row, self.index[kept], value, (self.shape[0], steps, self.shape[2]))

    def rows(self) -> Tensor:
        """The row b T + t of each event, int64 [E]."""
        count = len(self.pointer) - 1
        return torch.repeat_interleave(torch.arange(count, device=self.device), self.pointer.diff())

    def to(self, *args: Any, **kwargs: Any) -> "Events":
        """As ``Tensor.to``: a device moves the lists, a floating-point dtype is that of the values."""
        value = None if self.value is None else self.value.to(*args, **kwargs)
        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        if device is None or device == self.device:
            return self if value is self.value else self.trusted(self.pointer, self.index, value, self.shape)
        soon = bool(kwargs.get("non_blocking", False))
        pointer, index = (t.to(device, non_blocking=soon) for t in (self.pointer, self.index))
        return self.trusted(pointer, index, value, self.shape)

    def pin_memory(self) -> "Events":
        """In page-locked memory, as a loader with ``pin_memory=True`` asks."""
        value = None if self.value is None else self.value.pin_memory()
        return self.trusted(self.pointer.pin_memory(), self.index.pin_memory(), value, self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: int | slice) -> "Events | Tensor":
        """Some samples as events (a slice of step 1), or one sample as a dense tensor [T, N]."""
        if not isinstance(at, slice):
            if not -len(self) <= at < len(self):
                raise IndexError(f"sample {at} of {len(self)}")
            start = at % len(self)
            one = self[start : start + 1]
            assert isinstance(one, Events)
            return one.dense()[0]
        lo, hi, step = at.indices(len(self))
        if step != 1:
            raise IndexError(f"samples in steps of {step}; events are cut in steps of 1.")
        hi, steps = max(lo, hi), self.shape[1]
        pointer = self.pointer[lo * steps : hi * steps + 1]
        first, last = int(pointer[0]), int(pointer[-1])
        value = None if self.value is None else self.value[first:last]
        return self.trusted(pointer - first, self.index[first:last], value, (hi - lo, *self.shape[1:]))

    def __repr__(self) -> str:
        return f"Events({len(self.index)} of {list(self.shape)}, {self.device})"

    def _set(self, pointer: Tensor, index: Tensor, value: Tensor | None, shape: Sequence[int]) -> None:
        self.pointer, self.index, self.value = pointer, index, value
        self.shape = torch.Size(shape)
        self._dense = None

    def _check(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 0:
            raise ShapeError(f"shape is {tuple(self.shape)}; (B, T, N) is expected.")
        if self.pointer.shape != (self.shape[0] * self.shape[1] + 1,) or self.index.ndim != 1:
            raise ShapeError(
                f"pointer {list(self.pointer.shape)} is [B T + 1] and index {list(self.index.shape)} is [E] for events of"
                f" {list(self.shape)}."
            )
        if self.pointer.dtype != torch.int64 or self.index.dtype != torch.int32:
            raise DataError(
                f"pointer is {self.pointer.dtype} and index {self.index.dtype}; int64 and int32 are expected."
            )
        steps = self.pointer.diff()
        if self.pointer[0] != 0 or self.pointer[-1] != len(self.index) or bool((steps < 0).any()):
            raise DataError(f"pointer must ascend from 0 to the number of events, {len(self.index)}.")
        if len(self.index) and not 0 <= int(self.index.min()) <= int(self.index.max()) < self.shape[2]:
            raise DataError(
                f"index runs from {int(self.index.min())} to {int(self.index.max())}; [0, {self.shape[2]}) is allowed."
            )
        if bool(((self.rows() * self.shape[2] + self.index).diff() <= 0).any()):
            raise DataError("channels must ascend within a row, each once; sort the events and add up their values.")
        if self.value is None:
            return
        if self.value.shape != self.index.shape or not self.value.is_floating_point():
            raise ShapeError(f"value is {self.value.dtype} {list(self.value.shape)}; one number per event is expected.")
        if bool((self.value == 0).any()):
            raise DataError("a value is 0, which is no event; leave it out.")


def dense(x: Tensor | Events) -> Tensor:
    """x itself, or the tensor of events."""
    return x.dense() if isinstance(x, Events) else x


_PIECE = 2**19
"""Elements that are read at a time, so that what is made of them stays in the cache."""


def listed(x: Tensor, at_most: int | None = None) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """Pointer, index and value of the elements of x [R, N] that are not zero (NaN is not), as :class:`Events` has them.

    The values are None when all are 1, and keep their dtype otherwise. None when there are more than ``at_most``.

    On the CPU NumPy looks for them, a piece at a time and in whole numbers: several times faster than ``torch.nonzero``.
    """
    x = x.detach()
    rows, features = x.shape
    if x.device.type != "cpu":
        where, index = x.nonzero(as_tuple=True)
        if at_most is not None and len(where) > at_most:
            return None
        value = x[where, index]
        counts = torch.bincount(where, minlength=rows)
        return _pointer(counts), index.to(torch.int32), None if bool((value == 1).all()) else value
    lengths, found, values = [np.empty(0, np.int64)], [np.empty(0, np.int32)], [x.new_empty(0)]
    for piece in x.split(max(1, _PIECE // max(1, features))) if features else ():
        flat = piece.reshape(-1)
        at = np.flatnonzero(flat.bool().numpy()).astype(np.int32)
        row = at // np.int32(features)
        value = flat.index_select(0, torch.from_numpy(at))
        lengths.append(np.bincount(row, minlength=len(piece)))
        found.append(at - row * np.int32(features))
        values.append(value[:0] if bool((value == 1).all()) else value)
        if at_most is not None and sum(map(len, found)) > at_most:
            return None
    counts = torch.from_numpy(np.concatenate(lengths) if features else np.zeros(rows, np.int64))
    index = torch.from_numpy(np.concatenate(found))
    if not any(len(value) for value in values):
        return _pointer(counts), index, None
    ones = zip(values, found, strict=True)
    value = torch.cat([value if len(value) else value.new_ones(len(at)) for value, at in ones])
    return _pointer(counts), index, value


def _pointer(counts: Tensor) -> Tensor:
    """Where each row's events start, and the end; from how many it has."""
    pointer = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    torch.cumsum(counts, 0, out=pointer[1:])
    return pointer


def settled(x: Tensor) -> Tensor:
    """x as a tensor of its own would lie in memory: contiguous, from a whole cache line on.

    A matrix product may round otherwise where it does not, and a member of a stack gets the numbers that it gets alone.
    """
    x = x.contiguous()
    return x if x.data_ptr() % _LINE == 0 else x.clone(memory_format=torch.contiguous_format)


_lists: dict[int, tuple[weakref.ref[Tensor], int, Events]] = {}
"""By the identity of a tensor that is still alive: itself, the version of it that was listed, and its events."""


def remember(x: Tensor, events: Events) -> None:
    """Say that these are the events of x [B, T, N], as it is now; forgotten with the tensor, or when it is changed."""
    if not x.is_inference():  # such tensors do not say whether they were changed
        # Lists of their own: events that hold their dense tensor would keep x alive as long as x is.
        own = Events.trusted(events.pointer, events.index, events.value, events.shape)
        _lists[id(x)] = (weakref.ref(x, functools.partial(_forget, id(x))), x._version, own)


def _forget(key: int, gone: weakref.ref[Tensor]) -> None:
    if (found := _lists.get(key)) is not None and found[0] is gone:  # not one that was put in its place since
        _lists.pop(key, None)


def known(x: Tensor) -> Events | None:
    """The events of x when somebody has them already, and x was not changed since; None otherwise.

    A layer that runs as compiled code knows its output's. Reading them is free, making them is a pass over x.
    """
    found = _lists.get(id(x))
    if found is None:
        return None
    of, version, events = found
    return events if of() is x and version == x._version else None
