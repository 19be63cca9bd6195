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
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..typing import Coefficients, Reset, SpikeFunction, State, Trace
from ..units import decay_from_tau, positive

__all__ = ["AbstractIntegrator", "AbstractNeuron", "AbstractSpikingNeuron", "Gain", "LearnTau", "TimeConstant"]

TimeConstant = float | Sequence[float]
Gain = float | Sequence[float]
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
    gains: ClassVar[tuple[str, ...]] = ()
    """Names of the fields without unit that enter the equations as they are; a number, or one per neuron."""

    def __post_init__(self) -> None:
        if not math.isfinite(positive(f"{type(self).__name__}.dt_ms", self.dt_ms)):
            raise ConfigurationError(f"{type(self).__name__}.dt_ms is {self.dt_ms}; a finite time step is expected.")
        for name in self.time_constants:
            tau = _time_constant(f"{type(self).__name__}.{name}", getattr(self, name))
            object.__setattr__(self, name, tau)
        for name in self.gains:
            object.__setattr__(self, name, _gain(f"{type(self).__name__}.{name}", getattr(self, name)))
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

    def learning(self, name: str) -> LearnTau:
        """Whether a layer trains this field, one of ``time_constants`` or ``gains``: not, one for all, or per neuron."""
        return self.learn_tau if name in self.time_constants else "none"

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the fields that a layer trains."""
        return tuple(name for name in (*self.time_constants, *self.gains) if self.learning(name) != "none")

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

    def coefficients(self, values: Mapping[str, Tensor] | None = None) -> dict[str, float | Tensor]:
        """What the equations multiply with: decays per step, ``decay_x = exp(-dt / tau_x)``, and the gains, by name.

        Args:
            values: time constants in ms and gains that replace the record's own, by field name (``tau_mem_ms``), as
                tensors of shape [] or [N]; gradients flow through them.

        Returns:
            ``{"decay_mem": ..., ...}``: a float where the record has a number, a float64 tensor [N] where it has a list.
        """
        found: dict[str, float | Tensor] = {}
        for name in self.time_constants:
            tau = (values or {}).get(name, getattr(self, name))
            key = "decay_" + name.removeprefix("tau_").removesuffix("_ms")
            if isinstance(tau, Tensor):
                found[key] = torch.exp(-self.dt_ms / tau)
            elif isinstance(tau, tuple):
                found[key] = torch.tensor([decay_from_tau(t, self.dt_ms) for t in tau], dtype=torch.float64)
            else:
                found[key] = decay_from_tau(tau, self.dt_ms)
        for name in self.gains:
            gain = (values or {}).get(name, getattr(self, name))
            found[name] = torch.tensor(gain, dtype=torch.float64) if isinstance(gain, tuple) else gain
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractSpikingNeuron(AbstractNeuron):
    """Parameters that all neurons with a threshold share.

    Args:
        v_th: threshold, > 0; a neuron spikes where v > v_th, strictly.
        reset: what a spike does to the potential: subtract v_th, or set it to zero.
        detach_reset: whether the backward pass ignores the reset. Detached by default: with a large surrogate the
            attached reset makes the threshold repelling (Zenke & Vogels 2021).
        detach_recurrent: whether the backward pass ignores spikes that travel through w_rec.
        refractory_ms: absolute refractory period in ms, >= 0, taken to whole steps R = round(refractory_ms / dt). A neuron
            that spiked at n is silent, with a surrogate derivative of 0, up to and including n + R, so that its shortest
            interval is R + 1 steps; its potential goes on integrating (Bellec et al. 2020). The state then ends in one
            more variable, ``refractory``: how many steps are left.
    """

    v_th: float = 1.0
    reset: Reset = "subtract"
    detach_reset: bool = True
    detach_recurrent: bool = False
    refractory_ms: float = 0.0

    spiking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_refractory()
        if not math.isfinite(positive(f"{type(self).__name__}.v_th", self.v_th)):
            raise ConfigurationError(f"{type(self).__name__}.v_th is {self.v_th}; a finite threshold is expected.")
        one_of(self, "reset", ("subtract", "zero"))

    @property
    @abc.abstractmethod
    def variables(self) -> tuple[str, ...]:
        """The variables of the equations, in order; ``v`` is one of them."""

    @property
    def state_names(self) -> tuple[str, ...]:
        return (*self.variables, "refractory") if self.refractory_steps else self.variables

    @property
    def refractory_steps(self) -> int:
        """R, steps without spikes behind each spike."""
        return round(self.refractory_ms / self.dt_ms)

    @abc.abstractmethod
    def update(
        self, state: State, drive: Tensor, z: Tensor, w_rec_t: Tensor | None, coefficients: Coefficients
    ) -> State:
        """``variables`` n + 1 from ``variables`` n, the input W x[n] and the spikes z[n] that state n gave."""

    def threshold(self, state: State, coefficients: Coefficients) -> float | Tensor:
        """What v has to exceed for a spike: v_th, or what a neuron of changing threshold has in its place, [B, N]."""
        return self.v_th

    def above_threshold(self, state: State, coefficients: Coefficients) -> Tensor:
        """What the spike function is given, positive where the neuron spikes: v - threshold, in the neuron's own unit."""
        return state[self.variables.index("v")] - self.threshold(state, coefficients)

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
        at, steps = self.variables.index("v"), self.refractory_steps
        variables, left = (state[:-1], state[-1]) if steps else (state, None)
        spikes, membranes = [], []
        for d in drive.unbind(-2):
            z = spike(self.above_threshold(variables, coefficients))
            if left is not None:
                z = z * (left <= 0.0)  # the derivative is masked with the spike
                left = (left - 1.0).clamp_min(0.0) + steps * z.detach()
            spikes.append(z)
            membranes.append(variables[at])
            variables = self.update(variables, d, z, w_rec_t, coefficients)
        state = variables if left is None else (*variables, left)
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

    def _check_refractory(self) -> None:
        name, value = f"{type(self).__name__}.refractory_ms", cast(object, self.refractory_ms)
        if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= float(value) < math.inf:
            raise ConfigurationError(f"{name} is {value!r}; a finite number of at least 0 is expected.")
        if self.refractory_ms > 0.0 and self.refractory_steps == 0:
            raise ConfigurationError(
                f"{name} is {value} and less than half a step of dt_ms={self.dt_ms}; use 0, or a finer dt_ms."
            )


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
    """A positive number, or a tuple of them."""
    found = _numbers(name, value, "a time constant in ms")
    for tau in found if isinstance(found, tuple) else (found,):
        positive(name, tau)
    return found


