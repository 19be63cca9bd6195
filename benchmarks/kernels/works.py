"""What is timed: shapes and inputs that every candidate is given."""

import dataclasses

import torch
from torch import Tensor

__all__ = ["WORKS", "Work"]


@dataclasses.dataclass(frozen=True)
class Work:
    """A network and a batch.

    Args:
        inputs, hidden, classes: sizes; without classes the last hidden layer's mean over time is the logits.
        recurrent: whether hidden layers have recurrent weights.
        current: CubaLIF and CubaLI, or LIF.
        density: share of the inputs that are 1; None for normal numbers.
        gain, rec_gain: of the weights, so that a few per cent of the neurons are active.
        members: how many such networks, on the same batch.
        device: where the data are.
    """

    inputs: int
    hidden: tuple[int, ...]
    classes: int | None
    steps: int
    batch: int
    recurrent: bool
    current: bool
    density: float | None
    gain: float
    rec_gain: float = 0.3
    members: int = 1
    device: str = "cpu"

    def data(self) -> tuple[Tensor, Tensor]:
        """x [B, T, N] and labels."""
        generator = torch.Generator().manual_seed(1)
        shape = (self.batch, self.steps, self.inputs)
        if self.density is None:
            x = torch.randn(shape, generator=generator)
        else:
            x = (torch.rand(shape, generator=generator) < self.density).float()
        labels = torch.randint(self.classes or self.hidden[-1], (self.batch,), generator=generator)
        return x.to(self.device), labels.to(self.device)


def _w2(hidden: int, batch: int) -> Work:
    return Work(700, (hidden,), 20, 100, batch, recurrent=True, current=True, density=0.015, gain=0.8)


def _w1(features: int, density: float | None) -> Work:
    return Work(
        features,
        (features,),
        None,
        500,
        16,
        recurrent=False,
        current=False,
        density=density,
        gain=0.3 if density is None else 1.2,
    )


WORKS = {
    "W2 128x32": _w2(128, 32),
    "W2 256x32": _w2(256, 32),
    "W2 128x256": _w2(128, 256),
    "W2 256x256": _w2(256, 256),
    "W2 512x256": _w2(512, 256),
    "Wpop": dataclasses.replace(_w2(64, 32), members=16),
    "W3": Work(784, (800, 800), 10, 25, 128, recurrent=False, current=False, density=0.1, gain=0.8),
    "W1 512 dense": _w1(512, None),
    "W1 512 sparse": _w1(512, 0.05),
    "W1 4096 dense": _w1(4096, None),
    "W1 4096 sparse": _w1(4096, 0.05),
    "T 25": dataclasses.replace(_w2(128, 32), steps=25),
    "T 400": dataclasses.replace(_w2(128, 32), steps=400),
    "H 32": _w2(32, 32),
    "H 512": _w2(512, 32),
    "batch 4": _w2(128, 4),
    "batch 256": _w2(128, 256),
    "input 5 %": dataclasses.replace(_w2(128, 32), density=0.05, gain=0.45),
    "input 20 %": dataclasses.replace(_w2(128, 32), density=0.2, gain=0.22),
    "activity 20 %": dataclasses.replace(_w2(128, 32), gain=1.6),
}
"""T, H, batch, input, activity: W2 128x32 with one thing changed. W1: Linear(N, N) and LIF (Open Neuromorphic's shape); W2: 700 -> H recurrent -> 20; W3: 784-800-800-10;
Wpop: 16 networks 700 -> 64 recurrent -> 20."""
