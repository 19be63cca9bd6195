"""Dialects: what a reader of NIR makes of its numbers when it turns differential equations into steps.

NIR says tau dv/dt = (v_leak - v) + r i and leaves the stepping to whoever reads it. Readers differ in four things, and a
:class:`Dialect` names them: how a decay per step is made of tau, how long a step is, what becomes of ``r`` and ``w_in``, and
how a spike resets. ``nir`` is the mathematics; the others are what frameworks do, read in their code (versions below).
"""

import dataclasses
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, unknown_name
from ..typing import Reset

__all__ = ["DIALECTS", "Dialect", "Gain", "leak", "named_dialect"]

Array = NDArray[np.float64]
Gain = Literal["r", "one", "leak"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dialect:
    """decay = exp(-step / tau) (exact) or 1 - step / tau (euler); input enters a step with the gain c.

    c = r (1 - decay) is what both integrations of NIR's equations give for an input that is constant during a step; some
    readers ignore ``r`` and take c = 1 ("one") or c = 1 - decay ("leak"). Where a reader's c is not ours, potentials are
    counted in another unit and the threshold is written in it: v' = v c / g, v_threshold' = v_th c / g.

    Args:
        name: how it is called.
        integration: how tau becomes a decay.
        step_s: the reader's step in seconds when it is fixed; None: the network's own ``dt_ms``.
        lif_gain: what becomes of ``r`` of LIF and LI nodes.
        cuba_gain: the same for ``r`` and ``w_in`` of CubaLIF and CubaLI nodes.
        if_gain: the same for ``r`` of IF and I nodes: c = r step ("r") or 1 ("one", and r = 1 is written).
        unit_r: whether r = 1 is written in LIF and LI nodes although c = 1.
        affine: whether weights without bias are written as Affine with a bias of zero.
        input_into_loop: whether its writers lead the input of a recurrent subgraph into w_rec and mean the neurons.
        reset: what its readers do at a spike, for graphs that carry no note of ours.
    """

    name: str
    integration: Literal["exact", "euler"] = "exact"
    step_s: float | None = None
    lif_gain: Gain = "r"
    cuba_gain: Gain = "r"
    if_gain: Literal["r", "one"] = "r"
    unit_r: bool = False
    affine: bool = False
    input_into_loop: bool = False
    reset: Reset = "zero"

    def step(self, dt_ms: float) -> float:
        """Seconds of one step of a network with this ``dt_ms``."""
        return dt_ms / 1000.0 if self.step_s is None else self.step_s

    def tau_s(self, tau_ms: Array, dt_ms: float) -> Array:
        """tau in seconds that gives a reader the decay exp(-dt / tau_ms).

        Example:
            >>> float(DIALECTS["nir"].tau_s(np.array(20.0), dt_ms=1.0))
            0.02
            >>> float(DIALECTS["norse"].tau_s(np.array(1.0 / math.log(2.0)), dt_ms=1.0))  # decay 1/2 = 1 - 1 ms / tau
            0.002
        """
        if self.integration == "euler":
            return self.step(dt_ms) / leak(tau_ms, dt_ms)
        return tau_ms / 1000.0 if self.step_s is None else tau_ms / dt_ms * self.step_s

    def tau_ms(self, tau_s: Array, dt_ms: float) -> Array:
        """The way back; NaN where forward Euler at this step has no decay between 0 and 1."""
        if self.integration == "euler":
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(tau_s > self.step(dt_ms), -dt_ms / np.log1p(-self.step(dt_ms) / tau_s), np.nan)
        return tau_s * 1000.0 if self.step_s is None else tau_s / self.step_s * dt_ms


DIALECTS: dict[str, Dialect] = {
    record.name: record
    for record in (
        Dialect(name="nir"),
        # NIR's equations stepped by forward Euler.
        Dialect(name="euler", integration="euler"),
        # Norse 1.1.0: LIFBox cells; a LIF node's r is ignored with a warning, a CubaLIF node's r and w_in multiply.
        Dialect(name="norse", integration="euler", lif_gain="leak", if_gain="one"),
        # sinabs 3.1.3: tau counts steps, r is ignored (and must be 1 in LI), Linear nodes are unknown.
        Dialect(name="sinabs", step_s=1.0, lif_gain="one", if_gain="one", unit_r=True, affine=True, reset="subtract"),
        # snnTorch 1.0.0: a step is 0.1 ms whatever the network's is; r = tau / step is asserted in most places.
        Dialect(name="snntorch", integration="euler", step_s=1e-4, lif_gain="one", cuba_gain="one", if_gain="one"),
        # Spyx 1.0.0: the step is an argument; r and w_in are ignored.
        Dialect(
            name="spyx",
            integration="euler",
            lif_gain="one",
            cuba_gain="one",
            if_gain="one",
            input_into_loop=True,
            reset="subtract",
        ),
    )
}
"""By name; the versions are those whose code was read, and ``benchmarks/interop.py`` runs them."""


def named_dialect(name: "str | Dialect") -> Dialect:
    """A dialect by name, or the record itself.

    Raises:
        UnknownNameError: no such dialect.
        ConfigurationError: a record with a step that is not a finite number above 0.
    """
    if isinstance(name, Dialect):
        if name.step_s is not None and not 0.0 < name.step_s < math.inf:
            raise ConfigurationError(
                f"dialect {name.name!r} has a step of {name.step_s} s; a number above 0 is expected."
            )
        return name
    if name not in DIALECTS:
        raise unknown_name("NIR dialect", name, DIALECTS)
    return DIALECTS[name]


def leak(tau_ms: Array, dt_ms: float) -> Array:
    """1 - exp(-dt / tau) without cancellation; 0 for tau = inf."""
    lost: Array = -np.expm1(-dt_ms / tau_ms)
    return lost
