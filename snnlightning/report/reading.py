"""Reading: a study directory becomes :class:`~.files.StudyFiles`, or one clear StudyError.

The four files that make a study a study (``study.yaml``, ``versions.json``, ``trials.csv``, ``front.json``) must be there
and must be whole. What a trial leaves (``metrics.csv``, ``counts.json``, ``raster.json``) may be absent, and the page says
so in its place; present and unreadable is an error.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar, cast

import yaml

from ..errors import StudyError
from .fields import Fields
from .files import Counts, Direction, Finalist, Front, Layer, Mean, Objective, Point, Raster, Scale, StudyFiles
from .tables import read_metrics, read_trials

__all__ = ["read_front", "read_study"]

T = TypeVar("T")


def read_study(directory: Path) -> StudyFiles:
    """Everything the report shows about the study in ``directory``.

    Raises:
        StudyError: a required file is missing, or a file is corrupt; the message names it.
    """
    if not directory.is_dir():
        raise StudyError(f"{directory} is not a directory; a report is made from the directory of a study.")
    configuration = _text(directory / "study.yaml")
    study = Fields(_yaml(configuration, directory / "study.yaml"), str(directory / "study.yaml"))
    objectives = tuple(_objective(fields) for fields in study.each("objectives"))
    front = _with_limits(
        read_front(_json(directory / "front.json"), str(directory / "front.json")), objectives, directory
    )
    versions = Fields(_json(directory / "versions.json"), str(directory / "versions.json"))
    trials = read_trials(directory / "trials.csv", _text(directory / "trials.csv"), [o.name for o in objectives])
    numbers = [point.number for point in front.points]
    return StudyFiles(
        directory=directory,
        configuration=configuration,
        space=study.fields("space").data if study.data.get("space") else {},
        versions={key: versions.text(key) for key in versions.data},
        trials=tuple(sorted(trials, key=lambda trial: trial.number)),
        front=front,
        curves=_per_trial(directory, [t.number for t in trials], "metrics.csv", lambda p: read_metrics(p, _text(p))),
        counts=_per_trial(directory, numbers, "counts.json", lambda path: _counts(Fields(_json(path), str(path)))),
        rasters=_per_trial(directory, numbers, "raster.json", lambda path: _raster(Fields(_json(path), str(path)))),
    )


def read_front(data: object, where: str = "front.json") -> Front:
    """The decoded content of a ``front.json`` as a record.

    Args:
        data: the mapping; ``directions`` gives the objectives and their order.
        where: what to call it in a message.

    Raises:
        StudyError: a key is missing or holds something else.
    """
    fields = Fields(data, where)
    directions = fields.fields("directions")
    scales = fields.fields("scales") if "scales" in fields.data else Fields({}, where)
    reference = fields.fields("reference_point")
    hypervolume = fields.fields("hypervolume")
    if not directions.data:
        raise StudyError(f"{where}: directions is empty; at least one objective was expected.")
    objectives = tuple(
        Objective(
            name=name,
            direction=cast(Direction, directions.choice(name, "maximize", "minimize")),
            scale=cast(Scale, scales.choice(name, "linear", "log") if name in scales.data else "linear"),
            reference=reference.optional_number(name),
        )
        for name in directions.data
    )
    return Front(
        study=fields.text("study"),
        objectives=objectives,
        points=tuple(_point(point, objectives) for point in fields.each("points")),
        hypervolume_validation=hypervolume.optional_number("validation"),
        hypervolume_test=hypervolume.optional_number("test"),
        hypervolume_fresh=hypervolume.optional_number("fresh"),
        finalists=tuple(
            _finalist(one, objectives) for one in (fields.each("finalists") if fields.data.get("finalists") else ())
        ),
    )


def _point(fields: Fields, objectives: Iterable[Objective]) -> Point:
    values = fields.fields("values")
    return Point(
        number=fields.integer("number"),
        values={objective.name: values.number(objective.name) for objective in objectives},
        test=None if fields.data.get("test") is None else fields.numbers("test"),
        params=fields.fields("params").data if fields.data.get("params") else {},
        checkpoint=None if fields.data.get("checkpoint") is None else fields.text("checkpoint"),
        kind=fields.text("kind", "trained"),
    )


def _finalist(fields: Fields, objectives: Iterable[Objective]) -> Finalist:
    values, test = fields.fields("values"), fields.fields("test")
    sweep = fields.fields("sweep") if fields.data.get("sweep") else None
    return Finalist(
        number=fields.integer("number"),
        values={objective.name: values.number(objective.name) for objective in objectives},
        test={objective.name: _mean(test.fields(objective.name)) for objective in objectives},
        on_front=bool(fields.data.get("on_front", True)),
        network="" if sweep is None else f"stopped at {sweep.integer('stop_step')}, pruned {sweep.number('prune'):.0%}",
        beaten_by=tuple((one.integer("number"), one.number("probability")) for one in fields.each("beaten_by")),
    )


def _mean(fields: Fields) -> Mean:
    return Mean(fields.number("mean"), fields.optional_number("low"), fields.optional_number("high"))


def _objective(fields: Fields) -> Objective:
    return Objective(
        name=fields.text("name"),
        direction=cast(Direction, fields.choice("direction", "maximize", "minimize")),
        scale=cast(Scale, fields.choice("scale", "linear", "log") if "scale" in fields.data else "linear"),
        reference=fields.optional_number("reference"),
        at_least=fields.optional_number("at_least"),
        at_most=fields.optional_number("at_most"),
    )


def _with_limits(front: Front, objectives: tuple[Objective, ...], directory: Path) -> Front:
    """The front with the limits of feasibility that only ``study.yaml`` states."""
    ours = {objective.name: objective for objective in objectives}
    theirs = [objective.name for objective in front.objectives]
    if set(ours) != set(theirs):
        raise StudyError(
            f"{directory}: study.yaml has the objectives {', '.join(ours)} and front.json has {', '.join(theirs)}; "
            "they must be of one study."
        )
    merged = tuple(
        dataclasses.replace(objective, at_least=ours[objective.name].at_least, at_most=ours[objective.name].at_most)
        for objective in front.objectives
    )
    return dataclasses.replace(front, objectives=merged)


def _counts(fields: Fields) -> Counts:
    return Counts(
        split=fields.text("split", "test"),
        samples=fields.number("samples"),
        total=fields.number("total"),
        by_layer=fields.numbers("by_layer"),
        by_kind=fields.numbers("by_kind"),
        macs=fields.optional_number("macs"),
        neuron_updates=fields.optional_number("neuron_updates"),
    )


def _raster(fields: Fields) -> Raster:
    layers = tuple(
        Layer(layer.text("name"), layer.integer("neurons"), layer.integers("time"), layer.integers("neuron"))
        for layer in fields.each("layers")
    )
    for layer in layers:
        if len(layer.time) != len(layer.neuron):
            raise StudyError(
                f"{fields.where}: layer {layer.name!r} has {len(layer.time)} times and {len(layer.neuron)} neurons; "
                "a spike has one of each."
            )
    return Raster(
        fields.text("label"), fields.text("predicted"), fields.integer("steps"), fields.number("dt_ms"), layers
    )


def _per_trial(directory: Path, numbers: Iterable[int], name: str, read: Callable[[Path], T]) -> Mapping[int, T]:
    paths = {number: directory / "trials" / str(number) / name for number in numbers}
    return {number: read(path) for number, path in paths.items() if path.is_file()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyError(
            f"{path} is missing; a study directory has study.yaml, versions.json, trials.csv and front.json."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} cannot be read: {error}.") from error


def _json(path: Path) -> object:
    try:
        return cast(object, json.loads(_text(path)))
    except (json.JSONDecodeError, RecursionError) as error:
        raise StudyError(f"{path} is not JSON ({error}); it is corrupt or was only written in part.") from error


def _yaml(text: str, path: Path) -> object:
    try:
        return cast(object, yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise StudyError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
