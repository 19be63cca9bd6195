"""Rate code: the brighter, the more often."""

import dataclasses

import torch
from torch import Tensor

from ..errors import ConfigurationError
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
        uniform = _uniform(counter + first * self.steps * channels, self.seed)
        return (uniform < (x * self.max_probability).unsqueeze(1)).float()


def _uniform(counter: Tensor, seed: int) -> Tensor:
    """Independent uniform numbers k / 2**24 in [0, 1), one for each (counter, seed): float32, exact."""
    key = _mix(torch.tensor(seed, device=counter.device))
    return _shifted(_mix(counter * _signed(0x9E3779B97F4A7C15) + key), 40).float() * 2.0**-24


def _mix(z: Tensor) -> Tensor:
    """The finaliser of SplitMix64 on int64, which wraps around as unsigned integers do."""
    z = (z ^ _shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shifted(z, 27)) * _signed(0x94D049BB133111EB)
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Right shift that fills with zeros; ``>>`` on int64 fills with the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    """A 64-bit pattern as the int64 that carries it."""
    return word - (1 << 64) if word >= 1 << 63 else word
