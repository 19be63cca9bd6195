"""From the plain values of a configuration to neurons, surrogates, readouts, losses and regularizers."""

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple, cast

from .. import distributions, firing, initializers, losses, neurons, readouts, recipes, regularizers, surrogates
from ..errors import ConfigurationError, nearest
from ..firing import AbstractEscape, AbstractFiring, ExponentialEscape
from ..initializers import AbstractInitializer, FluctuationDriven, ScaledNormal, WithoutAutapses
from ..naming import build, named
from ..neurons import LI, AbstractNeuron, CubaLI, CubaLIF
from ..readouts import AbstractReadout
from ..recipes import AbstractRecipe
from ..regularizers import AbstractRegularizer
from ..surrogates import AbstractSurrogate
from .spiking_module import Loss

__all__ = [
    "Starts",
    "build_starts",
    "build_constant",
    "build_firing",
    "build_initializer",
    "build_integrator",
    "build_loss",
    "build_neuron",
    "build_readout",
    "build_recipe",
    "build_regularizers",
    "build_surrogate",
]


def build_constant(value: Any) -> Any:
    """A distribution from its name and arguments, ``{"distribution": "gamma", "mean": 20.0}``; other values stay as they are.

    Example:
        >>> build_constant({"distribution": "uniform", "low": 5.0, "high": 25.0}), build_constant(10.0)
        (Uniform(low=5.0, high=25.0), 10.0)
    """
    if not isinstance(value, Mapping) or "distribution" not in value:
        return value
    arguments = {key: argument for key, argument in value.items() if key != "distribution"}
    return build(named("distribution", distributions, value["distribution"]), arguments)


def build_neuron(name: str, **parameters: Any) -> AbstractNeuron:
    """A spiking neuron by name; parameters that are None stay at the neuron's own default.

    A constant may be a number, a list with one per neuron, or a distribution as ``build_constant`` takes it.

    Raises:
        UnknownNameError: no neuron of this name.
        ConfigurationError: it does not spike, or does not have one of the parameters.

    Example:
        >>> build_neuron("lif", tau_mem_ms=20.0, tau_syn_ms=None).tau_mem_ms
        20.0
    """
    cls = named("neuron", neurons, name)
    if not getattr(cls, "spiking", False):
        raise ConfigurationError(
            f"{cls.__name__} has no threshold; hidden layers need a neuron that spikes, such as cuba_lif."
        )
    given = {key: build_constant(value) for key, value in parameters.items() if value is not None}
    return cast(AbstractNeuron, build(cls, given))


def build_recipe(given: str | Mapping[str, Any]) -> AbstractRecipe:
    """A published set-up by name, or a mapping with ``recipe`` and its arguments.

    Example:
        >>> build_recipe({"recipe": "stork", "rate_hz": 15.0})
        Stork(rate_hz=15.0, sigma_u=1.0, share=0.9)
    """
    arguments: dict[str, Any] = {"recipe": given} if isinstance(given, str) else dict(given)
    return cast(AbstractRecipe, build(named("recipe", recipes, arguments.pop("recipe", "")), arguments))


def build_initializer(
    given: str | Mapping[str, Any] | None, gain: float, neuron: AbstractNeuron, share: float = 1.0
) -> AbstractInitializer:
    """What fills weights: a name in :mod:`snnlightning.initializers`, or a mapping with ``initializer`` and its arguments.

    Args:
        given: None: ``ScaledNormal``.
        gain: of initializers that have one, where the mapping has none.
        neuron: whose weights they are, for ``fluctuation_driven``.
        share: the same initializer's, where the mapping has none.

    Raises:
        UnknownNameError, ConfigurationError: no such thing, or an argument that it does not have.

    Example:
        >>> build_initializer({"initializer": "without_autapses", "of": "orthogonal"}, 0.5, LI())
        WithoutAutapses(of=Orthogonal(gain=0.5))
    """
    if given is None:
        return ScaledNormal(gain)
    arguments: dict[str, Any] = {"initializer": given} if isinstance(given, str) else dict(given)
    cls = named("initializer", initializers, arguments.pop("initializer", ""))
    if cls is FluctuationDriven:
        arguments = {"neuron": neuron.central(), "share": share, **arguments}
    elif cls is WithoutAutapses:
        arguments["of"] = build_initializer(arguments.get("of"), gain, neuron, share)
    elif "gain" in cls.__dataclass_fields__:  # type: ignore[attr-defined]
        arguments.setdefault("gain", gain)
    return cast(AbstractInitializer, build(cls, arguments))


