"""What every encoder is: intensities in, a spike train out.

An encoder is a frozen record of numbers and a pure function: the same intensities give the same spikes, in one batch or
in many, on every device. A code that draws random numbers gets them from its seed and the number of the sample.
"""

import abc
import dataclasses

import torch
from torch import Tensor

from ..errors import ConfigurationError, DataError, ShapeError

__all__ = ["AbstractEncoder", "AbstractSignalEncoder"]


@dataclasses.dataclass(frozen=True)
class AbstractEncoder(abc.ABC):
    """x [B, N] in [0, 1] -> spikes [B, T, N], float32, T = steps.

    Args:
        steps: number of time steps T, >= 1.

    Raises:
        ConfigurationError: ``steps`` is not a whole number of at least 1.
    """

    steps: int = 100

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ConfigurationError(
                f"{type(self).__name__}(steps={self.steps!r}): a whole number of at least 1 is expected."
            )

    def __call__(self, x: Tensor, first: int = 0) -> Tensor:
        """Spikes for a batch of intensities.

        Args:
            x: [B, N], floating point, in [0, 1].
            first: the number of the batch's first sample in its data set, >= 0; a code without randomness ignores it.

        Returns:
            [B, T, N] float32 on the device of ``x``: the number of spikes per step.

        Raises:
            ShapeError: ``x`` is not [B, N].
            DataError: ``x`` holds integers, NaN or values outside [0, 1].
        """
        self.check(x)
        return self.encode(x, first)

    def events(self, x: Tensor, first: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """The same spikes as events, for data sets that would not fit into memory densely.

        Returns:
            sample, step and channel of each spike, int64, in ascending order of the samples; two spikes of a channel in
            one step are two events.

        Raises:
            ShapeError, DataError: as a call.
        """
        spikes = self(x, first)
        where = spikes.nonzero(as_tuple=True)
        sample, step, channel = (at.repeat_interleave(spikes[where].long()) for at in where)
        return sample, step, channel

    def check(self, x: Tensor) -> None:
        """Refuse what no encoder takes; see a call."""
        if x.ndim != 2:
            raise ShapeError(f"x is {list(x.shape)}; an encoder takes [B, N]: flatten images first, x.flatten(1).")
        if not x.is_floating_point():
            raise DataError(f"x is {x.dtype}; intensities are floats in [0, 1]: divide bytes by 255 first.")
        outside = ~((x >= 0.0) & (x <= 1.0))  # written so that NaN is outside
        if outside.any():
            raise DataError(
                f"x has {int(outside.sum())} values outside [0, 1], the first is {x[outside][0].item()}; scale the"
                " intensities to [0, 1] first."
            )

    @abc.abstractmethod
    def encode(self, x: Tensor, first: int) -> Tensor:
        """The code itself, for an ``x`` that has been checked."""


@dataclasses.dataclass(frozen=True)
class AbstractSignalEncoder(abc.ABC):
    """A signal over time -> spikes [B, T, N], float32: what is encoded has a time of its own."""

    @abc.abstractmethod
    def __call__(self, signal: Tensor) -> Tensor:
        """signal -> spikes [B, T, N].

        Raises:
            DataError: values that are not finite.
        """

    def check(self, signal: Tensor) -> None:
        """Refuse what has no code."""
        if not bool(signal.isfinite().all()):
            raise DataError(
                f"signal has {int((~signal.isfinite()).sum())} values that are not finite; {type(self).__name__} has no code for them."
            )


def in_range(
    encoder: AbstractEncoder | AbstractSignalEncoder, name: str, low: float, high: float, interval: str
) -> None:
    """Refuse a field that is not a number in the open interval (low, high), or in (low, high] or [low, high).

    Args:
        encoder: the record that is being made.
        name: the field.
        low, high: the ends.
        interval: the interval as a reader writes it; its brackets decide which ends belong to it.

    Raises:
        ConfigurationError: the value is outside, NaN or no number.
    """
    value = getattr(encoder, name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    above = number and (value >= low if interval[0] == "[" else value > low)
    below = number and (value <= high if interval[-1] == "]" else value < high)
    if not (above and below):
        raise ConfigurationError(f"{type(encoder).__name__}({name}={value!r}): a number in {interval} is expected.")


def scatter_spikes(bins: Tensor, steps: int) -> Tensor:
    """One spike per input at its step: bins [B, N] (int64, -1 for none) -> [B, T, N] float32."""
    spikes = torch.zeros(bins.shape[0], steps, bins.shape[1], device=bins.device)
    fires = bins >= 0
    return spikes.scatter_(1, bins.clamp_min(0).unsqueeze(1), fires.unsqueeze(1).float())
