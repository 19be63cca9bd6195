"""AdLIF for the compiled loops: what drives the adaptation, and when it is felt, by form."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._fused import Fused, Recursion
from ._fused.recursion import ADAPTS_LATE, DRIVEN_BY_POTENTIAL
from .ad_lif import AdLIF

__all__ = ["fused"]


def _recursion(neuron: AdLIF) -> Recursion:
    plain = neuron.form == "radlif"
    flags = ADAPTS_LATE * (neuron.form == "euler_forward") + DRIVEN_BY_POTENTIAL * plain

    def rows(given: Mapping[str, Any]) -> tuple[Any, ...]:
        decay_mem, decay_adapt = given["decay_mem"], given["decay_adapt"]
        drawn = 1.0 if plain else (1.0 - decay_adapt) * neuron.q
        return decay_mem, 1.0 - decay_mem, decay_adapt, drawn, given["a"], given["b"], given.get("v_th", neuron.v_th)

    def shares(sums: Sequence[Any]) -> dict[str, Any]:
        decay_mem, gain, decay_adapt, drawn, a, b, v_th = sums
        if not plain:
            decay_adapt = decay_adapt - neuron.q * drawn
        return {"decay_mem": decay_mem - gain, "decay_adapt": decay_adapt, "a": a, "b": b, "v_th": v_th}

    return Recursion("adlif", flags, "w", ("decay_mem", "decay_adapt", "a", "b", "v_th"), rows, shares)


fused = Fused(AdLIF, _recursion)