class Starts(NamedTuple):
    """What fills the input and recurrent weights of hidden layers, and the weights of the last layer."""

    w_in: AbstractInitializer
    w_rec: AbstractInitializer
    w_out: AbstractInitializer


def build_starts(
    given: str | Mapping[str, Any] | None,
    given_rec: str | Mapping[str, Any] | None,
    gains: tuple[float, float],
    neurons: tuple[AbstractNeuron, AbstractNeuron],
    *,
    recurrent: bool,
) -> Starts:
    """Initializers of hidden and last layers; the ``share`` of a mapping is the input weights' part in recurrent layers.

    Args:
        given, given_rec: as ``build_initializer`` has them; recurrent weights start as the others where None is said of them.
        gains: of input and recurrent weights, where a mapping has none.
        neurons: hidden and last.
        recurrent: whether hidden layers are.
    """
    share = 0.9
    if isinstance(given, Mapping) and "share" in given:
        share = given["share"]
        given = {key: value for key, value in given.items() if key != "share"}
    hidden, output = neurons
    return Starts(
        build_initializer(given, gains[0], hidden, share if recurrent else 1.0),
        build_initializer(given if given_rec is None else given_rec, gains[1], hidden, 1.0 - share),
        build_initializer(given, gains[0], output),
    )


def build_integrator(hidden: AbstractNeuron, tau_out_ms: float | None) -> AbstractNeuron:
    """The leaky readout that belongs to a hidden neuron: with a synaptic current where that has one, same ordering.

    Every class is read with the same time constants: the mean of those that are listed, the centre of those that are drawn.
    """
    ordering = "stork" if getattr(hidden, "ordering", "seed") == "stork" else "seed"
    tau_mem = tau_out_ms if tau_out_ms is not None else getattr(hidden.central(), "tau_mem_ms", None)
    parameters: dict[str, Any] = {"dt_ms": hidden.dt_ms, "ordering": ordering}
    if tau_mem is not None:
        parameters["tau_mem_ms"] = tau_mem
    if isinstance(hidden, CubaLIF):
        return CubaLI(tau_syn_ms=hidden.central().tau_syn_ms, **parameters)
    return LI(**parameters)


def build_surrogate(surrogate: str | Mapping[str, Any], height: float, width: float) -> AbstractSurrogate:
    """A surrogate by name, height at threshold and half width at half maximum.

    Args:
        surrogate: name of a family, or a mapping with ``family`` and what shapes it beside height and width (``of`` names the
            family that ``sparse`` cuts off).
        height: h at threshold, > 0.
        width: half width at half maximum, > 0.

    Raises:
        UnknownNameError: no family of this name.
        ConfigurationError: a shape that the family does not have, or a number out of range.

    Example:
        >>> build_surrogate("triangle", height=1.0, width=0.5)
        Triangle(gamma=1.0, slope=1.0)
        >>> build_surrogate({"family": "sparse", "of": "triangle", "bound": 0.6}, height=1.0, width=0.5)
        Sparse(surrogate=Triangle(gamma=1.0, slope=1.0), bound=0.6)
    """
    shape: dict[str, Any] = {"family": surrogate} if isinstance(surrogate, str) else dict(surrogate)
    if "family" not in shape:
        raise ConfigurationError(
            f"surrogate is {shape}; a mapping names its family, such as {{'family': 'sparse', 'of': 'triangle'}}."
        )
    cls = _family(shape.pop("family"))
    takes = list(inspect.signature(cls.from_height_width).parameters)[2:]
    for key in shape:
        if key not in takes:
            raise ConfigurationError(
                f"{cls.__name__} has no shape {key!r};{nearest(key, takes)} It has: {', '.join(takes) or 'none'}. Its size "
                "comes from surrogate_height and surrogate_width."
            )
    if "of" in shape:
        shape["of"] = _family(shape["of"])
    return cls.from_height_width(height, width, **shape)


