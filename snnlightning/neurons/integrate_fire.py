"""IF: integrate and fire, no leak."""

import dataclasses

from torch import Tensor

from ..typing import Coefficients, State
from .abstract import AbstractSpikingNeuron

__all__ = ["IF"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class IF(AbstractSpikingNeuron):
    """S[n] = step(U[n] - v_th);  U[n+1] = reset(U[n] + W x[n] + V S[n]).

    The LIF with an infinite time constant; the state is (v,).

    Gradient: the step's is the surrogate's; the reset's is detached unless ``detach_reset=False``.
    Source: Neftci, Mostafa & Zenke 2019, Fig. 2, without leak and synaptic current.

    Example:
        >>> IF(v_th=2.0).state_names
        ('v',)
    """

    @property
    def variables(self) -> tuple[str, ...]:
        return ("v",)

    def update(
        self, state: State, drive: Tensor, z: Tensor, w_rec_t: Tensor | None, coefficients: Coefficients
    ) -> State:
        (v,) = state
        return (self.after_reset(v + self.arriving(drive, z, w_rec_t), z, coefficients),)
