"""What the files of a study directory say, as records; :mod:`.reading` fills them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

__all__ = [
    "Counts",
    "Curve",
    "Finalist",
    "Front",
    "Layer",
    "Mean",
    "Objective",
    "Point",
    "Raster",
    "StudyFiles",
    "Trial",
]

Direction = Literal["maximize", "minimize"]
Scale = Literal["linear", "log"]
State = Literal["complete", "infeasible", "failed"]
Curve = Mapping[str, tuple[float | None, ...]]
"""Columns of ``metrics.csv``, ``epoch`` among them; None where a row has no value."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """One axis of the search.

    Args:
        name: ``accuracy``, ``synops``, ... the key in every mapping of values.
        direction: whether larger (``maximize``) or smaller (``minimize``) is better.
        scale: how the axis is drawn and how distances along it are taken.
        reference: the coordinate of the hypervolume's reference point, None when not stated.
        at_least: lower limit of a feasible trial, None for no limit.
        at_most: upper limit of a feasible trial, None for no limit.
    """

    name: str
    direction: Direction
    scale: Scale = "linear"
    reference: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def maximized(self) -> bool:
        """Whether larger is better."""
        return self.direction == "maximize"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One row of ``trials.csv``; ``values`` holds no key for an objective without a finite value."""

    number: int
    state: State
    reason: str = ""
    seconds: float | None = None
    epochs: float | None = None
    seed: str = ""
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    params: Mapping[str, float | str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Point:
    """One point of the front: values on the validation split, and on the test split when it was tested."""

    number: int
    values: Mapping[str, float]
    test: Mapping[str, float] | None = None
    params: Mapping[str, object] = dataclasses.field(default_factory=dict)
    checkpoint: str | None = None
    kind: str = "trained"


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over fresh seeds and its 95 % interval; no interval for a single seed."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Finalist:
    """A trial that was trained anew with fresh seeds: what was claimed on the validation split, and what the test split says.

    Args:
        number: of the trial.
        values: of the trial itself, on the validation split.
        test: of its replays, on the test split.
        on_front: whether it is a point of the front, or only within one standard error of it.
        network: what a sweep made of it, in words; empty for the trained network.
        beaten_by: finalists that are truly no worse in everything, with the probability of that.
    """

    number: int
    values: Mapping[str, float]
    test: Mapping[str, Mean]
    on_front: bool = True
    network: str = ""
    beaten_by: tuple[tuple[int, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Front:
    """The content of ``front.json``; ``points`` are best first in the first objective and may be none."""

    study: str
    objectives: tuple[Objective, ...]
    points: tuple[Point, ...] = ()
    hypervolume_validation: float | None = None
    hypervolume_test: float | None = None
    hypervolume_fresh: float | None = None
    finalists: tuple[Finalist, ...] = ()


@dataclasses.dataclass(frozen=True)
class Counts:
    """The content of a ``counts.json``: counts per sample."""

    split: str
    samples: float
    total: float
    by_layer: Mapping[str, float]
    by_kind: Mapping[str, float]
    macs: float | None = None
    neuron_updates: float | None = None


@dataclasses.dataclass(frozen=True)
class Layer:
    """The spikes of one layer for one sample: spike k left neuron ``neuron[k]`` in step ``time[k]``."""

    name: str
    neurons: int
    time: tuple[int, ...]
    neuron: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Raster:
    """The content of a ``raster.json``: one sample through every layer."""

    label: str
    predicted: str
    steps: int
    dt_ms: float
    layers: tuple[Layer, ...]


@dataclasses.dataclass(frozen=True)
class StudyFiles:
    """Everything the page shows. Per-trial mappings have no key where the trial left no such file."""

    directory: Path
    configuration: str
    space: Mapping[str, object]
    versions: Mapping[str, str]
    trials: tuple[Trial, ...]
    front: Front
    curves: Mapping[int, Curve]
    counts: Mapping[int, Counts]
    rasters: Mapping[int, Raster]

    def in_state(self, state: State) -> tuple[Trial, ...]:
        """The trials that ended in ``state``, in the order of their numbers."""
        return tuple(trial for trial in self.trials if trial.state == state)
