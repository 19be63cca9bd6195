"""Random numbers as a pure function of a counter and a seed; no generator, no state."""

import torch
from torch import Tensor

__all__ = ["uniform"]


def uniform(counter: Tensor, seed: int) -> Tensor:
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
