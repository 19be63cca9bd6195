"""The search space: where each parameter may lie, and which ones exist only when a parent has a certain value.

    space:
      model.surrogate: [superspike, triangle]                              # categorical: a list of choices
      model.surrogate_width: {low: 0.05, high: 1.0, log: true}             # float
      depth: {type: int, low: 1, high: 2}                                  # no prefix: steers others, is not passed on
      model.hidden_sizes.0: {type: int, low: 16, high: 128, log: true}     # element 0 of a list
      model.hidden_sizes.1: {type: int, low: 16, high: 128, log: true, when: {depth: 2}}
      model.tau_syn_ms: {low: 2.0, high: 20.0, log: true, when: {model.neuron: cuba_lif}}

A key that starts with ``model.``, ``data.`` or ``trainer.`` is a constructor argument of that part of the configuration.
``when`` names parents that stand earlier in the space; the parameter exists when every one of them was drawn and has the
value (or one of the values) given.
"""

import copy
import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigurationError, nearest
from .numbers import finite

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["Parameter", "Space", "Suggester"]

PARTS = ("model", "data", "trainer")
Choice = str | int | float | bool | None
_KEYS = ("type", "choices", "low", "high", "log", "step", "when")
_TYPES = ("categorical", "int", "float")


class Suggester(Protocol):
    """What the space asks of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: list[Choice]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One dimension of the space; see the module's docstring."""

    name: str
    kind: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def exists(self, drawn: Mapping[str, Any]) -> bool:
        """Whether all parents were drawn and have a value that lets this parameter exist."""
        return all(parent in drawn and drawn[parent] in values for parent, values in self.when)

    def stored(self, value: Any) -> Any:
        """A value as Optuna's storage holds it: choices that it cannot hold (lists) as JSON text."""
        return value if self.kind != "categorical" or _storable(value) else json.dumps(value)

    def check(self, value: Any) -> Any:
        """A value that somebody else chose, as this parameter would draw it.

        Raises:
            ConfigurationError: none of the choices, of the wrong type, out of bounds or off the steps.
        """
        if self.kind == "categorical":
            if not any(type(value) is type(choice) and value == choice for choice in self.choices):
                raise ConfigurationError(f"{self.name} is {value!r}; its choices are {list(self.choices)}.")
            return value
        number = finite(value)
        if number is None or (self.kind == "int" and number != int(number)) or not self.low <= number <= self.high:
            raise ConfigurationError(
                f"{self.name} is {value!r}; {'a whole number' if self.kind == 'int' else 'a number'} from {self.low:g} to "
                f"{self.high:g} is expected."
            )
        if (
            self.step is not None
            and abs((number - self.low) / self.step - round((number - self.low) / self.step)) > 1e-9
        ):
            raise ConfigurationError(
                f"{self.name} is {value!r}; from {self.low:g} on, steps of {self.step:g} are expected."
            )
        return int(number) if self.kind == "int" else number

    def distribution(self) -> "BaseDistribution":
        """The same for Optuna's storage: what :meth:`draw` draws from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "int":
            step = 1 if self.step is None else int(self.step)
            return IntDistribution(int(self.low), int(self.high), step=step, log=self.log)
        if self.kind == "float":
            return FloatDistribution(self.low, self.high, step=self.step, log=self.log)
        return CategoricalDistribution([self.stored(choice) for choice in self.choices])

    def draw(self, trial: Suggester) -> Any:
        """Ask the trial for a value."""
        if self.kind == "int":
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=step, log=self.log)
        if self.kind == "float":
            return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)
        stored = [self.stored(choice) for choice in self.choices]
        return self.choices[stored.index(trial.suggest_categorical(self.name, stored))]


@dataclasses.dataclass(frozen=True)
class Space:
    """The parameters in the order in which they are drawn."""

    parameters: tuple[Parameter, ...]

    @classmethod
    def parse(cls, raw: object) -> "Space":
        """From the mapping of a YAML file.

        Raises:
            ConfigurationError: an empty space, an unknown key, bounds that cross, a parent that is not drawn before, a parameter
                behind one that sets a part of it.
        """
        if raw and not isinstance(raw, Mapping):
            raise ConfigurationError(
                f"space is {raw!r}; a mapping is expected, such as {{model.surrogate_width: [0.1, 0.3]}}."
            )
        if not isinstance(raw, Mapping) or not raw:
            raise ConfigurationError("space is empty; name at least one parameter, such as model.surrogate_width.")
        parameters: list[Parameter] = []
        for name, spec in raw.items():
            part = next((p.name for p in parameters if p.name.startswith(f"{name}.")), None)
            if part is not None:
                raise ConfigurationError(
                    f"space.{name} comes after space.{part} and would overwrite it; put space.{name} before its parts."
                )
            parameters.append(_parse(str(name), spec, {p.name: p for p in parameters}))
        return cls(tuple(parameters))

    def draw(self, trial: Suggester) -> dict[str, Any]:
        """One value for every parameter that exists, by name."""
        drawn: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.exists(drawn):
                drawn[parameter.name] = parameter.draw(trial)
        return drawn

    def check(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """A point that somebody else chose: every value possible, and no parameter that does not exist there.

        Parameters that it leaves out are drawn by the sampler; a parent must be given when its children are.

        Raises:
            ConfigurationError: an unknown name, an impossible value, a parameter without its parent's value.
        """
        by_name = {parameter.name: parameter for parameter in self.parameters}
        for name in point:
            if name not in by_name:
                raise ConfigurationError(
                    f"{name!r} is not in the space;{nearest(str(name), by_name)} It holds: {', '.join(by_name)}."
                )
        checked: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name not in point:
                continue
            checked[parameter.name] = parameter.check(point[parameter.name])
            if not parameter.exists(checked):
                wanted = ", ".join(f"{parent} in {list(values)}" for parent, values in parameter.when)
                raise ConfigurationError(
                    f"{parameter.name} exists only for {wanted}; say so in the same point, or leave it out."
                )
        return checked

    def stored(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """A checked point as Optuna's storage holds it."""
        return {
            parameter.name: parameter.stored(point[parameter.name])
            for parameter in self.parameters
            if parameter.name in point
        }

    def distributions(self, point: Mapping[str, Any]) -> dict[str, "BaseDistribution"]:
        """Of the parameters that exist at a point, for Optuna's storage."""
        return {parameter.name: parameter.distribution() for parameter in self.parameters if parameter.name in point}

    def examples(self) -> list[dict[str, Any]]:
        """Points that together hold every choice of every categorical parameter; numbers are at their lower bounds."""
        points = [self.draw(_Lowest({}))]
        for parameter in self.parameters:
            points += [self.draw(_Lowest(self._forced(parameter, choice))) for choice in parameter.choices[1:]]
        return points

    def _forced(self, parameter: Parameter, value: Any) -> dict[str, Any]:
        """What must be drawn for a parameter to exist and to have a value."""
        by_name = {p.name: p for p in self.parameters}
        forced = {parameter.name: value}
        for parent, values in parameter.when:
            forced = {**self._forced(by_name[parent], values[0]), **forced}
        return forced

    @staticmethod
    def apply(base: Mapping[str, Any], drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of a trial: a deep copy of ``base`` (model, data, trainer) with copies of the drawn values put in.

        Copies, as a later parameter may set an element of an earlier one's choice (a list, a mapping), and the choice
        belongs to the space.
        """
        config = {part: copy.deepcopy(dict(base[part])) for part in PARTS}
        for name, value in drawn.items():
            part, _, rest = name.partition(".")
            if part in PARTS:
                target = config[part] if part == "trainer" else config[part].setdefault("init_args", {})
                _put(target, rest.split("."), copy.deepcopy(value), name)
        return config

    @staticmethod
    def read(config: Mapping[str, Any], drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The values that the drawn parameters have in a configuration by now; as drawn where it does not hold them."""
        return {name: _get(config, name.split("."), value) for name, value in drawn.items()}


def _get(config: Mapping[str, Any], path: list[str], default: Any) -> Any:
    target: Any = config
    for k, key in enumerate(path):
        if k == 1 and path[0] != "trainer":
            target = target.get("init_args", {})
        if isinstance(target, Mapping) and key in target:
            target = target[key]
        elif isinstance(target, list) and key.isdigit() and int(key) < len(target):
            target = target[int(key)]
        else:
            return default
    return target


class _Lowest:
    """A trial that takes the forced values, else the first choice or the lower bound."""

    def __init__(self, forced: Mapping[str, Any]) -> None:
        self.forced = forced

    def suggest_categorical(self, name: str, choices: list[Choice]) -> Any:
        if name not in self.forced:
            return choices[0]
        value = self.forced[name]
        return value if _storable(value) else json.dumps(value)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self.forced.get(name, low))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self.forced.get(name, low))


