"""CubaLIF as a kernel: a synaptic current, g and the delay of recurrent spikes as its ordering says."""

from torch import Tensor

from ..events import Events
from ..typing import Coefficients, SpikeFunction, State, Trace
from ._numba import layer, support
from .cuba_lif import CubaLIF

__all__ = ["run", "supports"]


def supports(neuron: CubaLIF, w_in: Tensor, spike: SpikeFunction | None) -> str | None:
    """None, or the reason why not."""
    return support.reason_against(neuron, CubaLIF, w_in, spike)


def run(
    neuron: CubaLIF,
    x: Tensor | Events,
    w_in: Tensor | None,
    w_rec: Tensor | None,
    bias: Tensor | None,
    state: State,
    spike: SpikeFunction | None,
    coefficients: Coefficients,
    potentials: bool,
) -> Trace:
    """As ``CubaLIF.run`` on the drive W x + bias."""
    dynamics = layer.Dynamics(current=True, delayed=neuron.ordering == "spytorch", scaled=neuron.ordering == "stork")
    return layer.run(neuron, dynamics, x, w_in, w_rec, bias, state, spike, coefficients, potentials)
