"""AdLIF: leaky integrate and fire with an adaptation current that its potential and its spikes drive."""

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor

from ..typing import Coefficients, Reset, State
from ..units import positive
from .abstract import AbstractSpikingNeuron, Gain, LearnTau, TimeConstant, one_of

__all__ = ["AdLIF"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdLIF(AbstractSpikingNeuron):
    """S[n] = step(U[n] - v_th);  u = reset(U[n]);  W' = r W + k (a y + b S[n]);  U[n+1] = c u + (1 - c) (D[n] - w).

    c = exp(-dt / tau_mem), r = exp(-dt / tau_adapt), D[n] = W x[n] + V S[n], reset(U) = U - S v_th (subtract) or U (1 - S)
    (zero): the reset acts before the input, which is not lost when the neuron spikes. The state is (w, v).

    Args:
        tau_mem_ms: membrane time constant in ms, > 0; a number, or one per neuron.
        tau_adapt_ms: time constant of the adaptation current in ms, > 0; a number, or one per neuron.
        a: how strongly the potential drives the adaptation; a number, or one per neuron.
        b: how strongly a spike does; a number, or one per neuron.
        q: factor on a and b, > 0, not in ``radlif``.
        form: which published discretisation. Read at U[n]:
            ``symplectic``: w = W' (the new one), y = u, k = q (1 - r). Its complex eigenvalues have the modulus √(c r)
            whatever a is, so it oscillates and does not diverge (Baronig et al. 2025, SE-adLIF).
            ``euler_forward``: w = W (the old one), y = u, k = q (1 - r). Diverges where c r + q a (1 - c) (1 - r) > 1.
            ``radlif``: w = W', y = U[n] (before the reset), k = 1 (Bittar & Garner 2022; with reset="subtract", and a in
            [-1, 1]).
        reset: ``zero`` is what Baronig et al. use, ``subtract`` what Bittar & Garner use.
        learn_gains: whether a layer trains a and b: not at all, one per layer, or one per neuron.

    Gradient: the step's is the surrogate's; S[n] in the reset is a constant unless ``detach_reset=False``, S[n] in the equation
    of W never is.
    Source: Baronig, Ferrand, Sabathiel & Legenstein 2025, arXiv:2408.07517; Bittar & Garner 2022, eqs. 10-12.

    Example:
        >>> AdLIF(a=0.5, b=1.0).state_names
        ('w', 'v')
    """

    tau_mem_ms: TimeConstant = 15.0
    tau_adapt_ms: TimeConstant = 180.0
    a: Gain = 0.5
    b: Gain = 1.0
    q: float = 120.0
    form: Literal["symplectic", "euler_forward", "radlif"] = "symplectic"
    reset: Reset = "zero"
    learn_gains: LearnTau = "none"

    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem_ms", "tau_adapt_ms")
    gains: ClassVar[tuple[str, ...]] = ("a", "b")

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("AdLIF.q", self.q)
        one_of(self, "form", ("symplectic", "euler_forward", "radlif"))
        one_of(self, "learn_gains", ("none", "shared", "per_neuron"))
        self._one_for_all("learn_gains", self.gains, "number")

    @property
    def variables(self) -> tuple[str, ...]:
        return ("w", "v")

    def learning(self, name: str) -> LearnTau:
        return self.learn_gains if name in self.gains else super().learning(name)

    def update(
        self, state: State, drive: Tensor, z: Tensor, w_rec_t: Tensor | None, coefficients: Coefficients
    ) -> State:
        w, v = state
        decay_mem, decay_adapt = coefficients["decay_mem"], coefficients["decay_adapt"]
        u = self.after_reset(v, z, coefficients)
        if self.form == "radlif":
            w_next = decay_adapt * w + (coefficients["a"] * v + coefficients["b"] * z)
        else:
            driven = coefficients["a"] * u + coefficients["b"] * z
            w_next = decay_adapt * w + (1.0 - decay_adapt) * self.q * driven
        felt = w if self.form == "euler_forward" else w_next
        return w_next, decay_mem * u + (1.0 - decay_mem) * (self.arriving(drive, z, w_rec_t) - felt)