def _put(target: Any, path: list[str], value: Any, name: str) -> None:
    for k, key in enumerate(path[:-1]):
        empty: Any = [] if path[k + 1].isdigit() else {}
        if isinstance(target, list):
            target = target[int(key)]
        else:
            if target.get(key) is None:
                target[key] = empty
            target = target[key]
    last = path[-1]
    if isinstance(target, list) and last.isdigit():
        index = int(last)
        if index > len(target):
            raise ConfigurationError(f"{name}: the list has {len(target)} elements; element {index} cannot be set yet.")
        target[index : index + 1] = [value]
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise ConfigurationError(f"{name}: {'.'.join(path[:-1])} is {target!r}; a mapping or a list is expected.")


def _parse(name: str, spec: object, earlier: Mapping[str, Parameter]) -> Parameter:
    if isinstance(spec, list):
        spec = {"choices": spec}
    if not isinstance(spec, Mapping):
        raise ConfigurationError(
            f"space.{name} is {spec!r}; a list of choices or a mapping with low and high is expected."
        )
    for key in spec:
        if key not in _KEYS:
            raise ConfigurationError(
                f"space.{name}: unknown key {key!r};{nearest(str(key), _KEYS)} Known: {', '.join(_KEYS)}."
            )
    kind = spec.get("type", "categorical" if "choices" in spec else "float")
    if kind not in _TYPES:
        raise ConfigurationError(f"space.{name}: type is {kind!r}; it must be one of {', '.join(_TYPES)}.")
    when = _parse_when(name, spec.get("when", {}), earlier)
    if kind == "categorical":
        choices = spec.get("choices")
        if not isinstance(choices, list) or not choices:
            raise ConfigurationError(
                f"space.{name}: choices is {choices!r}; a list with at least one value is expected."
            )
        if any(choices[k] in choices[:k] for k in range(len(choices))):
            raise ConfigurationError(f"space.{name}: choices {choices} holds a value twice.")
        return Parameter(name, kind, choices=tuple(choices), when=when)
    return _parse_number(name, kind, spec, when)


