"""CubaLI as a kernel: a synaptic current, no threshold."""

from torch import Tensor

from ..events import Events
from ..typing import Coefficients, SpikeFunction, State, Trace
from ._numba import layer, support
from .cuba_li import CubaLI

__all__ = ["run", "supports"]


def supports(neuron: CubaLI, w_in: Tensor, spike: SpikeFunction | None) -> str | None:
    """None, or the reason why not."""
    return support.reason_against(neuron, CubaLI, w_in, spike)


def run(
    neuron: CubaLI,
    x: Tensor | Events,
    w_in: Tensor | None,
    w_rec: Tensor | None,
    bias: Tensor | None,
    state: State,
    spike: SpikeFunction | None,
    coefficients: Coefficients,
    potentials: bool,
) -> Trace:
    """As ``CubaLI.run`` on the drive W x + bias."""
    dynamics = layer.Dynamics(current=True, scaled=neuron.ordering == "stork")
    return layer.run(neuron, dynamics, x, w_in, w_rec, bias, state, spike, coefficients, potentials)