def _family(name: str) -> type[AbstractSurrogate]:
    return cast(type[AbstractSurrogate], named("surrogate", surrogates, name))


def build_firing(
    given: str | Mapping[str, Any], surrogate: AbstractSurrogate, dt_ms: float
) -> AbstractFiring | AbstractSurrogate:
    """What decides over spikes: the step with its surrogate, escape noise, or a soft threshold.

    Args:
        given: ``step``, a name in :mod:`snnlightning.firing`, or a mapping with ``firing`` and its arguments. For escape noise
            ``gradient`` may be ``expected`` (the derivative of the probability, the default) or ``surrogate``.
        surrogate: the step's, and what ``gradient: surrogate`` means.
        dt_ms: time step of the neurons, where firing has one.

    Raises:
        UnknownNameError, ConfigurationError: no such thing, or an argument that it does not have.

    Example:
        >>> from snnlightning.surrogates import SuperSpike
        >>> build_firing({"firing": "exponential_escape", "rate_hz": 20.0}, SuperSpike(), dt_ms=2.0)
        ExponentialEscape(surrogate=None, rate_hz=20.0, width=0.133, dt_ms=2.0)
    """
    arguments: dict[str, Any] = {"firing": given} if isinstance(given, str) else dict(given)
    name = arguments.pop("firing", "step")
    if name == "step":
        if arguments:
            raise ConfigurationError(f"the step has no parameter {', '.join(map(repr, arguments))}; its surrogate has.")
        return surrogate
    cls = named("way of firing", firing, name)
    if issubclass(cls, AbstractEscape):
        gradient = arguments.pop("gradient", "expected")
        if gradient not in ("expected", "surrogate"):
            raise ConfigurationError(f"gradient of {name} is {gradient!r}; it must be one of expected, surrogate.")
        arguments["surrogate"] = surrogate if gradient == "surrogate" else None
    if cls is ExponentialEscape:
        arguments.setdefault("dt_ms", dt_ms)
    return cast(AbstractFiring, build(cls, arguments))


def build_readout(readout: str | Mapping[str, Any]) -> AbstractReadout:
    """A readout by name, or by a mapping with ``readout`` and its arguments.

    Example:
        >>> build_readout({"readout": "first_spike", "tau_steps": 2.0})
        FirstSpike(tau_steps=2.0)
    """
    return cast(AbstractReadout, _thing("readout", readouts, readout))


def build_loss(loss: str | Mapping[str, Any]) -> Loss:
    """A loss by name, or by a mapping with ``loss`` and its arguments.

    Example:
        >>> build_loss({"loss": "class_rate", "right": 0.5})
        ClassRate(right=0.5, wrong=0.03)
    """
    return cast(Loss, _thing("loss", losses, loss))


def _thing(kind: str, folder: ModuleType, given: str | Mapping[str, Any]) -> object:
    if isinstance(given, str):
        return named(kind, folder, given)()
    arguments = dict(given)
    if kind not in arguments:
        raise ConfigurationError(f"{kind} is {arguments}; a mapping names it under the key {kind!r}.")
    return build(named(kind, folder, arguments.pop(kind)), arguments)


def build_regularizers(parameters: Mapping[str, Mapping[str, Any]]) -> list[AbstractRegularizer]:
    """Regularizers by name, each with its arguments; one whose strength is 0 is left out.

    Example:
        >>> build_regularizers({"lower_bound": {"strength": 100.0}, "upper_bound": {"strength": 0.0}})
        [LowerBound(strength=100.0, start_epoch=0.0, ramp_epochs=0.0, bound=0.001, power=2)]
    """
    for name, arguments in parameters.items():
        if not isinstance(arguments, Mapping):
            raise ConfigurationError(
                f"regularizers[{name!r}] is {arguments!r}; a mapping with its arguments, such as {{'strength': 1.0}}, is expected."
            )
    built = [
        cast(AbstractRegularizer, build(named("regularizer", regularizers, name), arguments))
        for name, arguments in parameters.items()
    ]
    return [regularizer for regularizer in built if regularizer.strength > 0.0]
