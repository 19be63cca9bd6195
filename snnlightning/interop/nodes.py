"""Nodes: each of our neurons as a NIR node, and back; the one place where the two sets of equations meet.

NIR's equations, integrated over a step with an input that is constant during it (or by forward Euler, which has the same
form with decay = 1 - dt / tau), are

    I and IF           v[n+1] = v[n] + r dt x[n]
    LI and LIF         v[n+1] = b v[n] + r (1 - b) x[n]
    CubaLI and CubaLIF i[n+1] = a i[n] + w_in (1 - a) x[n];  v[n+1] = b v[n] + r (1 - b) i[n]

with a = exp(-dt / tau_syn), b = exp(-dt / tau_mem), and ours are the same with a gain g: 1 in the seed's ordering, 1 - b in
stork's. So

    r = 1 / dt;   r = g / (1 - b), that is 1 / (1 - b) or 1;   w_in = 1 / (1 - a);   tau in seconds;   v_leak = v_reset = 0.

In continuous time a neuron spikes at v = v_threshold, so "subtract v_threshold" and "reset to v_reset = 0" are one event, and
NIR has one field for both; in steps they differ by the overshoot, and which of them is meant is in our note. The orderings of
a step (what is read first, when a reset acts) are no part of NIR either: see ``docs/interop.md``.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ConfigurationError
from ..neurons import IF, LI, LIF, AbstractNeuron, AbstractSpikingNeuron, CubaLI, CubaLIF
from .dialects import Array, Dialect, leak

__all__ = ["NEURON_NODES", "NeuronNode", "Reading", "node_of", "reading_of", "taus_in_effect"]

NEURON_NODES = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")


@dataclasses.dataclass(frozen=True)
class NeuronNode:
    """A NIR neuron node before ``nir`` is asked for it: its type and its fields, all [N] in float64."""

    type: str
    fields: dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Reading:
    """A neuron node as one of ours: class, numbers, and the gain that goes into the rows of the weights, [N]."""

    neuron: type[AbstractNeuron]
    fields: dict[str, Any]
    gain: Array


def node_of(neuron: AbstractNeuron, taus_ms: Mapping[str, Array], size: int, dialect: Dialect) -> NeuronNode:
    """The node of a layer's neurons.

    Args:
        neuron: the layer's record.
        taus_ms: time constants in effect by field name, each [N].
        size: N.
        dialect: who will read it.

    Raises:
        ConfigurationError: NIR has no node for these equations; the sentence begins with a lower case letter and wants
            the layer's name before it.
    """
    write = _WRITERS.get(type(neuron))
    if write is None:
        known = ", ".join(cls.__name__ for cls in _WRITERS)
        raise ConfigurationError(
            f"NIR 1.0 has no node for the equations of {type(neuron).__name__}; it can express {known}."
        )
    if isinstance(neuron, AbstractSpikingNeuron) and neuron.refractory_steps:
        raise ConfigurationError(
            f"NIR 1.0 has no field for a refractory period, and it has refractory_ms={neuron.refractory_ms:g}."
        )
    node = write(neuron, {name: np.asarray(tau, dtype=np.float64) for name, tau in taus_ms.items()}, size, dialect)
    for name, values in node.fields.items():
        if not np.isfinite(values).all():
            raise ConfigurationError(f"{name} of its {node.type} node would not be finite; look at the time constants.")
    return node


def taus_in_effect(neuron: AbstractNeuron, parameters: Mapping[str, Tensor], size: int) -> dict[str, Array]:
    """Time constants in ms by field name, each [N] in float64: of the learned parameters, by their names, or the record's.

    On the CPU in the parameters' own precision, so that export and import compute the same numbers.
    """
    return {
        name: np.broadcast_to(
            neuron.from_parameter(name, parameters[neuron.parameter_name(name)].detach().cpu()).double().numpy()
            if neuron.learn_tau != "none"
            else np.asarray(getattr(neuron, name), dtype=np.float64),
            (size,),
        )
        for name in neuron.time_constants
    }


def reading_of(where: str, node: Any, size: int, dialect: Dialect, dt_ms: float) -> Reading:
    """One of our neurons that steps as the dialect steps the node.

    Where the gain of an input is neither 1 nor 1 - b, the neuron is in the seed's ordering and the gain is left to the
    weights. Reset, ordering and everything else without a field in NIR are the caller's to add.

    Args:
        where: the node's name for messages.
        node: a NIR neuron node.
        size: N, from the weights.
        dialect: who wrote it.
        dt_ms: the step in ms.

    Raises:
        ConfigurationError: numbers that our neurons do not have; the sentence names the node and the way out.
    """
    kind = type(node).__name__
    values = {
        field: numbers(f"{where} ({kind}).{field}", getattr(node, field), size)
        for field in ("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_reset", "v_threshold")
        if getattr(node, field, None) is not None
    }
    for field, meaning in (("v_leak", "a resting potential"), ("v_reset", "a reset potential")):
        if np.any(values.get(field, 0.0)):
            raise ConfigurationError(
                f"{where} ({kind}) has {field} = {_range(values[field])}; the neurons here have no {meaning.split(' ', 1)[1]} "
                f"other than 0. Shift the potentials so that {field} is 0 (threshold and bias move with it)."
            )
    fields: dict[str, Any] = {"dt_ms": dt_ms}
    if "v_threshold" in values:
        fields["v_th"] = _threshold(f"{where} ({kind})", values["v_threshold"])
    reader = _READERS[kind]
    return reader(f"{where} ({kind})", values, fields, dialect)


# Ours to NIR's.


def _write_if(neuron: AbstractNeuron, taus_ms: Mapping[str, Array], size: int, dialect: Dialect) -> NeuronNode:
    assert isinstance(neuron, IF)
    return NeuronNode("IF", {"r": _if_r(neuron, size, dialect), **_threshold_fields(neuron.v_th, np.ones(size))})


def _write_leaky(neuron: AbstractNeuron, taus_ms: Mapping[str, Array], size: int, dialect: Dialect) -> NeuronNode:
    assert isinstance(neuron, LIF | LI)
    tau, ordering = taus_ms["tau_mem_ms"], neuron.ordering
    spikes = isinstance(neuron, LIF)
    if np.isinf(tau).any():
        if not np.isinf(tau).all():
            raise ConfigurationError(
                "some of its time constants are infinite and some are not, and a NIR node is either leaky or not; "
                "give all of them a finite value."
            )
        if ordering == "stork":
            raise ConfigurationError("tau_mem_ms=inf in stork's ordering takes no input at all (1 - b = 0).")
        fields = {"r": _if_r(neuron, size, dialect)}
        if isinstance(neuron, LIF):
            return NeuronNode("IF", {**fields, **_threshold_fields(neuron.v_th, np.ones(size))})
        return NeuronNode("I", fields)
    r, scale = _gain(dialect.lif_gain, leak(tau, neuron.dt_ms), ordering)
    fields = {
        "tau": dialect.tau_s(tau, neuron.dt_ms),
        "r": np.ones(size) if dialect.unit_r else r,
        "v_leak": np.zeros(size),
    }
    if isinstance(neuron, LIF):
        return NeuronNode("LIF", {**fields, **_threshold_fields(neuron.v_th, scale)})
    return NeuronNode("LI", _unscaled(fields, scale, spikes, dialect))


def _write_cuba(neuron: AbstractNeuron, taus_ms: Mapping[str, Array], size: int, dialect: Dialect) -> NeuronNode:
    assert isinstance(neuron, CubaLIF | CubaLI)
    tau_mem, tau_syn, ordering = taus_ms["tau_mem_ms"], taus_ms["tau_syn_ms"], neuron.ordering
    if np.isinf(tau_mem).any() or np.isinf(tau_syn).any():
        raise ConfigurationError(
            "NIR's CubaLIF and CubaLI leak in both variables, and an infinite time constant does not; "
            "give it a large finite one."
        )
    w_in, _ = _gain("r", leak(tau_syn, neuron.dt_ms), "seed")
    r, scale = _gain(dialect.cuba_gain, leak(tau_mem, neuron.dt_ms), "stork" if ordering == "stork" else "seed")
    fields = {
        "tau_mem": dialect.tau_s(tau_mem, neuron.dt_ms),
        "tau_syn": dialect.tau_s(tau_syn, neuron.dt_ms),
        "r": r,
        "v_leak": np.zeros(size),
        "w_in": w_in,
    }
    if isinstance(neuron, CubaLIF):
        return NeuronNode("CubaLIF", {**fields, **_threshold_fields(neuron.v_th, scale)})
    return NeuronNode("CubaLI", _unscaled(fields, scale, False, dialect))


_WRITERS: dict[type, Callable[[AbstractNeuron, Mapping[str, Array], int, Dialect], NeuronNode]] = {
    IF: _write_if,
    LIF: _write_leaky,
    LI: _write_leaky,
    CubaLIF: _write_cuba,
    CubaLI: _write_cuba,
}


def _gain(reader: str, lost: Array, ordering: str) -> tuple[Array, Array]:
    """r, and the unit c / g in which the reader counts potentials; ``lost`` is 1 - b."""
    ours = lost if ordering == "stork" else np.ones_like(lost)
    if reader == "r":
        return np.ones_like(lost) if ordering == "stork" else 1.0 / lost, np.ones_like(lost)
    if reader == "one":
        return 1.0 / lost, 1.0 / ours
    return np.ones_like(lost), np.ones_like(lost) if ordering == "stork" else lost


def _if_r(neuron: AbstractNeuron, size: int, dialect: Dialect) -> Array:
    return np.full(size, 1.0 if dialect.if_gain == "one" else 1.0 / dialect.step(neuron.dt_ms))


def _threshold_fields(v_th: Any, scale: Array) -> dict[str, Array]:
    return {"v_threshold": np.asarray(v_th, dtype=np.float64) * scale, "v_reset": np.zeros_like(scale)}


def _unscaled(fields: dict[str, Array], scale: Array, spikes: bool, dialect: Dialect) -> dict[str, Array]:
    if not spikes and np.any(scale != 1.0):
        raise ConfigurationError(
            f"readers of dialect {dialect.name!r} ignore r, so its output (a potential) would be scaled; "
            "use another ordering for this layer, or the dialect 'nir'."
        )
    return fields


# NIR's to ours.


def _read_if(where: str, values: dict[str, Array], fields: dict[str, Any], dialect: Dialect) -> Reading:
    gain = values["r"] * dialect.step(fields["dt_ms"]) if dialect.if_gain == "r" else np.ones_like(values["r"])
    if "v_th" in fields:
        return Reading(IF, fields, _unless_one(gain))
    return Reading(LI, {**fields, "tau_mem_ms": math.inf}, _unless_one(gain))


def _read_leaky(where: str, values: dict[str, Array], fields: dict[str, Any], dialect: Dialect) -> Reading:
    neuron = LIF if "v_th" in fields else LI
    fields["tau_mem_ms"], lost = _tau_ms(where, "tau", values["tau"], fields["dt_ms"], dialect)
    gain = _reader_gain(dialect.lif_gain, values["r"], lost)
    return _ordered(neuron, fields, gain, np.ones_like(gain), lost)


def _read_cuba(where: str, values: dict[str, Array], fields: dict[str, Any], dialect: Dialect) -> Reading:
    neuron = CubaLIF if "v_th" in fields else CubaLI
    fields["tau_mem_ms"], lost = _tau_ms(where, "tau_mem", values["tau_mem"], fields["dt_ms"], dialect)
    fields["tau_syn_ms"], lost_syn = _tau_ms(where, "tau_syn", values["tau_syn"], fields["dt_ms"], dialect)
    gain = _reader_gain(dialect.cuba_gain, values["r"], lost)
    return _ordered(neuron, fields, gain, _reader_gain(dialect.cuba_gain, values["w_in"], lost_syn), lost)


_READERS: dict[str, Callable[[str, dict[str, Array], dict[str, Any], Dialect], Reading]] = {
    "I": _read_if,
    "IF": _read_if,
    "LI": _read_leaky,
    "LIF": _read_leaky,
    "CubaLI": _read_cuba,
    "CubaLIF": _read_cuba,
}


def _reader_gain(reader: str, r: Array, lost: Array) -> Array:
    return r * lost if reader == "r" else np.ones_like(r) if reader == "one" else lost


def _ordered(
    neuron: type[AbstractNeuron], fields: dict[str, Any], gain: Array, gain_syn: Array, lost: Array
) -> Reading:
    if np.allclose(gain, lost, rtol=1e-6, atol=0.0) and not np.allclose(gain, 1.0, rtol=1e-6, atol=0.0):
        return Reading(neuron, {**fields, "ordering": "stork"}, _unless_one(gain_syn))
    return Reading(neuron, {**fields, "ordering": "seed"}, _unless_one(gain * gain_syn))


def _unless_one(gain: Array) -> Array:
    """The gain, or exactly 1 where rounding is all that keeps it from it."""
    return np.where(np.isclose(gain, 1.0, rtol=1e-6, atol=0.0), 1.0, gain)


def _tau_ms(where: str, field: str, tau_s: Array, dt_ms: float, dialect: Dialect) -> tuple[Any, Array]:
    """Time constants for a record (a number when all are the same), and 1 - decay."""
    if not (tau_s > 0).all():
        raise ConfigurationError(f"{where} has {field} = {_range(tau_s)} s; a time constant is greater than 0.")
    taus = dialect.tau_ms(tau_s, dt_ms)
    if np.isnan(taus).any():
        raise ConfigurationError(
            f"{where} has {field} = {_range(tau_s)} s, and forward Euler needs more than its step of "
            f"{dialect.step(dt_ms):g} s; give a smaller dt_ms, or dialect='nir' if the time constants are exact."
        )
    if not np.isfinite(taus).all():
        raise ConfigurationError(f"{where} has an infinite {field}; write the node as IF (or I), which does not leak.")
    number = float(taus[0]) if (taus == taus[0]).all() else tuple(float(tau) for tau in taus)
    return number, leak(taus, dt_ms)


def _threshold(where: str, values: Array) -> Any:
    """One number when all are the same."""
    if not (values > 0).all():
        raise ConfigurationError(f"{where} has v_threshold = {_range(values)}; it must be greater than 0.")
    return float(values[0]) if (values == values[0]).all() else tuple(float(value) for value in values)


def numbers(where: str, value: Any, size: int) -> NDArray[np.float64]:
    """A field as [N] in float64; one number stands for all neurons.

    Raises:
        ConfigurationError: not numbers, not finite (infinite time constants are met later), or neither 1 nor N of them.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{where} is {type(value).__name__}; numbers are expected.") from None
    if array.size == 1:
        array = np.full(size, array.reshape(()))
    if array.shape != (size,):
        raise ConfigurationError(f"{where} has shape {list(array.shape)}; the layer has {size} neurons, [{size}].")
    if np.isnan(array).any() or (np.isinf(array).any() and ".tau" not in where):
        raise ConfigurationError(f"{where} has values that are not finite.")
    return array


def _range(values: Array) -> str:
    return f"{values.min():g}" if (values == values[0]).all() else f"{values.min():g} and {values.max():g}"
