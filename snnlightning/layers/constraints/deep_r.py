"""DEEP R: training and rewiring at once, with a number of connections that never changes."""

import dataclasses

import torch
from torch import Tensor

from ...errors import ConfigurationError
from ..weight_rule import AbstractWeightRule
from .abstract import AbstractSparsity, share
from .dale import signs
from .random_mask import drawn

__all__ = ["DeepR"]

_FIRST = 1e-12
"""The magnitude of a connection at its birth, and the least it has: it counts as a synapse, and does next to nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepR(AbstractSparsity):
    """w_k = s_k θ_k for the K = round(density · numel) active connections, 0 for the others; signs s_k stay.

    After each step of the optimizer: θ_k <- θ_k - l1 + noise · N(0, 1) for the active ones; those with θ_k <= 0 become dormant, and as
    many dormant ones, drawn at random, become active with θ = 1e-12. Exactly K weights are not zero at any time.

    A step is one of :class:`~snnlightning.training.SpikingModule`; in your own loop, call ``layer.after_step()``. What is drawn depends
    on a counter that checkpoints have, so a fit that is resumed rewires as one that was not interrupted.

    Args:
        density: share of active connections, in (0, 1].
        l1: what a step takes from each θ, >= 0; published: learning rate · α.
        noise: standard deviation per step, >= 0; published: √(2 · learning rate · temperature).
        excitatory: share of excitatory neurons whose outgoing weights are positive (of ``w_rec``), the first ones; None: signs as drawn.
        weights, readout: see :class:`AbstractSparsity`.

    Gradient: ∂/∂θ_k = s_k ∂/∂w_k for active connections, 0 for dormant ones.
    Source: Bellec, Kappel, Maass & Legenstein 2018, algorithm 1; Bellec et al. 2018 (LSNN). differs: l1 and noise are given per step, so
    that they do not follow a schedule of the learning rate.

    Example:
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import LIF
        >>> layer = SpikingLayer(10, 8, neuron=LIF())
        >>> DeepR(density=0.2, l1=0.1).apply(layer)
        >>> before = layer.w_in != 0
        >>> for _ in range(5):
        ...     layer.after_step()
        >>> int(before.sum()), int((layer.w_in != 0).sum()), bool((before == (layer.w_in != 0)).all())
        (16, 16, False)
    """

    density: float = 0.1
    l1: float = 1e-5
    noise: float = 0.0
    excitatory: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        share("DeepR.density", self.density)
        if self.excitatory is not None:
            share("DeepR.excitatory", self.excitatory)
        for name in ("l1", "noise"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 <= value < float("inf"):
                raise ConfigurationError(f"DeepR.{name} is {value!r}; a finite number of at least 0 is expected.")

    def rule(self, weight: Tensor) -> AbstractWeightRule:
        sign = torch.where(weight < 0, -1.0, 1.0).to(weight)
        if self.excitatory is not None and weight.shape[0] == weight.shape[1]:
            row = signs(weight.shape[1], self.excitatory).to(weight)
            sign = row.view(1, -1, *[1] * (weight.ndim - 2)).expand_as(weight).clone()
        return _Rewired(drawn(weight, self.density), sign, self)


class _Rewired(AbstractWeightRule):
    active: Tensor
    sign: Tensor
    draws: Tensor

    def __init__(self, active: Tensor, sign: Tensor, options: DeepR) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("active", active)
        self.register_buffer("sign", sign)
        # A seed of its own for each weight, and the number of steps so far.
        self.register_buffer("draws", torch.tensor([int(torch.randint(2**31, ())), 0]))

    def forward(self, raw: Tensor) -> Tensor:
        return torch.where(self.active, self.sign * raw.clamp_min(_FIRST), 0.0)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """θ from a weight, as the parametrisation begins."""
        return weight.abs()

    @torch.no_grad()
    def restart(self, raw: Tensor) -> None:
        raw.abs_()

    @torch.no_grad()
    def after_step(self, raw: Tensor) -> None:
        seed, steps = self.draws.tolist()
        self.draws[1] += 1
        generator = torch.Generator().manual_seed((seed << 32) + steps)
        if self.options.l1:
            raw.sub_(self.options.l1 * self.active)
        if self.options.noise:
            raw.add_(self.options.noise * torch.randn(raw.shape, generator=generator).to(raw) * self.active)
        lost = self.active & (raw <= 0.0)
        count = int(lost.sum())
        if not count:
            return
        # Those that were just lost may return: all that are dormant have the same chance.
        self.active &= ~lost
        dormant = (~self.active).flatten().nonzero().flatten()
        born = dormant[torch.randperm(len(dormant), generator=generator)[:count].to(dormant.device)]
        self.active.view(-1)[born] = True
        raw.view(-1)[born] = _FIRST
