"""Checks that the data modules share: what came, what was expected."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..units import positive

__all__ = ["duration", "fraction", "stratified", "whole"]


def whole(name: str, value: Any, at_least: int = 1) -> int:
    """``value`` as a plain int, when it is a whole number of at least ``at_least``.

    Raises:
        ConfigurationError: smaller, or no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < at_least:
        raise ConfigurationError(f"{name} is {value!r}; a whole number of at least {at_least} is expected.")
    return int(value)


def fraction(name: str, value: Any) -> float:
    """``value`` as a plain float, when it lies strictly between 0 and 1.

    Raises:
        ConfigurationError: 0, 1, outside, NaN or no number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 < float(value) < 1.0:
        raise ConfigurationError(f"{name} is {value!r}; a share of the samples, greater than 0 and less than 1.")
    return float(value)


def duration(name: str, value: Any) -> float:
    """``value`` as a plain float, when it is a finite length of time greater than zero.

    Raises:
        ConfigurationError: zero, negative, infinite, NaN or no number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(float(value)):
        raise ConfigurationError(f"{name} is {value!r}; a finite number greater than 0 is expected.")
    return positive(name, float(value))


def stratified(labels: Tensor, fractions: Sequence[float], seed: int) -> list[Tensor]:
    """Split every class in the same proportions, fixed by the seed.

    Args:
        labels: [n] int64.
        fractions: share of each class that goes to each of the split-off parts; together less than 1.
        seed: whole number >= 0.

    Returns:
        Ascending sample numbers, int64: first what is left over, then one tensor per fraction.

    Raises:
        ConfigurationError: a part that stays empty, or fractions that leave nothing over.
    """
    if sum(fractions) >= 1.0:
        raise ConfigurationError(f"the fractions {list(fractions)} leave no samples for training; lower one of them.")
    generator = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(labels.numpy()):
        members = generator.permutation(np.flatnonzero(labels.numpy() == label))
        ends = np.rint(np.cumsum([0.0, *fractions]) * len(members)).astype(int)
        parts[0].append(members[ends[-1] :])
        for part, start, end in zip(parts[1:], ends[:-1], ends[1:], strict=True):
            part.append(members[start:end])
    split = [torch.from_numpy(np.sort(np.concatenate(part))) for part in parts]
    if any(len(part) == 0 for part in split):
        raise ConfigurationError(
            f"fractions {list(fractions)} of {len(labels)} samples in {len(parts[0])} classes give parts of"
            f" {[len(part) for part in split]} samples; none may be empty: change the fractions or use more samples."
        )
    return split
