"""VanRossum: the distance of spike trains to target trains, both seen through a kernel."""

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigurationError, ShapeError
from ..units import decay_from_tau, positive
from .abstract import AbstractTrainLoss

__all__ = ["VanRossum"]


@dataclasses.dataclass(frozen=True)
class VanRossum(AbstractTrainLoss):
    """L = (1/B) sum_bc 1/2 integral (eps * (S - S*))² dt / integral eps² dt, eps(t) = exp(-t / tau), minus exp(-t / tau_rise).

    A mean over samples of a sum over neurons; lower is better. One spike too many costs 1/2, one that is late by d costs
    1 - exp(-d / tau) with the single exponential. The integral is exact: spikes are at the steps, the kernel is in continuous time,
    and runs on behind the last step.

    Args:
        tau_ms: decay of the kernel, > 0.
        tau_rise_ms: its rise, in (0, tau_ms); None for a kernel that jumps.
        dt_ms: time step of the data, > 0.
        interval_steps: when the target is a class: its neuron shall spike every so many steps from the first such step on, the
            others never; a whole number >= 1.

    Gradient: exact with respect to the spikes, to those in the past of each moment.
    Source: van Rossum 2001; Zenke & Ganguli 2018 (SuperSpike) with rise 5 and decay 10 ms, there without the normalisation.

    Example:
        >>> trains = torch.zeros(2, 9, 1)
        >>> trains[0, 2], trains[1, 3] = 1.0, 1.0
        >>> VanRossum(tau_ms=10.0)(trains[:1].double(), trains[1:].double()).item()  # one step late: 1 - exp(-1/10)
        0.09516258196404...
    """

    tau_ms: float = 10.0
    tau_rise_ms: float | None = None
    dt_ms: float = 1.0
    interval_steps: int = 10

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Distance of trains.

        Args:
            output: spikes [B, T, C].
            target: trains [B, T, C], or class numbers [B].

        Raises:
            ShapeError: neither of them.
        """
        if target.ndim == 1 and not target.is_floating_point() and len(target) == len(output):
            target = self.trains(target, output)
        if target.shape != output.shape:
            raise ShapeError(
                f"target is {list(target.shape)} for an output of {list(output.shape)}; trains of the same shape, or one class "
                "number per sample are expected."
            )
        return 0.5 * self._square(output - target).sum(dim=-1).mean() / self._square_of_one_spike()

    def trains(self, target: Tensor, output: Tensor) -> Tensor:
        """The trains [B, T, C] that stand for classes [B], like ``output``."""
        steps = torch.arange(1, output.shape[1] + 1, device=output.device)
        beat = (steps % self.interval_steps == 0).to(output.dtype)
        return beat[:, None] * F.one_hot(target, output.shape[2]).to(output.dtype)[:, None]

    def _square(self, difference: Tensor) -> Tensor:
        """The integral of the square of the filtered difference [B, T, C], in ms: [B, C]."""
        slow, fast = decay_from_tau(self.tau_ms, self.dt_ms), 0.0
        if self.tau_rise_ms is not None:
            fast = decay_from_tau(self.tau_rise_ms, self.dt_ms)
        a = b = total = torch.zeros_like(difference[:, 0])
        last = difference.shape[1] - 1
        for n in range(difference.shape[1]):
            a = slow * a + difference[:, n]
            b = fast * b + difference[:, n] if fast else b
            # Within a step both traces decay from their values at its start; behind the last one for ever.
            end = (0.0, 0.0) if n == last else (slow, fast)
            total = total + self._within(a, b, *end)
        return total

    def _within(self, a: Any, b: Any, slow: float, fast: float) -> Any:
        """integral (a e^(-s / tau) - b e^(-s / rise))² ds up to where the exponentials are ``slow`` and ``fast``."""
        tau, rise = self.tau_ms, self.tau_rise_ms or 0.0
        value = a * a * (0.5 * tau * (1.0 - slow * slow))
        if rise:
            both = tau * rise / (tau + rise)
            value = value - 2.0 * a * b * (both * (1.0 - slow * fast)) + b * b * (0.5 * rise * (1.0 - fast * fast))
        return value

    def _square_of_one_spike(self) -> float:
        return float(self._within(1.0, 1.0, 0.0, 0.0))

    def __post_init__(self) -> None:
        positive("VanRossum.tau_ms", self.tau_ms)
        positive("VanRossum.dt_ms", self.dt_ms)
        if self.tau_rise_ms is not None and not 0.0 < self.tau_rise_ms < self.tau_ms:
            raise ConfigurationError(
                f"VanRossum.tau_rise_ms is {self.tau_rise_ms} and tau_ms {self.tau_ms}; a rise faster than the decay is expected."
            )
        if isinstance(self.interval_steps, bool) or not isinstance(self.interval_steps, int) or self.interval_steps < 1:
            raise ConfigurationError(
                f"VanRossum.interval_steps is {self.interval_steps}; a whole number of at least 1 is expected."
            )
