"""LIF as a kernel: no current, g as its ordering says."""

from torch import Tensor

from ..events import Events
from ..typing import Coefficients, SpikeFunction, State, Trace
from ._numba import layer, support
from .lif import LIF

__all__ = ["run", "supports"]


def supports(neuron: LIF, w_in: Tensor, spike: SpikeFunction | None) -> str | None:
    """None, or the reason why not."""
    return support.reason_against(neuron, LIF, w_in, spike)


def run(
    neuron: LIF,
    x: Tensor | Events,
    w_in: Tensor | None,
    w_rec: Tensor | None,
    bias: Tensor | None,
    state: State,
    spike: SpikeFunction | None,
    coefficients: Coefficients,
    potentials: bool,
) -> Trace:
    """As ``LIF.run`` on the drive W x + bias."""
    dynamics = layer.Dynamics(scaled=neuron.ordering == "stork")
    return layer.run(neuron, dynamics, x, w_in, w_rec, bias, state, spike, coefficients, potentials)
