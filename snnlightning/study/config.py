"""StudyConfig: what a study's YAML file says, checked.

name: digits
seed: 0
trials: 40                # the budget: so many full trainings (of max_epochs), however it is spread over networks
budget_epochs: null       # or the budget in epochs; trainings, failures and sweeps are charged to it
retries: 2              # how often a job whose worker died is run again (from its last checkpoint); may be changed later
in_flight: 4            # trials that may be open at once; with the seed it fixes the search, the workers do not
members: 1              # trials that a worker trains together, with the numbers each has alone; at most in_flight
chance_margin: 0.1      # a trial whose accuracy is not above chance by this much is infeasible
policy: {name: inherit}   # what is tried and for how long; a file of snnlightning.study.policies with its arguments.
                          # Left out: inherit where the model is a SpikingModule, else plain
sampler: {name: tpe, startup_trials: 10}
final_seeds: 0            # train the front anew so often in the end, with fresh seeds, and test it; not charged
finalists: 12             # at most so many trials
objectives:             # the first one chooses the best epoch of a training, the others break its ties
  - {name: accuracy, reference: 0.5}
  - {name: synops, reference: 30000}      # or spikes, footprint_bytes, energy_pj@PROFILE, latency_ms@PROFILE
trainer: {max_epochs: 30}
model: {class_path: SpikingClassifier, init_args: {...}}
data: {class_path: DigitsDataModule, init_args: {...}}
space: {...}            # see snnlightning.study.space
start: [{...}]          # optional: parameter values to try first
"""

import copy
import dataclasses
import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from ..errors import ConfigurationError, nearest
from ..naming import available, named
from . import objectives as objectives_folder
from . import policies as policies_folder
from .building import resolve_class
from .objectives import AbstractObjective, AbstractPriced
from .policies import AbstractPolicy
from .samplers import SAMPLERS
from .space import PARTS, Space

__all__ = ["StudyConfig"]

