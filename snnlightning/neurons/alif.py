"""ALIF: leaky integrate and fire with a threshold that rises with every spike and decays."""

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor

from ..distributions import AbstractDistribution
from ..errors import ConfigurationError
from ..typing import Coefficients, State
from .abstract import AbstractSpikingNeuron, Gain, TimeConstant, one_of

__all__ = ["ALIF"]

_PUBLISHED = {"lsnn": "relative", "yin": "difference", "eprop": "baseline"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ALIF(AbstractSpikingNeuron):
    """B[n] = v_th + beta A[n];  S[n] = step(U[n] - B[n]);  A[n+1] = r A[n] + k S[n];  U[n+1] = b U[n] + g D[n] - S[n] R[n].

    b = exp(-dt / tau_mem), r = exp(-dt / tau_adapt), D[n] = W x[n] + V S[n]. What k, g and R are is said by ``form``; with
    ``reset="zero"`` the last equation is U[n+1] = (b U[n] + g D[n]) (1 - S[n]). The state is (a, v).

    Args:
        tau_mem_ms: membrane time constant in ms, > 0; a number, or one per neuron.
        tau_adapt_ms: time constant of the adaptation in ms, > 0; a number, or one per neuron.
        beta: how much A raises the threshold, in the unit of v_th, >= 0; a number, or one per neuron. Published are 1.6 to 1.8
            with v_th of 0.01 to 0.03 (``lsnn``, ``yin``).
        form: which published model; weights do not transfer between ``eprop`` and the others.
            ``lsnn``: k = 1 - r, g = 1 - b, R = B[n], the threshold that was crossed (Bellec et al. 2018).
            ``yin``: k = 1 - r, g = 1 - b, R = B[n+1], the threshold that this spike has raised (Yin, Corradi & Bohté 2021).
            ``eprop``: k = 1, g = 1, R = v_th (Bellec et al. 2020).
        surrogate_argument: what the spike function is given, and so in what unit its width is: ``difference`` U - B;
            ``relative`` (U - B) / B, whose derivative by U is h / B; ``baseline`` (U - B) / v_th; ``published`` takes
            ``relative`` for ``lsnn``, ``difference`` for ``yin``, ``baseline`` for ``eprop``. Spikes are the same.

    Gradient: the step's is the surrogate's, by U and by B. "Detached" (``detach_reset``) means that S[n] is a constant in the
    reset; R is not, and neither is S[n] in the equation of A.
    Source: Bellec et al. 2018, arXiv:1803.09574, section 2; Yin, Corradi & Bohté 2021; Bellec et al. 2020, eqs. 6, 8, 11.

    Example:
        >>> {name: round(value, 4) for name, value in ALIF(tau_mem_ms=20.0, tau_adapt_ms=200.0).coefficients().items()}
        {'decay_mem': 0.9512, 'decay_adapt': 0.995, 'beta': 1.8}
    """

    tau_mem_ms: TimeConstant = 20.0
    tau_adapt_ms: TimeConstant = 200.0
    beta: Gain = 1.8
    form: Literal["lsnn", "yin", "eprop"] = "lsnn"
    surrogate_argument: Literal["published", "difference", "relative", "baseline"] = "published"

    time_constants: ClassVar[tuple[str, ...]] = ("tau_mem_ms", "tau_adapt_ms")
    gains: ClassVar[tuple[str, ...]] = ("beta",)

    def __post_init__(self) -> None:
        super().__post_init__()
        beta = self.beta
        least = (
            beta.support[0]
            if isinstance(beta, AbstractDistribution)
            else min(beta if isinstance(beta, tuple) else (beta,))
        )
        if least < 0.0:
            raise ConfigurationError(f"ALIF.beta is {least}; it must not be negative: the threshold stays above 0.")
        one_of(self, "form", ("lsnn", "yin", "eprop"))
        one_of(self, "surrogate_argument", ("published", "difference", "relative", "baseline"))

    @property
    def variables(self) -> tuple[str, ...]:
        return ("a", "v")

    @property
    def argument(self) -> str:
        """``surrogate_argument``, with the published one by its name."""
        return _PUBLISHED[self.form] if self.surrogate_argument == "published" else self.surrogate_argument

    def threshold(self, state: State, coefficients: Coefficients) -> Tensor:
        return self.base_threshold(coefficients) + coefficients["beta"] * state[0]

    def above_threshold(self, state: State, coefficients: Coefficients) -> Tensor:
        threshold = self.threshold(state, coefficients)
        difference = state[1] - threshold
        if self.argument == "difference":
            return difference
        return difference / (threshold if self.argument == "relative" else self.base_threshold(coefficients))

    def update(
        self, state: State, drive: Tensor, z: Tensor, w_rec_t: Tensor | None, coefficients: Coefficients
    ) -> State:
        a, v = state
        decay_mem, decay_adapt = coefficients["decay_mem"], coefficients["decay_adapt"]
        current = self.arriving(drive, z, w_rec_t)
        if self.form == "eprop":
            a_next, v_next = decay_adapt * a + z, decay_mem * v + current
        else:
            a_next = decay_adapt * a + (1.0 - decay_adapt) * z
            v_next = decay_mem * v + (1.0 - decay_mem) * current
        if self.form == "eprop" or self.reset == "zero":
            return a_next, self.after_reset(v_next, z, coefficients)
        crossed = self.threshold((a_next, v) if self.form == "yin" else state, coefficients)
        return a_next, v_next - (z.detach() if self.detach_reset else z) * crossed
