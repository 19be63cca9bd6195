"""Why a loss could not read a target: found out after it failed, so that a batch that is right pays nothing."""

import torch
from torch import Tensor

__all__ = ["wrong_target"]


def wrong_target(y: object, classes: int) -> str | None:
    """What is wrong with class numbers y, in words; None when nothing is.

    Args:
        y: what came as the target.
        classes: C.

    Example:
        >>> wrong_target(torch.tensor([1, 3]), classes=3)
        'the target holds classes from 1 to 3; num_classes=3 are numbered from 0 to 2.'
        >>> wrong_target(torch.tensor([1, 2]), classes=3) is None
        True
    """
    if not isinstance(y, Tensor):
        return f"the target is a {type(y).__name__}; a tensor [B] of class numbers is expected."
    if y.dtype != torch.int64:
        return f"the target is {y.dtype}; class numbers are torch.int64: y.long()."
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        return (
            f"the target holds classes from {int(y.min())} to {int(y.max())}; num_classes={classes} are numbered from 0 to "
            f"{classes - 1}."
        )
    return None
