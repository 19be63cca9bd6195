"""LIF: leaky integrate and fire; the input is a current that lasts one step."""

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor

from ..typing import Coefficients, State
from .abstract import AbstractSpikingNeuron, TimeConstant, one_of

__all__ = ["LIF"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LIF(AbstractSpikingNeuron):
    """S[n] = step(U[n] - v_th);  U[n+1] = reset(b U[n] + g (W x[n] + V S[n])).

    b = exp(-dt / tau_mem); g = 1 in the seed's ordering and 1 - b in stork's. The state is (v,).

    Args:
        tau_mem_ms: membrane time constant in ms, > 0; a number, or one per neuron.
        ordering: ``seed`` (g = 1, Neftci, Mostafa & Zenke 2019) or ``stork`` (g = 1 - b: a constant input I0 drives the
            potential to I0; Zenke & Vogels 2021). Weights do not transfer between the two.

    Gradient: the step's is the surrogate's; the reset's is detached unless ``detach_reset=False``.
    Source: Neftci, Mostafa & Zenke 2019, Fig. 2, without the synaptic current.

    Example:
        >>> LIF(tau_mem_ms=10.0).coefficients()
        {'decay_mem': 0.9048374180359595}
    """

    tau_mem_ms: TimeConstant = 10.0
    ordering: Literal["seed", "stork"] = "seed"

    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem_ms",)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "ordering", ("seed", "stork"))

    @property
    def variables(self) -> tuple[str, ...]:
        return ("v",)

    def update(
        self, state: State, drive: Tensor, z: Tensor, w_rec_t: Tensor | None, coefficients: Coefficients
    ) -> State:
        (v,) = state
        decay_mem = coefficients["decay_mem"]
        current = self.arriving(drive, z, w_rec_t)
        if self.ordering == "stork":
            current = (1.0 - decay_mem) * current
        return (self.after_reset(decay_mem * v + current, z, coefficients),)
