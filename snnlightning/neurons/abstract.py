"""What every neuron is: a frozen record of parameters, one update equation, and the loop over time around it.

The loop lives here once; a neuron's file holds its equation. All variables start at zero unless a state is passed in,
T inputs give T outputs, and output n is read from the variables *before* the update with input n (the seed's Fig. 2:
S[n] from U[n], U[0] = I[0] = 0). The state that comes out is the one that output T would be read from, so running T1 and
then T2 steps equals running T1 + T2.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar, Literal, Self, cast

import torch
from torch import Tensor

from ..distributions import AbstractDistribution
from ..errors import ConfigurationError
from ..typing import Coefficients, Reset, SpikeFunction, State, Trace
from ..units import decay_from_tau, positive
from ._constants import (
    Bounds,
    Constant,
    Gain,
    TimeConstant,
    between,
    checked_bounds,
    decay_name,
    gain,
    place_between,
    time_constant,
)
from ._once import once, without_once

__all__ = [
    "AbstractIntegrator",
    "AbstractNeuron",
    "AbstractSpikingNeuron",
    "Bounds",
    "Gain",
    "LearnTau",
    "TimeConstant",
]

LearnTau = Literal["none", "shared", "per_neuron"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractNeuron(abc.ABC):
    """Parameters that all neurons share.

    Args:
        dt_ms: time step in ms, > 0.
        learn_tau: whether a layer trains the time constants: not at all, one per layer, or one per neuron. Without bounds
            a layer trains p = log(tau) and takes tau = exp(p), kept in [dt / 50, 10⁶ dt], so that every decay is in (0, 1).
        bounds: least and greatest value by field name, ``{"tau_mem_ms": (5.0, 25.0)}``. A learned field never leaves them:
            a layer trains the p of tau = low (high / low)^σ(p) (time constants), or of x = low + (high - low) σ(p) (gains
            and thresholds), with σ the logistic function; every p, also an infinite one, has a value within them and a
            gradient that is no NaN. A start on a bound begins a thousandth of the range inside, where the gradient is not 0.
            A fixed value has to lie within them, and draws of a distribution are clipped to them.
    """

    dt_ms: float = 1.0
    learn_tau: LearnTau = "none"
    bounds: Bounds = ()

    spiking: ClassVar[bool]
    time_constants: ClassVar[tuple[str, ...]] = ()
    """Names of the fields ``tau_*_ms`` that this neuron has."""
    gains: ClassVar[tuple[str, ...]] = ()
    """Names of the fields without unit that enter the equations as they are; a number, or one per neuron."""

    def __post_init__(self) -> None:
        if not math.isfinite(positive(f"{type(self).__name__}.dt_ms", self.dt_ms)):
            raise ConfigurationError(f"{type(self).__name__}.dt_ms is {self.dt_ms}; a finite time step is expected.")
        for name in self.time_constants:
            tau = time_constant(f"{type(self).__name__}.{name}", getattr(self, name))
            object.__setattr__(self, name, tau)
        for name in self.gains:
            object.__setattr__(self, name, gain(f"{type(self).__name__}.{name}", getattr(self, name)))
        one_of(self, "learn_tau", ("none", "shared", "per_neuron"))
        if self.learn_tau != "none" and not self.time_constants:
            raise ConfigurationError(f"{type(self).__name__} has no time constant to learn; use learn_tau='none'.")
        self._one_for_all("learn_tau", self.time_constants, "time constant")
        bounds = checked_bounds(self, self.bounds, self.bounded_fields, self._positive)
        object.__setattr__(self, "bounds", bounds)

    @property
    @abc.abstractmethod
    def state_names(self) -> tuple[str, ...]:
        """The variables a state consists of, in order; each is [B, N]."""

    def learning(self, name: str) -> LearnTau:
        """Whether a layer trains this field, one of ``constants``: not, one for all, or per neuron."""
        return self.learn_tau if name in self.time_constants else "none"

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the fields that may differ between neurons and may be learned."""
        return (*self.time_constants, *self.gains)

    @once
    def learned(self) -> tuple[str, ...]:
        """Names of the fields that a layer trains."""
        return tuple(name for name in self.constants if self.learning(name) != "none")

    @once
    def drawn(self) -> tuple[str, ...]:
        """Names of the fields that a layer draws from a distribution and does not train."""
        return tuple(
            name
            for name in self.constants
            if isinstance(getattr(self, name), AbstractDistribution) and self.learning(name) == "none"
        )

    def limits(self, name: str) -> tuple[float, float] | None:
        """What ``bounds`` says of this field, or None."""
        return next(((low, high) for field, low, high in self._bounded if field == name), None)

    def parameter_name(self, name: str) -> str:
        """What the trained number behind a learned field is called: ``log_tau_mem_ms``, ``logit_tau_mem_ms``, or ``a``."""
        if self.limits(name) is not None:
            return f"logit_{name}"
        return f"log_{name}" if name in self.time_constants else name

    def from_parameter(self, name: str, parameter: Tensor) -> Tensor:
        """The value of a learned field from the number that is trained; see ``bounds`` for the formula."""
        geometric, limits = name in self.time_constants, self.limits(name)
        if limits is not None:
            return between(*limits, parameter, geometric=geometric)
        low, high = self._free
        return torch.exp(parameter.clamp(math.log(low), math.log(high))) if geometric else parameter

    def to_parameter(self, name: str, value: Tensor) -> Tensor:
        """The number to train for a field that starts at ``value``.

        Raises:
            ConfigurationError: a time constant without bounds that is infinite, or far from the time step.
        """
        geometric, limits = name in self.time_constants, self.limits(name)
        if limits is not None:
            return place_between(*limits, value, geometric=geometric)
        if not geometric:
            return value
        if value.isinf().any():
            raise ConfigurationError(f"{name} is infinite and cannot be learned; use learn_tau='none'.")
        low, high = self._free
        if ((value < low) | (value > high)).any():
            raise ConfigurationError(
                f"{name} starts at {value.min():g} to {value.max():g} with dt_ms={self.dt_ms:g}; one that is learned has to lie "
                "between dt_ms / 50 and 10^6 dt_ms, where decays are neither 0 nor 1."
            )
        return value.log()

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
        if not values and self._numbers is not None:
            return {**self._numbers}
        found: dict[str, float | Tensor] = {}
        for name, key, own in self._own:
            value = self._multiplier(name, values[name]) if values and name in values else own
            if isinstance(value, AbstractDistribution):
                raise ConfigurationError(
                    f"{type(self).__name__}.{name} is {value}, from which a layer draws; to run the record by itself, use "
                    "one of numbers, such as neuron.with_values(...)."
                )
            found[key] = torch.tensor(value, dtype=torch.float64) if isinstance(value, tuple) else value
        return found

    @once
    def _own(self) -> tuple[tuple[str, str, Constant], ...]:
        """Field and coefficient by name, and what the record's own number gives."""
        found = [(name, self._multiplier(name, getattr(self, name))) for name in self.constants]
        return tuple((name, key, value) for (name, value), key in zip(found, self.coefficient_names, strict=True))

    @once
    def _numbers(self) -> dict[str, float] | None:
        """The coefficients, where all of them are numbers of the record."""
        found = {key: value for _, key, value in self._own if isinstance(value, float)}
        return found if len(found) == len(self._own) else None

    def _multiplier(self, name: str, value: Any) -> Any:
        """The decay of a time constant, one of each of a list; a gain, or what is no number yet, as it is."""
        if name not in self.time_constants or isinstance(value, AbstractDistribution):
            return value
        if isinstance(value, Tensor):
            return torch.exp(-self.dt_ms / value)
        if isinstance(value, tuple):
            return tuple(decay_from_tau(tau, self.dt_ms) for tau in value)
        return decay_from_tau(value, self.dt_ms)

    @once
    def coefficient_names(self) -> tuple[str, ...]:
        """The keys of ``coefficients()``."""
        return tuple(decay_name(name) if name in self.time_constants else name for name in self.constants)

    def with_values(self, values: Mapping[str, Tensor]) -> Self:
        """The same record with these numbers in place of what they were drawn from, [] or [N] each."""
        numbers: dict[str, Any] = {name: value.detach().cpu().tolist() for name, value in values.items()}
        return dataclasses.replace(self, **numbers)

    def central(self) -> Self:
        """The same record with one number for all neurons: the mean of a list, the centre of a distribution."""
        numbers: dict[str, Any] = {}
        for name in self.constants:
            value = getattr(self, name)
            if isinstance(value, AbstractDistribution):
                numbers[name] = value.centre
            elif isinstance(value, tuple):
                numbers[name] = math.fsum(value) / len(value)
        return dataclasses.replace(self, **numbers)

    def __getstate__(self) -> dict[str, Any]:
        return without_once(self)

    @property
    def _free(self) -> tuple[float, float]:
        """Between which learned time constants without bounds are kept."""
        return self.dt_ms / 50.0, self.dt_ms * 1e6

    @property
    def _bounded(self) -> tuple[tuple[str, float, float], ...]:
        return cast(tuple[tuple[str, float, float], ...], self.bounds)

    def _one_for_all(self, option: str, names: tuple[str, ...], what: str) -> None:
        """A field that is trained as one number for the layer is given as one."""
        several = any(isinstance(getattr(self, name), tuple | AbstractDistribution) for name in names)
        if getattr(self, option) == "shared" and several:
            raise ConfigurationError(
                f"{option}='shared' trains one {what} for the layer, and a list or a distribution of them was given; "
                f"use {option}='per_neuron'."
            )

    @property
    def bounded_fields(self) -> tuple[str, ...]:
        """Names of the fields that ``bounds`` may name."""
        return (*self.time_constants, *self.gains)

    @property
    def _positive(self) -> tuple[str, ...]:
        """Fields that are greater than 0."""
        return self.time_constants


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractSpikingNeuron(AbstractNeuron):
    """Parameters that all neurons with a threshold share.

    Args:
        v_th: threshold, > 0; a neuron spikes where v > v_th, strictly. A number, or one per neuron.
        reset: what a spike does to the potential: subtract v_th, or set it to zero.
        detach_reset: whether the backward pass ignores the reset. Detached by default: with a large surrogate the
            attached reset makes the threshold repelling (Zenke & Vogels 2021).
        detach_recurrent: whether the backward pass ignores spikes that travel through w_rec.
        refractory_ms: absolute refractory period in ms, >= 0, taken to whole steps R = round(refractory_ms / dt). A neuron
            that spiked at n is silent, with a surrogate derivative of 0, up to and including n + R, so that its shortest
            interval is R + 1 steps; its potential goes on integrating (Bellec et al. 2020). The state then ends in one
            more variable, ``refractory``: how many steps are left.
        learn_v_th: whether a layer trains the threshold: not at all, one per layer, or one per neuron; give it ``bounds``, so
            that it stays above 0.
    """

    v_th: Gain = 1.0
    reset: Reset = "subtract"
    detach_reset: bool = True
    detach_recurrent: bool = False
    refractory_ms: float = 0.0
    learn_v_th: LearnTau = "none"

    spiking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_threshold()
        super().__post_init__()
        self._check_refractory()
        one_of(self, "reset", ("subtract", "zero"))

    @property
    def constants(self) -> tuple[str, ...]:
        own = self.learn_v_th != "none" or not isinstance(self.v_th, float)
        return (
            *self.time_constants,
            *self.gains,
            *(("v_th",) if own else ()),
        )  # torch.compile has no super().constants

    @property
    def bounded_fields(self) -> tuple[str, ...]:
        return (*super().bounded_fields, "v_th")

    @property
    def _positive(self) -> tuple[str, ...]:
        return (*super()._positive, "v_th")

    def learning(self, name: str) -> LearnTau:
        return self.learn_v_th if name == "v_th" else super().learning(name)

    @property
    @abc.abstractmethod
    def variables(self) -> tuple[str, ...]:
        """The variables of the equations, in order; ``v`` is one of them."""

    @once
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
        return self.base_threshold(coefficients)

    def base_threshold(self, coefficients: Coefficients) -> float | Tensor:
        """v_th: the record's number, or [N] where each neuron has its own, or [] where one is learned."""
        return coefficients["v_th"] if "v_th" in coefficients else cast(float, self.v_th)

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

    def after_reset(self, v: Tensor, z: Tensor, coefficients: Coefficients) -> Tensor:
        """v - z v_th (subtract) or v (1 - z) (zero), z detached when asked."""
        z = z.detach() if self.detach_reset else z
        return v - z * self.base_threshold(coefficients) if self.reset == "subtract" else v * (1.0 - z)

    def _check_threshold(self) -> None:
        name = f"{type(self).__name__}.v_th"
        one_of(self, "learn_v_th", ("none", "shared", "per_neuron"))
        value = time_constant(name, self.v_th, "a threshold")
        numbers = value if isinstance(value, tuple) else () if isinstance(value, AbstractDistribution) else (value,)
        if math.inf in numbers:
            raise ConfigurationError(f"{name} is inf; a finite threshold is expected.")
        object.__setattr__(self, "v_th", value)
        self._one_for_all("learn_v_th", ("v_th",), "threshold")
        bounds = self.bounds
        bounded = "v_th" in bounds if isinstance(bounds, Mapping) else any(row[0] == "v_th" for row in bounds)
        if self.learn_v_th != "none" and not bounded:
            raise ConfigurationError(
                f"{type(self).__name__}.learn_v_th is {self.learn_v_th!r} without bounds, and a threshold must stay above 0; "
                "give bounds={'v_th': (0.5, 1.5)}, for example."
            )

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


def one_of(record: object, name: str, allowed: tuple[str, ...]) -> None:
    value = getattr(record, name)
    if value not in allowed:
        raise ConfigurationError(
            f"{type(record).__name__}.{name} is {value!r}; it must be one of {', '.join(allowed)}."
        )
