"""What every neuron is: a frozen record of parameters, one update equation, and the loop over time around it.

The loop lives here once; a neuron's file holds its equation. All variables start at zero unless a state is passed in,
T inputs give T outputs, and output n is read from the variables *before* the update with input n (the seed's Fig. 2:
S[n] from U[n], U[0] = I[0] = 0). The state that comes out is the one that output T would be read from, so running T1 and
then T2 steps equals running T1 + T2.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..typing import Coefficients, Reset, SpikeFunction, State, Trace
from ..units import decay_from_tau, positive

__all__ = ["AbstractIntegrator", "AbstractNeuron", "AbstractSpikingNeuron", "LearnTau", "TimeConstant"]

TimeConstant = float | Sequence[float]
LearnTau = Literal["none", "shared", "per_neuron"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractNeuron(abc.ABC):
    """Parameters that all neurons share.

    Args:
        dt_ms: time step in ms, > 0.
        learn_tau: whether a layer trains the time constants: not at all, one per layer, or one per neuron. They are
            trained as log(tau), so that tau stays positive and every decay stays in (0, 1).
    """

    dt_ms: float = 1.0
    learn_tau: LearnTau = "none"

    spiking: ClassVar[bool]
    time_constants: ClassVar[tuple[str, ...]] = ()
    """Names of the fields ``tau_*_ms`` that this neuron has."""

    def __post_init__(self) -> None:
        if not math.isfinite(positive(f"{type(self).__name__}.dt_ms", self.dt_ms)):
            raise ConfigurationError(f"{type(self).__name__}.dt_ms is {self.dt_ms}; a finite time step is expected.")
        for name in self.time_constants:
            tau = _time_constant(f"{type(self).__name__}.{name}", getattr(self, name))
            object.__setattr__(self, name, tau)
        one_of(self, "learn_tau", ("none", "shared", "per_neuron"))
        if self.learn_tau != "none" and not self.time_constants:
            raise ConfigurationError(f"{type(self).__name__} has no time constant to learn; use learn_tau='none'.")
        if self.learn_tau == "shared" and any(isinstance(getattr(self, name), tuple) for name in self.time_constants):
            raise ConfigurationError(
                "learn_tau='shared' trains one time constant for the layer, and a list of them was given; "
                "use learn_tau='per_neuron'."
            )

    @property
    @abc.abstractmethod
    def state_names(self) -> tuple[str, ...]:
        """The variables a state consists of, in order; each is [B, N]."""

    @abc.abstractmethod
    def run(
        self,
        drive: Tensor,
        w_rec: Tensor | None,
        state: State,
        spike: SpikeFunction | None,
        coefficients: Coefficients,
        potentials: bool,
    ) -> Trace:
        """The loop over time; called by :func:`snnlightning.scan.scan`, which checks the arguments."""

    def coefficients(self, taus_ms: Mapping[str, Tensor] | None = None) -> dict[str, float | Tensor]:
        """Decays per step, ``decay_x = exp(-dt / tau_x)``, by name.

        Args:
            taus_ms: time constants that replace the record's own, by field name (``tau_mem_ms``), as tensors in ms of
                shape [] or [N]; gradients flow through them.

        Returns:
            ``{"decay_mem": ..., ...}``: a float where the record has a number, a float64 tensor [N] where it has a list.
        """
        decays: dict[str, float | Tensor] = {}
        for name in self.time_constants:
            tau = (taus_ms or {}).get(name, getattr(self, name))
            key = "decay_" + name.removeprefix("tau_").removesuffix("_ms")
            if isinstance(tau, Tensor):
                decays[key] = torch.exp(-self.dt_ms / tau)
            elif isinstance(tau, tuple):
                decays[key] = torch.tensor([decay_from_tau(t, self.dt_ms) for t in tau], dtype=torch.float64)
            else:
                decays[key] = decay_from_tau(tau, self.dt_ms)
        return decays


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractSpikingNeuron(AbstractNeuron):
    """Parameters that all neurons with a threshold share.

    Args:
        v_th: threshold, > 0; a neuron spikes where v > v_th, strictly.
        reset: what a spike does to the potential: subtract v_th, or set it to zero.
        detach_reset: whether the backward pass ignores the reset. Detached by default: with a large surrogate the
            attached reset makes the threshold repelling (Zenke & Vogels 2021).
        detach_recurrent: whether the backward pass ignores spikes that travel through w_rec.
    """

    v_th: float = 1.0
    reset: Reset = "subtract"
    detach_reset: bool = True
    detach_recurrent: bool = False

    spiking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(positive(f"{type(self).__name__}.v_th", self.v_th)):
            raise ConfigurationError(f"{type(self).__name__}.v_th is {self.v_th}; a finite threshold is expected.")
        one_of(self, "reset", ("subtract", "zero"))

    @abc.abstractmethod
    def update(
        self, state: State, drive: Tensor, z: Tensor, w_rec_t: Tensor | None, coefficients: Coefficients
    ) -> State:
        """State n + 1 from state n, the input W x[n] and the spikes z[n] that state n gave."""

    def run(
        self,
        drive: Tensor,
        w_rec: Tensor | None,
        state: State,
        spike: SpikeFunction | None,
        coefficients: Coefficients,
        potentials: bool,
    ) -> Trace:
        assert spike is not None
        w_rec_t = None if w_rec is None else w_rec.mT
        at = self.state_names.index("v")
        spikes, membranes = [], []
        for d in drive.unbind(-2):
            v = state[at]
            z = spike(v - self.v_th)
            state = self.update(state, d, z, w_rec_t, coefficients)
            spikes.append(z)
            membranes.append(v)
        return Trace(_stack(spikes, drive), state, _stack(membranes, drive) if potentials else None)

    def arriving(self, drive: Tensor, z: Tensor, w_rec_t: Tensor | None) -> Tensor:
        """W x + V z, the recurrent term detached when asked."""
        if w_rec_t is None:
            return drive
        return drive + (z.detach() if self.detach_recurrent else z) @ w_rec_t

    def after_reset(self, v: Tensor, z: Tensor) -> Tensor:
        """v - z v_th (subtract) or v (1 - z) (zero), z detached when asked."""
        z = z.detach() if self.detach_reset else z
        return v - z * self.v_th if self.reset == "subtract" else v * (1.0 - z)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractIntegrator(AbstractNeuron):
    """A neuron without threshold, as readouts use it: its output is its potential."""

    spiking: ClassVar[bool] = False

    @abc.abstractmethod
    def update(self, state: State, drive: Tensor, coefficients: Coefficients) -> State:
        """State n + 1 from state n and the input W x[n]."""

    def run(
        self,
        drive: Tensor,
        w_rec: Tensor | None,
        state: State,
        spike: SpikeFunction | None,
        coefficients: Coefficients,
        potentials: bool,
    ) -> Trace:
        assert w_rec is None
        at = self.state_names.index("v")
        membranes = []
        for d in drive.unbind(-2):
            membranes.append(state[at])
            state = self.update(state, d, coefficients)
        output = _stack(membranes, drive)
        return Trace(output, state, output if potentials else None)


def _stack(steps: list[Tensor], drive: Tensor) -> Tensor:
    return torch.stack(steps, dim=-2) if steps else torch.zeros_like(drive)


def _time_constant(name: str, value: object) -> float | tuple[float, ...]:
    """A positive number, or a tuple of them from any sequence, array or tensor of one dimension."""
    listed = value.tolist() if hasattr(value, "tolist") else value
    values = tuple(listed) if isinstance(listed, list | tuple) else (listed,)
    for tau in values:
        if isinstance(tau, bool) or not isinstance(tau, Real):
            raise ConfigurationError(
                f"{name} is {value!r}; a time constant in ms, or a list with one per neuron, is expected."
            )
        positive(name, float(tau))
    if not values:
        raise ConfigurationError(f"{name} is empty; give one number, or one per neuron.")
    return tuple(float(tau) for tau in values) if isinstance(listed, list | tuple) else float(values[0])


def one_of(record: object, name: str, allowed: tuple[str, ...]) -> None:
    value = getattr(record, name)
    if value not in allowed:
        raise ConfigurationError(
            f"{type(record).__name__}.{name} is {value!r}; it must be one of {', '.join(allowed)}."
        )
