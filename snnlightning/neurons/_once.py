"""once: what follows from the fields of a frozen record, worked out when it is first asked for."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

import torch

__all__ = ["once", "without_once"]

Record = TypeVar("Record")
Value = TypeVar("Value")


class once(Generic[Record, Value]):  # noqa: N801  (used as property is)
    """As ``property``, computed once per record: a layer asks in every call, and a record never changes.

    What was found lies beside the fields, in the record's ``__dict__``, where Python looks before it comes here. It is no
    field, so equality, ``repr`` and ``dataclasses`` do not see it, and :func:`without_once` keeps it out of copies and pickles.
    Under ``torch.compile`` nothing is kept.

    Example:
        >>> class Circle:
        ...     radius = 1.0
        ...
        ...     @once
        ...     def area(self) -> float:
        ...         print("computed")
        ...         return 3.0 * self.radius**2
        >>> circle = Circle()
        >>> circle.area, circle.area
        computed
        (3.0, 3.0)
    """

    def __init__(self, compute: Callable[[Record], Value]) -> None:
        self.compute, self.name, self.__doc__ = compute, compute.__name__, compute.__doc__

    @overload
    def __get__(self, record: None, owner: type) -> Self: ...
    @overload
    def __get__(self, record: Record, owner: type) -> Value: ...
    def __get__(self, record: Record | None, owner: type) -> Self | Value:
        if record is None:
            return self
        value = self.compute(record)
        if not torch.compiler.is_compiling():
            record.__dict__[self.name] = value
        return value


def without_once(record: object) -> dict[str, Any]:
    """The ``__dict__`` of a record without what it would compute again: its state for a copy or a pickle."""
    return {
        name: value for name, value in vars(record).items() if not isinstance(getattr(type(record), name, None), once)
    }
