"""SoftThreshold: a graded output in place of spikes, smooth enough that backpropagation is exact."""

import dataclasses
from typing import ClassVar

from torch import Tensor

from .abstract import AbstractFiring

__all__ = ["SoftThreshold"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftThreshold(AbstractFiring):
    """S = G(x), the integral of the gate g(x) = 3 / (4 width) (1 - (x / width)²) on |x| < width: from 0 to 1, 1/2 at threshold.

    Below v_th - width a neuron sends nothing, above v_th + width exactly 1; in between its output is graded, which makes this
    a baseline and no spiking network: what is sent costs multiplications. Use ``detach_reset=False``, so that the gradient is
    that of the model.

    Args:
        width: half of the active zone, > 0, in the unit of v; towards 0 it is the step.

    Gradient: exact, G' = g, continuous; 0 outside the active zone.
    Source: Neftci, Mostafa & Zenke 2019, section III-A, soft nonlinearities; Huh & Sejnowski 2018.
    differs: Huh & Sejnowski send g(v) dv/dt, which counts a crossing once however long v stays above; here S is what the step
    would be, so that the equations of every neuron stay as they are.

    Example:
        >>> import torch
        >>> SoftThreshold(width=0.5)(torch.tensor([-1.0, -0.25, 0.0, 0.25, 1.0]))
        tensor([0.0000, 0.1562, 0.5000, 0.8438, 1.0000])
    """

    width: float = 0.5

    binary: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._positive("width")

    def __call__(self, x: Tensor) -> Tensor:
        u = (x / self.width).clamp(-1.0, 1.0)
        return 0.5 + 0.25 * u * (3.0 - u * u)
