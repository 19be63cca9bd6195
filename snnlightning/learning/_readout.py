"""Readouts in pieces: the logits of a whole sequence from those of its parts, so that no sequence is kept."""

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount, SumOfSoftmax

__all__ = ["check_readout", "combined", "tangent"]

_KNOWN = (LastStep, MaxOverTime, MeanOverTime, SpikeCount, SumOfSoftmax)


def check_readout(readout: object, rule: str) -> None:
    """Refuse a readout whose logits cannot be put together from parts of a sequence."""
    if type(readout) not in _KNOWN:
        names = "last_step, max_over_time, mean_over_time, spike_count, sum_of_softmax"
        raise ConfigurationError(
            f"{rule} reads a sequence in parts and can do so for {names}; the readout is {type(readout).__name__}. "
            "Use one of these, or learning='bptt'."
        )


def combined(readout: object, before: Tensor | None, logits: Tensor, steps: int, total: int) -> Tensor:
    """Logits of everything up to and with a part.

    Args:
        readout: one that :func:`check_readout` accepted.
        before: what this function returned for the parts before; None for the first part.
        logits: the readout of this part [B, C].
        steps: steps of this part.
        total: steps T of the whole sequence.

    Example:
        >>> y = torch.arange(6.0).reshape(1, 3, 2)
        >>> first = combined(MeanOverTime(), None, MeanOverTime()(y[:, :2]), 2, 3)
        >>> combined(MeanOverTime(), first, MeanOverTime()(y[:, 2:]), 1, 3), MeanOverTime()(y)
        (tensor([[2., 3.]]), tensor([[2., 3.]]))
    """
    if isinstance(readout, MeanOverTime):
        logits = logits * (steps / total)
        return logits if before is None else before + logits
    if before is None or isinstance(readout, LastStep):
        return logits
    return torch.maximum(before, logits) if isinstance(readout, MaxOverTime) else before + logits


def tangent(readout: object, before: Tensor, logits: Tensor | None, y: Tensor, tangents: Tensor, total: int) -> Tensor:
    """d logits of everything up to and with one step, from d y of this step: the derivative of :func:`combined`.

    Args:
        readout: one that :func:`check_readout` accepted.
        before: tangents of the logits of the steps before [P, B, C].
        logits: the logits of the steps before [B, C]; None for the first.
        y: output of this step [B, C].
        tangents: of y, [P, B, C].
        total: steps T of the whole sequence.
    """
    if isinstance(readout, MeanOverTime):
        return before + tangents / total
    if isinstance(readout, LastStep):
        return tangents
    if isinstance(readout, MaxOverTime):
        return tangents if logits is None else torch.where(y > logits, tangents, before)
    if isinstance(readout, SumOfSoftmax):
        p = y.softmax(dim=-1)
        return before + p * (tangents - (p * tangents).sum(-1, keepdim=True))
    return before + tangents
