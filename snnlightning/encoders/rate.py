"""Rate code: the brighter, the more often."""

import dataclasses

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ._random import uniform
from .abstract import AbstractEncoder, in_range

__all__ = ["Rate"]


@dataclasses.dataclass(frozen=True)
class Rate(AbstractEncoder):
    """P(spike in a step) = x * max_probability, independently in every step.

    The draw is a pure function of (seed, number of the sample in its data set, step, channel), made by a counter-based
    generator; it touches no global generator and no state. Hence a data set encodes to the same spikes in one piece or
    in batches of any size, as long as each batch says the number of its first sample:
    ``encoder(x[a:b], first=a)`` equals ``encoder(x)[a:b]``, bit for bit and on every device. Encoding the same samples
    under other numbers gives fresh noise.

    Args:
        steps: number of time steps T, >= 1.
        max_probability: probability of a spike per step at x = 1, in (0, 1].
        seed: whole number in [0, 2**63).

    Raises:
        ConfigurationError: a parameter out of range.

    Source: the mixing function is SplitMix64 (Steele, Lea, Flood 2014, fig. 17).
    """

    max_probability: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range(self, "max_probability", 0.0, 1.0, "(0, 1]")
        in_range(self, "seed", 0, 2**63, "[0, 2**63)")
        if not isinstance(self.seed, int):
            raise ConfigurationError(f"Rate(seed={self.seed!r}): a whole number is expected.")

    def encode(self, x: Tensor, first: int) -> Tensor:
        """Bernoulli draws; sample b of the batch is sample ``first + b`` of the data set."""
        samples, channels = x.shape
        counter = torch.arange(samples * self.steps * channels, device=x.device).view(samples, self.steps, channels)
        drawn = uniform(counter + first * self.steps * channels, self.seed)
        return (drawn < (x * self.max_probability).unsqueeze(1)).float()
