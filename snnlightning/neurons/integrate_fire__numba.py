"""IF as a kernel: no current, b = 1."""

from torch import Tensor

from ..events import Events
from ..typing import Coefficients, SpikeFunction, State, Trace
from ._numba import layer, support
from .integrate_fire import IF

__all__ = ["run", "supports"]


def supports(neuron: IF, w_in: Tensor, spike: SpikeFunction | None) -> str | None:
    """None, or the reason why not."""
    return support.reason_against(neuron, IF, w_in, spike)


def run(
    neuron: IF,
    x: Tensor | Events,
    w_in: Tensor | None,
    w_rec: Tensor | None,
    bias: Tensor | None,
    state: State,
    spike: SpikeFunction | None,
    coefficients: Coefficients,
    potentials: bool,
) -> Trace:
    """As ``IF.run`` on the drive W x + bias."""
    dynamics = layer.Dynamics(leaky=False)
    return layer.run(neuron, dynamics, x, w_in, w_rec, bias, state, spike, coefficients, potentials)
