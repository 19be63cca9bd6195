"""SigmoidEscape: a spike with a probability that is the logistic function of the potential."""

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from .abstract import AbstractEscape

__all__ = ["SigmoidEscape"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SigmoidEscape(AbstractEscape):
    """S ~ Bernoulli(p), p(x) = 1 / (1 + exp(-x / width)): one half at threshold.

    Args:
        width: > 0, in the unit of v; towards 0 it is the step. At rest (x = -v_th) a neuron fires with p = σ(-v_th / width):
            0.0067 per step for 0.2.
        surrogate: as :class:`AbstractEscape` has it.

    Gradient: p' = p (1 - p) / width, or that of ``surrogate``; d log-likelihood / dx = (S - p) / width.
    Source: Neftci, Mostafa & Zenke 2019, section III-A; Gardner, Sporea & Grüning 2015.

    Example:
        >>> firing = SigmoidEscape(width=0.2)
        >>> firing.probability(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([0.0067, 0.5000, 0.9933])
        >>> _ = torch.manual_seed(0)
        >>> firing(torch.zeros(10_000)).mean()
        tensor(0.4970)
    """

    width: float = 0.2

    def __post_init__(self) -> None:
        self._positive("width")

    def probability(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x / self.width)

    def log_likelihood(self, x: Tensor, spikes: Tensor) -> Tensor:
        """S log p + (1 - S) log(1 - p), elementwise; the same shape as x."""
        odds = x / self.width
        return spikes * odds - F.softplus(odds)
