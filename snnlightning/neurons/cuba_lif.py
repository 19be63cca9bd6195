"""CubaLIF: the current-based leaky integrate-and-fire neuron of the seed's Fig. 2."""

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor

from ..errors import ConfigurationError
from ..typing import Coefficients, State
from .abstract import AbstractSpikingNeuron, TimeConstant, one_of

__all__ = ["CubaLIF"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CubaLIF(AbstractSpikingNeuron):
    """S[n] = step(U[n] - v_th);  I[n+1] = a I[n] + W x[n] + V S[n];  U[n+1] = reset(b U[n] + g I[n]).

    a = exp(-dt / tau_syn), b = exp(-dt / tau_mem), g = 1. U takes the *old* current, so an input at step n moves the
    potential at n + 2. reset(u) = u - S[n] v_th (subtract) or u (1 - S[n]) (zero). The state is (i, v).

    Args:
        tau_mem_ms: membrane time constant in ms, > 0; a number, or one per neuron.
        tau_syn_ms: synaptic time constant in ms, > 0; a number, or one per neuron.
        ordering: which published discretisation; weights do not transfer between them.
            ``seed``: as above (Neftci, Mostafa & Zenke 2019, Fig. 2).
            ``stork``: the current is scaled, g = 1 - b (Zenke & Vogels 2021; usually with reset="zero").
            ``spytorch``: recurrent spikes travel one step longer, V S[n-1] (SpyTorch tutorial 4; with reset="zero").
            The state is then (i, v, z).

    Gradient: the step's is the surrogate's; the reset's is detached unless ``detach_reset=False``.
    Source: Neftci, Mostafa & Zenke 2019, eqs. of Fig. 2.

    Example:
        >>> CubaLIF(tau_mem_ms=10.0, tau_syn_ms=5.0).coefficients()
        {'decay_mem': 0.9048374180359595, 'decay_syn': 0.8187307530779818}
    """

    tau_mem_ms: TimeConstant = 10.0
    tau_syn_ms: TimeConstant = 5.0
    ordering: Literal["seed", "stork", "spytorch"] = "seed"

    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem_ms", "tau_syn_ms")

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "ordering", ("seed", "stork", "spytorch"))
        if self.ordering == "spytorch" and self.reset != "zero":
            raise ConfigurationError("ordering='spytorch' is published with reset='zero'; use it, or ordering='seed'.")

    @property
    def variables(self) -> tuple[str, ...]:
        return ("i", "v", "z") if self.ordering == "spytorch" else ("i", "v")

    def update(
        self, state: State, drive: Tensor, z: Tensor, w_rec_t: Tensor | None, coefficients: Coefficients
    ) -> State:
        i, v = state[:2]
        decay_mem, decay_syn = coefficients["decay_mem"], coefficients["decay_syn"]
        sent = state[2] if self.ordering == "spytorch" else z
        current = (1.0 - decay_mem) * i if self.ordering == "stork" else i
        i_next = decay_syn * i + self.arriving(drive, sent, w_rec_t)
        v_next = self.after_reset(decay_mem * v + current, z, coefficients)
        return (i_next, v_next, z) if self.ordering == "spytorch" else (i_next, v_next)
