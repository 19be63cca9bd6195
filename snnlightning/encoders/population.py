"""Population code: each input lights up the neurons whose preferred value it is near."""

import dataclasses
import math

import torch
from torch import Tensor

from ..errors import ConfigurationError
from .abstract import AbstractEncoder, in_range, scatter_spikes

__all__ = ["Population"]


@dataclasses.dataclass(frozen=True)
class Population(AbstractEncoder):
    """g_i = exp(-(x - mu_i)² / (2 sigma²)), one spike of neuron i in step floor((1 - g_i) T) if g_i > cut; none else.

    mu_i = i / (neurons - 1), i = 0 ... neurons - 1; sigma = 1 / (overlap (neurons - 1)). N inputs become N * neurons channels,
    those of an input beside each other.

    Args:
        steps: number of time steps T, >= 1.
        neurons: per input, a whole number >= 2.
        overlap: how narrow fields are: sigma is the distance of the centres over it, > 0.
        cut: activation at and below which nothing fires, in [0, 1).

    Raises:
        ConfigurationError: a parameter out of range.

    Source: Bohte, Kok & La Poutré 2002, overlap 1.5, cut 0.1. Differs: the centres span [0, 1], there they reach beyond.

    Example:
        >>> Population(steps=10, neurons=3)(torch.tensor([[0.5, 0.0]])).argmax(dim=1)  # first channels: the middle one at once
        tensor([[6, 0, 6, 0, 6, 0]])
    """

    neurons: int = 8
    overlap: float = 1.5
    cut: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.neurons, bool) or not isinstance(self.neurons, int) or self.neurons < 2:
            raise ConfigurationError(f"Population(neurons={self.neurons!r}): a whole number of at least 2 is expected.")
        in_range(self, "overlap", 0.0, math.inf, "(0, inf)")
        in_range(self, "cut", 0.0, 1.0, "[0, 1)")

    def encode(self, x: Tensor, first: int) -> Tensor:
        """One spike per neuron that is active enough."""
        centres = torch.linspace(0.0, 1.0, self.neurons, dtype=torch.float64, device=x.device)
        activation = torch.exp(
            -0.5 * ((x.double().unsqueeze(-1) - centres) * self.overlap * (self.neurons - 1)).square()
        )
        bins = ((1.0 - activation) * self.steps).long()
        return scatter_spikes(torch.where(activation > self.cut, bins, -1).flatten(1), self.steps)