_REQUIRED = ("name", "objectives", "model", "data", "space")
_DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "trials": 40,
    "budget_epochs": None,
    "final_seeds": 0,
    "finalists": 12,
    "retries": 2,
    "in_flight": 4,
    "members": 1,
    "chance_margin": 0.1,
    "policy": None,
    "sampler": {"name": "tpe"},
    "trainer": {},
    "start": [],
}
LIGHTNINGS_DEFAULT = 1000
"""Epochs of a Trainer that was not told."""
_FREE_TO_CHANGE = ("trials", "budget_epochs", "retries", "members", "final_seeds", "finalists")
"""Keys that may differ when a study is taken up again; all others define it."""
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")
"""Strategies of Lightning in which every rank holds the whole network: the study keeps the weights of the best epoch."""
_ONE_FOR_ALL = ("max_epochs", "devices", "strategy")
"""Trainer arguments that a space may not vary: the budget is counted by them, or the pool is made for them."""
_OWNED = (
    "num_nodes",
    "logger",
    "callbacks",
    "enable_checkpointing",
    "enable_progress_bar",
    "enable_model_summary",
    "default_root_dir",
)


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """A study, ready to run. ``raw`` is the resolved mapping that is written to ``study.yaml``."""

    name: str
    seed: int
    trials: int
    budget_epochs: int | None
    final_seeds: int
    finalists: int
    retries: int
    in_flight: int
    members: int
    chance_margin: float
    policy: AbstractPolicy
    sampler: dict[str, Any]
    objectives: dict[str, AbstractObjective]
    base: dict[str, Any]
    space: Space
    start: tuple[dict[str, Any], ...]
    raw: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> "StudyConfig":
        """From a YAML file.

        Raises:
            ConfigurationError: no such file, not YAML, or what :meth:`parse` raises.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{path}: {error.strerror or error}; give the path of a study's YAML file."
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{path} is not YAML: {error}; give the path of a study's YAML file.") from None
        try:
            raw = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
        try:
            return cls.parse(raw)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, raw: object) -> "StudyConfig":
        """From the mapping that a YAML file holds.

        Raises:
            ConfigurationError: unknown or missing keys, values out of range, classes that cannot be imported, parameters
                of the space that no constructor takes.
        """
        if not isinstance(raw, Mapping):
            raise ConfigurationError(
                f"a study is a mapping with the keys {', '.join(_REQUIRED)}; {type(raw).__name__} came."
            )
        known = (*_REQUIRED, *_DEFAULTS)
        _only_known("", raw, known)
        missing = [key for key in _REQUIRED if key not in raw]
        if missing:
            raise ConfigurationError(f"missing: {', '.join(missing)}.")
        resolved: dict[str, Any] = {**copy.deepcopy(_DEFAULTS), **copy.deepcopy(dict(raw))}
        if not isinstance(resolved["name"], str) or not resolved["name"].strip():
            raise ConfigurationError(f"name is {resolved['name']!r}; a text is expected.")
        base = {
            "model": _component("model", resolved["model"]),
            "data": _component("data", resolved["data"]),
            "trainer": _trainer(resolved["trainer"]),
        }
        resolved.update(base)
        space = Space.parse(resolved["space"])
        _check_targets(space, base)
        objectives = _objectives(resolved["objectives"])
        resolved["objectives"] = [
            {"name": name, **{field: getattr(item, field) for field in _fields(type(item))}}
            for name, item in objectives.items()
        ]
        resolved["policy"] = resolved["policy"] or {"name": _default_policy(base)}
        policy = _policy(resolved["policy"])
        resolved["policy"] = {"name": resolved["policy"]["name"], **dataclasses.asdict(policy)}
        in_flight = _whole("in_flight", resolved["in_flight"], 1)
        if base["trainer"].get("devices", 1) > 1 and getattr(policy, "sweep", None) is not None:
            raise ConfigurationError(
                f"trainer.devices is {base['trainer']['devices']}, and policy {resolved['policy']['name']} looks at trained networks "
                "again on one device; add sweep: false to the policy, or use devices: 1."
            )
        members = _whole("members", resolved["members"], 1)
        if members > 1 and base["trainer"].get("devices", 1) > 1:
            raise ConfigurationError(
                f"members is {members} and trainer.devices {base['trainer']['devices']}; trials train together on one device: use "
                "members: 1, or devices: 1."
            )
        if members > in_flight:
            raise ConfigurationError(
                f"members is {members} and in_flight {in_flight}, so that no more than {in_flight} trials are ever open; set in_flight to "
                f"{members} times the number of workers."
            )
        config = cls(
            name=resolved["name"],
            seed=_whole("seed", resolved["seed"], 0),
            trials=_whole("trials", resolved["trials"], 1),
            final_seeds=_whole("final_seeds", resolved["final_seeds"], 0),
            finalists=_whole("finalists", resolved["finalists"], 1),
            budget_epochs=_whole_or_none("budget_epochs", resolved["budget_epochs"], 1),
            retries=_whole("retries", resolved["retries"], 0),
            in_flight=in_flight,
            members=members,
            chance_margin=_fraction("chance_margin", resolved["chance_margin"]),
            policy=policy,
            sampler=_sampler(resolved["sampler"]),
            objectives=objectives,
            base=base,
            space=space,
            start=_start(resolved["start"], space),
            raw=resolved,
        )
        least = policy.least(config.max_epochs)
        if least > config.budget:
            raise ConfigurationError(
                f"the budget is {config.budget:g} epochs, and policy {resolved['policy']['name']} trains its first network for {least}, "
                f"so that none would be trained; raise {'trials' if config.budget_epochs is None else 'budget_epochs'}, or have it "
                "train for fewer (trainer.max_epochs, or an option of the policy)."
            )
        return config

    @property
    def profiles(self) -> tuple[str, ...]:
        """The hardware profiles that the objectives name, each once."""
        priced = (item.profile for item in self.objectives.values() if isinstance(item, AbstractPriced))
        return tuple(dict.fromkeys(priced))

    def costs(self, values: Mapping[str, float]) -> list[float]:
        """Values of the objectives on their own axes, turned so that lower is better."""
        return [objective.cost(values[name]) for name, objective in self.objectives.items()]

    @property
    def ranking(self) -> list[tuple[str, float]]:
        """How epochs of one training are compared: by the first objective, ties by the next ones; pairs (metric, sign)."""
        return [
            (f"val_{objective.metric}", -1.0 if objective.direction == "maximize" else 1.0)
            for objective in self.objectives.values()
        ]

    @property
    def devices(self) -> int:
        """How many devices a trial trains on."""
        return int(self.base["trainer"].get("devices", 1))

    @property
    def gpus(self) -> int:
        """How many GPUs a trial may use; 0 when it is to train on something else."""
        return self.devices if self.base["trainer"].get("accelerator", "auto") in ("auto", "gpu", "cuda") else 0

    @property
    def max_epochs(self) -> int:
        """Epochs of a full training, as the configuration has it before anything is drawn."""
        return int(self.base["trainer"].get("max_epochs", LIGHTNINGS_DEFAULT))

    @property
    def budget(self) -> float:
        """What may be spent, in epochs."""
        return float(self.trials * self.max_epochs if self.budget_epochs is None else self.budget_epochs)

    def with_trials(self, trials: int) -> "StudyConfig":
        """The same study with a budget of another number of trials."""
        trials = _whole("trials", trials, 1)
        raw = {**self.raw, "trials": trials, "budget_epochs": None}
        return dataclasses.replace(self, trials=trials, budget_epochs=None, raw=raw)

    def difference(self, other: Mapping[str, Any]) -> str | None:
        """The first key, as a dotted path with both values, in which another study's file defines another study."""
        return _first_difference(
            "",
            {key: value for key, value in other.items() if key not in _FREE_TO_CHANGE},
            {key: value for key, value in self.raw.items() if key not in _FREE_TO_CHANGE},
        )