def _gain(name: str, value: object) -> float | tuple[float, ...]:
    """A finite number, or a tuple of them."""
    found = _numbers(name, value, "a number")
    for gain in found if isinstance(found, tuple) else (found,):
        if not math.isfinite(gain):
            raise ConfigurationError(f"{name} is {gain}; a finite number is expected.")
    return found


def _numbers(name: str, value: object, what: str) -> float | tuple[float, ...]:
    """A number, or a tuple of them from any sequence, array or tensor of one dimension."""
    listed = value.tolist() if hasattr(value, "tolist") else value
    values = tuple(listed) if isinstance(listed, list | tuple) else (listed,)
    for number in values:
        if isinstance(number, bool) or not isinstance(number, Real):
            raise ConfigurationError(f"{name} is {value!r}; {what}, or a list with one per neuron, is expected.")
    if not values:
        raise ConfigurationError(f"{name} is empty; give one number, or one per neuron.")
    return tuple(float(number) for number in values) if isinstance(listed, list | tuple) else float(values[0])


def one_of(record: object, name: str, allowed: tuple[str, ...]) -> None:
    value = getattr(record, name)
    if value not in allowed:
        raise ConfigurationError(
            f"{type(record).__name__}.{name} is {value!r}; it must be one of {', '.join(allowed)}."
        )
