"""CubaLI: a leaky integrator with a synaptic current, the readout of the seed."""

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor

from ..typing import Coefficients, State
from .abstract import AbstractIntegrator, TimeConstant, one_of

__all__ = ["CubaLI"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CubaLI(AbstractIntegrator):
    """F[n+1] = a F[n] + W x[n];  Y[n+1] = b Y[n] + g F[n]; the output at n is Y[n], and Y[0] = F[0] = 0.

    a = exp(-dt / tau_syn), b = exp(-dt / tau_mem); g = 1 in the seed's ordering and 1 - b in stork's. The state is (i, v).

    Args:
        tau_mem_ms: membrane time constant in ms, > 0; a number, or one per neuron.
        tau_syn_ms: synaptic time constant in ms, > 0; a number, or one per neuron.
        ordering: ``seed`` or ``stork``, as for :class:`CubaLIF`.

    Source: SpyTorch's readout; Neftci, Mostafa & Zenke 2019, section IV.

    Example:
        >>> CubaLI().state_names
        ('i', 'v')
    """

    tau_mem_ms: TimeConstant = 10.0
    tau_syn_ms: TimeConstant = 5.0
    ordering: Literal["seed", "stork"] = "seed"

    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem_ms", "tau_syn_ms")

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "ordering", ("seed", "stork"))

    @property
    def state_names(self) -> tuple[str, ...]:
        return ("i", "v")

    def update(self, state: State, drive: Tensor, coefficients: Coefficients) -> State:
        i, v = state
        decay_mem, decay_syn = coefficients["decay_mem"], coefficients["decay_syn"]
        current = (1.0 - decay_mem) * i if self.ordering == "stork" else i
        return (decay_syn * i + drive, decay_mem * v + current)