def _parse_number(
    name: str, kind: str, spec: Mapping[str, Any], when: tuple[tuple[str, tuple[Any, ...]], ...]
) -> Parameter:
    if "choices" in spec:
        raise ConfigurationError(f"space.{name}: choices belong to type categorical, not {kind}; drop one of them.")
    bounds = []
    for key in ("low", "high"):
        value = spec.get(key)
        value = finite(value)
        if value is None or (kind == "int" and value != int(value)):
            raise ConfigurationError(f"space.{name}: {key} is {spec.get(key)!r}; a finite {kind} is expected.")
        bounds.append(value)
    low, high = bounds
    log = spec.get("log", False)
    if not isinstance(log, bool):
        raise ConfigurationError(f"space.{name}: log is {log!r}; true or false is expected.")
    if low > high:
        raise ConfigurationError(f"space.{name}: low {low} is above high {high}; swap them.")
    if log and low <= 0:
        raise ConfigurationError(f"space.{name}: low is {low}; a log scale needs low > 0.")
    step = finite(spec["step"]) if "step" in spec else None
    if "step" in spec and (step is None or step <= 0 or log or (kind == "int" and step != int(step))):
        raise ConfigurationError(
            f"space.{name}: step is {spec['step']!r}; a positive {kind} is expected, and it goes without log."
        )
    return Parameter(name, kind, low=low, high=high, log=log, step=step, when=when)


def _parse_when(name: str, raw: object, earlier: Mapping[str, Parameter]) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(raw, Mapping):
        raise ConfigurationError(f"space.{name}: when is {raw!r}; a mapping from parent to value is expected.")
    conditions = []
    for parent, wanted in raw.items():
        if parent not in earlier:
            raise ConfigurationError(
                f"space.{name}: its parent {parent!r} is not in the space above it;{nearest(str(parent), earlier)} "
                f"Above it: {', '.join(earlier) or 'nothing'}."
            )
        values = tuple(wanted) if isinstance(wanted, list) else (wanted,)
        for value in values:
            try:
                earlier[parent].check(value)
            except ConfigurationError as error:
                raise ConfigurationError(f"space.{name}: its parent never is {value!r}: {error}") from None
        conditions.append((str(parent), values))
    return tuple(conditions)


def _storable(choice: object) -> bool:
    return choice is None or isinstance(choice, str | int | float | bool)
