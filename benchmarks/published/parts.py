"""What published experiments need and the package does not offer: controls, and the tutorials' own detours."""

import dataclasses
import math
from typing import Any, Self

import torch
from torch import Tensor, nn

from snnlightning.data import SpikingDataModule, Splits
from snnlightning.data.loading import EventDataset
from snnlightning.surrogates import AbstractSurrogate

__all__ = ["Constant", "NoGradient", "OneMoreStep", "RandomSpikes", "Scaled", "TactileEncoder"]


@dataclasses.dataclass(frozen=True)
class Constant(AbstractSurrogate):
    """h(x) = level everywhere: a gradient that does not know where the threshold is."""

    level: float = 1.0

    @property
    def height(self) -> float:
        return self.level

    @property
    def width(self) -> float:
        return math.inf

    @property
    def area(self) -> float:
        return math.inf

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls(height)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.level)

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + self.level * x


@dataclasses.dataclass(frozen=True)
class NoGradient(AbstractSurrogate):
    """h(x) = 0, the step's true derivative almost everywhere: nothing below the readout is trained."""

    @property
    def height(self) -> float:
        return 0.0

    @property
    def width(self) -> float:
        return 0.0

    @property
    def area(self) -> float:
        return 0.0

    @classmethod
    def from_height_width(cls, height: float, width: float) -> Self:
        return cls()

    def derivative(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def soft(self, x: Tensor) -> Tensor:
        return torch.full_like(x, 0.5)


class OneMoreStep(nn.Module):
    """[B, T, N] -> [B, T + 1, N] with silence at the end: SpyTorch keeps Y[0] ... Y[T], the package Y[0] ... Y[T - 1]."""

    keeps_spikes = True

    def forward(self, spikes: Tensor) -> Tensor:
        return nn.functional.pad(spikes, (0, 0, 0, 1))


class Scaled(nn.Module):
    """w -> factor w: the layer calculates with the product, the optimizer sees w."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        return self.factor * weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        # What an initializer wrote stays the trained weight: the published one is drawn before the factor.
        return weight


class TactileEncoder(nn.Module):
    """Tutorial 5's input layer: currents gain (x + bias) drive spiking neurons, ``copies`` for each channel.

    S[n] = step(U[n] - 1);  U[n+1] = (b U[n] + (1 - b) gain (x[n] + bias)) (1 - S[n-1]), with gain and bias trained. The
    reset comes one step late, because the tutorial's loop takes the spikes of the step before.

    Args:
        channels: C of x [B, T, C].
        copies: neurons for each channel; the output is [B, T, C copies], copy after copy.
        decay: b.
        surrogate: derivative of the step.
    """

    keeps_spikes = True

    def __init__(self, channels: int, copies: int, decay: Any, surrogate: AbstractSurrogate) -> None:
        super().__init__()
        self.copies, self.decay, self.surrogate = copies, float(decay), surrogate
        self.gain = nn.Parameter(torch.randn(channels * copies))
        self.bias = nn.Parameter(torch.randn(channels * copies))

    def forward(self, x: Tensor) -> Tensor:
        current = (1.0 - self.decay) * self.gain * (x.to(self.gain.dtype).tile((self.copies,)) + self.bias)
        u = before = torch.zeros_like(current[:, 0])
        spikes = []
        for drive in current.unbind(1):
            z = self.surrogate(u - 1.0)
            spikes.append(z)
            u = (self.decay * u + drive) * (1.0 - before)
            before = z.detach()
        return torch.stack(spikes, dim=1)


class RandomSpikes(SpikingDataModule):
    """Tutorial 1's task: Poisson trains with random labels, to be learned by heart; training set and test set are one.

    Args:
        samples, channels, steps: sizes.
        rate_hz: of every channel, with steps of 1 ms.
        seed: of trains, labels and the order in training.
    """

    def __init__(
        self, samples: int = 256, channels: int = 100, steps: int = 200, rate_hz: float = 5.0, seed: int = 0
    ) -> None:
        super().__init__(batch_size=samples, seed=seed, dt_ms=1.0, num_workers=0)
        self.save_hyperparameters()
        self._shape, self._probability = (samples, steps, channels), 1e-3 * rate_hz

    def load(self) -> Splits:
        generator = torch.Generator().manual_seed(self.seed)
        spikes = torch.rand(self._shape, generator=generator) < self._probability
        labels = torch.randint(2, self._shape[:1], generator=generator)
        both = EventDataset.from_dense(spikes, labels)
        return Splits(both, both, both, num_classes=2)
