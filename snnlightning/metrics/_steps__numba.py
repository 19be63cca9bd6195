"""In how many steps something is sent, from the lists of who sends, as machine code."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..neurons._numba.compiling import kernel

__all__ = ["steps_with_events"]

Array = Any


def steps_with_events(pointers: Sequence[Tensor]) -> int:
    """How many rows hold an event of one list or of two, whose pointers [R + 1] are given."""
    first, last = pointers[0].numpy(), pointers[-1].numpy()
    steps: int = _steps.of("float32")(first, last)
    return steps


@kernel("int64(int64[::1], int64[::1])")
def _steps(one: Array, other: Array) -> int:
    steps = 0
    for r in range(len(one) - 1):
        steps += (one[r + 1] != one[r]) | (other[r + 1] != other[r])
    return steps
