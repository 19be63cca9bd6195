"""ALIF for the compiled loops: which threshold a spike subtracts, and the unit of the surrogate's argument, by form."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._fused import Fused, Recursion
from ._fused.recursion import ADAPTS_LATE, ARGUMENT_RELATIVE, THRESHOLD_CROSSED
from .alif import ALIF

__all__ = ["fused"]


def _recursion(neuron: ALIF) -> Recursion:
    scaled = neuron.form != "eprop"
    argument = neuron.argument
    flags = (
        THRESHOLD_CROSSED * scaled + ADAPTS_LATE * (neuron.form == "yin") + ARGUMENT_RELATIVE * (argument == "relative")
    )

    def rows(given: Mapping[str, Any]) -> tuple[Any, ...]:
        decay_mem, decay_adapt = given["decay_mem"], given["decay_adapt"]
        gains = (1.0 - decay_mem, 1.0 - decay_adapt) if scaled else (1.0, 1.0)
        v_th = given.get("v_th", neuron.v_th)
        return decay_mem, gains[0], decay_adapt, gains[1], given["beta"], v_th, v_th if argument == "baseline" else 1.0

    def shares(sums: Sequence[Any]) -> dict[str, Any]:
        decay_mem, gain, decay_adapt, rise, beta, v_th, unit = sums
        if scaled:
            decay_mem, decay_adapt = decay_mem - gain, decay_adapt - rise
        return {
            "decay_mem": decay_mem,
            "decay_adapt": decay_adapt,
            "beta": beta,
            "v_th": v_th + unit if argument == "baseline" else v_th,
        }

    return Recursion("alif", flags, "a", ("decay_mem", "decay_adapt", "beta", "v_th"), rows, shares)


fused = Fused(ALIF, _recursion)