def _component(part: str, raw: object) -> dict[str, Any]:
    if not isinstance(raw, Mapping) or "class_path" not in raw:
        raise ConfigurationError(f"{part} needs class_path (and init_args), such as class_path: {_EXAMPLES[part]}.")
    _only_known(f"{part}.", raw, ("class_path", "init_args"))
    init_args = raw.get("init_args") or {}
    if not isinstance(init_args, Mapping):
        raise ConfigurationError(f"{part}.init_args is {init_args!r}; a mapping is expected.")
    cls = resolve_class(part, str(raw["class_path"]))
    component = {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": dict(init_args)}
    _check_arguments(part, cls, init_args)
    return component


_EXAMPLES = {"model": "SpikingClassifier", "data": "DigitsDataModule"}


def _trainer(raw: object) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise ConfigurationError(f"trainer is {raw!r}; a mapping of Trainer arguments is expected.")
    _check_trainer_names(raw)
    if "max_epochs" in raw:
        _whole("trainer.max_epochs", raw["max_epochs"], 1)
    if "devices" in raw:
        _whole("trainer.devices", raw["devices"], 1)
    if raw.get("strategy", "auto") not in STRATEGIES:
        raise ConfigurationError(
            f"trainer.strategy is {raw['strategy']!r}; a trial trains with one of {', '.join(STRATEGIES)}. The study starts the "
            "processes of a trial itself, so a strategy that starts its own (ddp_spawn, ddp_notebook) is not needed."
        )
    return dict(raw)


def _check_trainer_names(names: Iterable[object]) -> None:
    import lightning.pytorch as L

    owned = [name for name in names if name in _OWNED]
    if owned:
        raise ConfigurationError(f"trainer.{owned[0]} is set by the study itself; leave it out.")
    _only_known("trainer.", names, [name for name in inspect.signature(L.Trainer).parameters if name not in _OWNED])


def _check_targets(space: Space, base: Mapping[str, Any]) -> None:
    for parameter in space.parameters:
        part, _, rest = parameter.name.partition(".")
        if part not in PARTS:
            if rest:
                raise ConfigurationError(
                    f"space.{parameter.name}: {part!r} is no part of the study;{nearest(part, PARTS)} "
                    f"Parameters start with {', '.join(p + '.' for p in PARTS)} or have no dot."
                )
            continue
        argument = rest.split(".")[0]
        if part == "trainer" and argument in _ONE_FOR_ALL:
            raise ConfigurationError(
                f"space.{parameter.name}: all trials of a study have the same {argument}; give it under trainer, and leave it out of "
                "the space."
            )
        if part == "trainer":
            _check_trainer_names([argument])
        else:
            _check_arguments(f"space.{part}", resolve_class(part, base[part]["class_path"]), [argument])


def _check_arguments(where: str, cls: type, arguments: Any) -> None:
    parameters = inspect.signature(cls).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = list(parameters)
    for argument in arguments:
        if argument not in known:
            raise ConfigurationError(
                f"{where}: {cls.__name__} takes no {argument!r};{nearest(str(argument), known)} It takes: {', '.join(known)}."
            )


def _objectives(raw: object) -> dict[str, AbstractObjective]:
    if not isinstance(raw, list) or not raw or not all(isinstance(item, Mapping) and "name" in item for item in raw):
        raise ConfigurationError(
            f"objectives is {raw!r}; a list is expected, such as [{{name: accuracy}}, {{name: synops}}]."
        )
    objectives: dict[str, AbstractObjective] = {}
    for item in raw:
        name = str(item["name"])
        base, at, profile = name.partition("@")
        cls = named("objective", objectives_folder, base)
        priced = issubclass(cls, AbstractPriced)
        if at and not priced:
            names = [n for n, c in available(objectives_folder).items() if issubclass(c, AbstractPriced)]
            raise ConfigurationError(
                f"objective {name!r}: {base} does not depend on a chip; leave @{profile} out. "
                f"Those that do: {', '.join(names)}."
            )
        fields = _fields(cls)
        _only_known(f"objectives.{name}.", item, ("name", *fields))
        if name in objectives:
            raise ConfigurationError(f"objectives names {name!r} twice; drop one of them.")
        chip = {"profile": profile} if priced else {}
        objectives[name] = cls(**chip, **{key: value for key, value in item.items() if key != "name"})
    return objectives


def _fields(cls: type[AbstractObjective]) -> list[str]:
    """What may be said of an objective; its profile is in its name."""
    return [field.name for field in dataclasses.fields(cls) if field.name != "profile"]


def _default_policy(base: Mapping[str, Any]) -> str:
    """What suits a model: weights of a network that is none of ours cannot be edited."""
    from ..training import SpikingModule

    return "inherit" if issubclass(resolve_class("model", base["model"]["class_path"]), SpikingModule) else "plain"


def _policy(raw: object) -> AbstractPolicy:
    names = list(available(policies_folder))
    if not isinstance(raw, Mapping) or "name" not in raw:
        raise ConfigurationError(f"policy is {raw!r}; it needs a name: {', '.join(names)}.")
    cls = named("policy", policies_folder, str(raw["name"]))
    _only_known("policy.", raw, ("name", *(field.name for field in dataclasses.fields(cls))))
    return cast(AbstractPolicy, cls(**{key: value for key, value in raw.items() if key != "name"}))


def _sampler(raw: object) -> dict[str, Any]:
    if not isinstance(raw, Mapping) or "name" not in raw:
        raise ConfigurationError(f"sampler is {raw!r}; it needs a name: {', '.join(SAMPLERS)}.")
    _only_known("sampler.", raw, ("name", "startup_trials"))
    if raw["name"] not in SAMPLERS:
        raise ConfigurationError(
            f"sampler.name is {raw['name']!r};{nearest(str(raw['name']), SAMPLERS)} Available: {', '.join(SAMPLERS)}."
        )
    return {"name": raw["name"], "startup_trials": _whole("sampler.startup_trials", raw.get("startup_trials", 10), 1)}


def _start(raw: object, space: Space) -> tuple[dict[str, Any], ...]:
    if not isinstance(raw, list) or not all(isinstance(point, Mapping) for point in raw):
        raise ConfigurationError(f"start is {raw!r}; a list of mappings from parameter to value is expected.")
    points = []
    for number, point in enumerate(raw):
        try:
            points.append(space.check(point))
        except ConfigurationError as error:
            raise ConfigurationError(f"start, point {number}: {error}") from None
    return tuple(points)


def _only_known(where: str, raw: Iterable[Any], known: Any) -> None:
    for key in raw:
        if key not in known:
            raise ConfigurationError(
                f"unknown key {where + str(key)!r};{nearest(str(key), known)} Known: {', '.join(known)}."
            )


def _whole(name: str, value: object, at_least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ConfigurationError(f"{name} is {value!r}; a whole number of at least {at_least} is expected.")
    return value


def _whole_or_none(name: str, value: object, at_least: int) -> int | None:
    return None if value is None else _whole(name, value, at_least)


def _fraction(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
        raise ConfigurationError(f"{name} is {value!r}; a number in [0, 1) is expected.")
    return float(value)


def _first_difference(path: str, old: Any, new: Any) -> str | None:
    old, new = _by_name(old), _by_name(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            found = _first_difference(f"{path}.{key}".lstrip("."), old.get(key), new.get(key))
            if found:
                return found
        return None
    if _plain(old) == _plain(new):
        return None
    return f"{path} was {old!r} and is {new!r}"


def _by_name(value: Any) -> Any:
    """A list of named things as a mapping, so that a difference is told by name."""
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        return {item["name"]: item for item in value}
    return value


def _plain(value: Any) -> Any:
    """Numbers by value (``1e-3`` is read as text by YAML, ``0.001`` as a number), sequences as lists."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
