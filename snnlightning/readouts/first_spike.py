"""FirstSpike: the class that spikes first."""

import dataclasses
from typing import ClassVar

from torch import Tensor

from ..units import positive
from .abstract import AbstractReadout

__all__ = ["FirstSpike"]


@dataclasses.dataclass(frozen=True)
class FirstSpike(AbstractReadout):
    """logits_c = -t_c / tau_steps, t_c = sum_n prod_{m <= n} (1 - S_c[m]): the step of the first spike, T where there is none.

    For a last layer that spikes. With cross-entropy, softmax(-t / tau) is the probability of the classes.

    Args:
        tau_steps: how many steps earlier multiply the odds by e, > 0.

    Gradient: exact through the product. A spike in a step before the first one would bring t forward to it; without the first one it
    would be the second that counts; later spikes get none. Values outside [0, 1] count as 0 or 1.
    Source: the time-to-first-spike decision of Mostafa 2017 and Göltz et al. 2021, for spikes on a grid of steps.

    Example:
        >>> import torch
        >>> FirstSpike(tau_steps=2.0)(torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]]))
        tensor([[-0.5000, -0.0000, -1.5000]])
    """

    reads_spikes: ClassVar[bool] = True

    tau_steps: float = 5.0

    def reduce(self, y: Tensor) -> Tensor:
        return -(1.0 - y.clamp(0.0, 1.0)).cumprod(dim=1).sum(dim=1) / self.tau_steps

    def __post_init__(self) -> None:
        positive("FirstSpike.tau_steps", self.tau_steps)
