"""SynOpsTarget: a number of synaptic operations per sample, held during training by a multiplier that adapts itself."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError, nearest
from ..regularizers._operations import operations
from ..typing import LayerRecord
from ..units import format_count, positive

__all__ = ["SynOpsTarget", "build_synops_target"]


class SynOpsTarget(nn.Module):
    """Adds multiplier * SynOps / target[n] to the loss, and after every step n of training

        error      = ln(smoothed SynOps / target[n])
        multiplier = exp(sum of integral * error + proportional * error),

    where an error below 0 counts ``release`` times in the sum: so SynOps, the mean over samples that :class:`snnlightning.metrics.SynOps` counts (fan-out weighted; input, recurrent and
    readout synapses included), comes down to the target, stays there, and costs no more accuracy than it has to: where the network
    needs less than the target, the multiplier vanishes. During the warm-up target[n] moves from what the network spends at first to
    the target by the same factor in every step: a network that is pressed at once loses units for good.

    The multiplier, and everything else that adapts, is in the state dict: a checkpoint goes on where it was.

    Args:
        target: synaptic operations per sample, > 0; operations of the input count and cannot be trained away.
        warmup_epochs: >= 0.
        integral: gain per step, > 0.
        release: how many times as fast pressure is let go as it is built up, > 0: when the loss has become small, a multiplier from
            before would press below the target for long.
        proportional: gain, >= 0.
        smoothing: of SynOps over steps, a decay in [0, 1).
        multiplier: at the start, > 0, in units of the loss.

    Gradient: multiplier / target[n] * fan_out_j / B for every spike of neuron j; the multiplier is a constant.
    Source: dual ascent on ln(multiplier) with a proportional term, as for constrained objectives (Platt & Barr 1987).

    Example:
        >>> held = SynOpsTarget(1000.0, warmup_epochs=2.0)
        >>> held.observe(4000.0, epoch=0.0), held.observe(4000.0, epoch=1.0)  # the geometric mean, half way
        (4000.0, 2000.0)
        >>> held.observe(4000.0, epoch=2.0), bool(held.multiplier > 0.1)
        (1000.0, True)
    """

    log_multiplier: Tensor
    error: Tensor
    smoothed: Tensor
    first: Tensor
    now: Tensor

    def __init__(
        self,
        target: float,
        *,
        warmup_epochs: float = 5.0,
        integral: float = 0.03,
        release: float = 5.0,
        proportional: float = 1.0,
        smoothing: float = 0.8,
        multiplier: float = 0.1,
    ) -> None:
        super().__init__()
        self.target = positive("synops_target", target)
        self.integral, self.release = positive("integral", integral), positive("release", release)
        if not 0.0 <= warmup_epochs < math.inf or not 0.0 <= proportional < math.inf or not 0.0 <= smoothing < 1.0:
            raise ConfigurationError(
                f"synops_target has warmup_epochs {warmup_epochs}, proportional {proportional} and smoothing {smoothing}; "
                "finite numbers of at least 0 are expected, and smoothing below 1."
            )
        self.warmup_epochs, self.proportional, self.smoothing = warmup_epochs, proportional, smoothing
        start = math.log(positive("multiplier", multiplier))
        for name, value in (
            ("log_multiplier", start),
            ("error", 0.0),
            ("smoothed", math.nan),
            ("first", math.nan),
            ("now", math.nan),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    @property
    def multiplier(self) -> Tensor:
        """What one target's worth of operations costs, in units of the loss; a scalar."""
        return torch.exp(self.log_multiplier + self.proportional * self.error)

    def penalty(self, records: Sequence[LayerRecord]) -> Tensor:
        """multiplier * SynOps / target[n] of a batch."""
        now = torch.where(self.now.isnan(), self.target, self.now)
        return (self.multiplier / now).detach() * operations(records)

    @torch.no_grad()
    def observe(self, synops: float, *, epoch: float, untrainable: float = 0.0) -> float:
        """Adapt after a step of training.

        Args:
            synops: per sample, of the step's batch.
            epoch: how many epochs have passed, with a fraction for steps within one.
            untrainable: what of it the input causes.

        Returns:
            target[n] that is in force now.

        Raises:
            ConfigurationError: in the first step, when the input alone causes more than the target.
        """
        if bool(self.first.isnan()):
            if untrainable >= self.target:
                raise ConfigurationError(
                    f"synops_target is {format_count(self.target)} per sample, and the input alone causes "
                    f"{format_count(untrainable)}, which no training changes; raise the target, make the first layer smaller or "
                    "sparser, or give fewer input spikes."
                )
            self.first.fill_(max(synops, self.target))
            self.smoothed.fill_(synops)
        self.smoothed.mul_(self.smoothing).add_((1.0 - self.smoothing) * synops)
        done = 1.0 if self.warmup_epochs == 0.0 else min(1.0, epoch / self.warmup_epochs)
        self.now.fill_(float(self.first) ** (1.0 - done) * self.target**done)
        error = math.log(max(float(self.smoothed), 1e-3 * self.target) / float(self.now))
        self.error.fill_(max(-_MOST, min(_MOST, error)))
        gain = self.integral * (1.0 if error > 0.0 else self.release)
        self.log_multiplier.add_(gain * self.error).clamp_(_LEAST_LOG, _MOST_LOG)
        return float(self.now)


_MOST = 1.0
"""An error beyond a factor of e counts as one of e: the integral does not run away while the network cannot follow."""
_LEAST_LOG, _MOST_LOG = math.log(1e-6), math.log(1e3)


def build_synops_target(given: float | Mapping[str, Any] | SynOpsTarget | None) -> SynOpsTarget | None:
    """From what a configuration says: a number, a mapping with ``target`` and gains, a module, or nothing.

    Raises:
        ConfigurationError: an unknown key, or no target.
    """
    if given is None or isinstance(given, SynOpsTarget):
        return given
    if not isinstance(given, Mapping):
        return SynOpsTarget(given)
    known = ("target", "warmup_epochs", "integral", "release", "proportional", "smoothing", "multiplier")
    for key in given:
        if key not in known:
            raise ConfigurationError(
                f"synops_target has no parameter {key!r};{nearest(key, known)} It has: {', '.join(known)}."
            )
    if "target" not in given:
        raise ConfigurationError("synops_target needs target, in synaptic operations per sample.")
    return SynOpsTarget(**given)
