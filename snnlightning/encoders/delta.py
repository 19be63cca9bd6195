"""Delta code: a spike whenever a signal has moved by a threshold."""

import dataclasses
import math

import torch
from torch import Tensor

from ..errors import ShapeError
from .abstract import AbstractSignalEncoder, in_range

__all__ = ["Delta"]


@dataclasses.dataclass(frozen=True)
class Delta(AbstractSignalEncoder):
    """k = trunc((x[n] - r[n]) / threshold) spikes, on channel c for k > 0 and C + c for k < 0; r[n+1] = r[n] + k threshold, r[0] = x[0].

    Send-on-delta, as event cameras and asynchronous converters do: r is what a receiver knows, and never off by a threshold.

    Args:
        threshold: in the unit of the signal, > 0.

    Raises:
        ConfigurationError: a threshold out of range.

    Source: Miskowicz 2006 (send-on-delta).

    Example:
        >>> up_down = Delta(threshold=1.0)(torch.tensor([[[0.0], [2.5], [3.2], [1.9]]]))
        >>> up_down[0].T.tolist()  # 2.5: two up; 3.2: one up; 1.9: one down
        [[0.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """

    threshold: float = 0.1

    def __post_init__(self) -> None:
        in_range(self, "threshold", 0.0, math.inf, "(0, inf)")

    def __call__(self, signal: Tensor) -> Tensor:
        """signal [B, T, C] -> spikes [B, T, 2 C]: C channels for up, C for down; several in a step where it moves far.

        Raises:
            ShapeError: not [B, T, C], or no step.
            DataError: values that are not finite.
        """
        if signal.ndim != 3 or signal.shape[1] == 0:
            raise ShapeError(f"signal is {list(signal.shape)}; Delta takes [B, T, C] with T >= 1.")
        self.check(signal)
        known, moved = signal[:, 0].double(), []
        for n in range(signal.shape[1]):
            k = torch.trunc((signal[:, n].double() - known) / self.threshold)
            known = known + k * self.threshold
            moved.append(k)
        steps = torch.stack(moved, dim=1).float()
        return torch.cat([steps.clamp_min(0.0).abs(), steps.clamp_max(0.0).abs()], dim=2)

    def decode(self, spikes: Tensor, start: Tensor | float = 0.0) -> Tensor:
        """What a receiver knows after every step, [B, T, C]; ``start`` [B, C] is x[0]."""
        up, down = spikes.double().chunk(2, dim=2)
        moved = self.threshold * (up - down).cumsum(dim=1)
        return moved + (start.unsqueeze(1) if isinstance(start, Tensor) else start)
