"""LI: a leaky integrator without threshold, the readout that belongs to the LIF."""

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor

from ..typing import Coefficients, State
from .abstract import AbstractIntegrator, TimeConstant, one_of

__all__ = ["LI"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LI(AbstractIntegrator):
    """Y[n+1] = b Y[n] + g W x[n], with b = exp(-dt / tau_mem); the output at n is Y[n], and Y[0] = 0.

    g = 1 in the seed's ordering and 1 - b in stork's. The state is (v,).

    Args:
        tau_mem_ms: time constant in ms, > 0; a number, or one per neuron; ``inf`` integrates without leak.
        ordering: ``seed`` or ``stork``, as for :class:`LIF`.

    Source: Neftci, Mostafa & Zenke 2019, the readout of SpyTorch without its synaptic current.

    Example:
        >>> LI(tau_mem_ms=20.0).spiking
        False
    """

    tau_mem_ms: TimeConstant = 10.0
    ordering: Literal["seed", "stork"] = "seed"

    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem_ms",)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "ordering", ("seed", "stork"))

    @property
    def state_names(self) -> tuple[str, ...]:
        return ("v",)

    def update(self, state: State, drive: Tensor, coefficients: Coefficients) -> State:
        (v,) = state
        decay_mem = coefficients["decay_mem"]
        current = (1.0 - decay_mem) * drive if self.ordering == "stork" else drive
        return (decay_mem * v + current,)
