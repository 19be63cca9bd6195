"""Jobs: the units of work of a study, and what comes back from them. Plain records; JSON on the way to a worker and back.

A job belongs to a trial and has a place in the order in which a policy decided. A trial may take several jobs: a first
training of one epoch, and another one that goes on to the fourth.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from ..errors import SnnLightningError

__all__ = ["Job", "JobLostError", "Result", "StopAsked", "SweptPoint", "TrialError"]

Action = Literal["train", "resume", "child"]


class TrialError(SnnLightningError, RuntimeError):
    """A trial that cannot give a result, with the reason."""


class StopAsked(BaseException):
    """A worker was asked to stop; raised where a training can be cut off and gone on with."""


class JobLostError(Exception):
    """A worker was taken for dead, or its study is gone: somebody else has the job, and this worker stops at it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker is asked to do.

    Args:
        order: place in the study's order of decisions; results are looked at in this order.
        number: the trial it belongs to.
        action: ``train`` from scratch; ``resume`` the trial's own training where it stands; ``child``: start from the
            parent's weights and optimizer state, edited.
        config: ``number``, ``seed``, ``model``, ``data``, ``trainer``: everything that is needed to train it alone.
        until_epoch: how many epochs the trial has had when the job is done; at most the trainer's ``max_epochs``.
        parent: the trial a child starts from.
        edits: what is changed in the parent, first to last; see :mod:`snnlightning.study.edits`.
        keep_state: whether the training can be gone on with later, or inherited (``last.ckpt``).
        sweep: the arguments of the :class:`~snnlightning.study.sweep.Sweep` after the training; None: no sweep.
        sweep_above: what the first objective's metric must be better than for the sweep to happen; None: anything.
    """

    order: int
    number: int
    action: Action
    config: dict[str, Any]
    until_epoch: int
    parent: int | None = None
    edits: tuple[dict[str, Any], ...] = ()
    keep_state: bool = False
    sweep: dict[str, Any] | None = None
    sweep_above: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From :meth:`as_dict`, by way of JSON."""
        return cls(**{**raw, "edits": tuple(raw["edits"])})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweptPoint:
    """A trained network stopped early and pruned, without training it again: its objectives on the validation set."""

    stop_step: int
    prune: float
    values: dict[str, float]

    @property
    def label(self) -> str:
        """Its name among the networks of a trial's sweep: ``s12_p60`` stops at step 12 without 60 % of the weights."""
        return f"s{self.stop_step}_p{100.0 * self.prune:g}"

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From JSON."""
        return cls(stop_step=int(raw["stop_step"]), prune=float(raw["prune"]), values=dict(raw["values"]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a job of a trial reached, as the archive keeps it.

    Args:
        order: of the job.
        epochs: the trial has had since it began.
        best_epoch: the one whose weights are the checkpoint's; -1 when there is none.
        seconds: the job took.
        charged: epochs that it costs of the budget: trained ones, and what the sweep is worth.
        values: the objectives on the validation set, in the best epoch; empty when the job failed.
        violations: by how much each bound is missed; positive is infeasible.
        reason: why it failed, or which bound it misses; empty when all is well.
        swept: the points of the sweep that no other point of this trial beats.
        steps: time steps of a sample that the network looked at; 0 when nobody counted them.
    """

    order: int
    epochs: int = 0
    best_epoch: int = -1
    seconds: float = math.nan
    charged: float = 0.0
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    violations: dict[str, float] = dataclasses.field(default_factory=dict)
    reason: str = ""
    swept: tuple[SweptPoint, ...] = ()
    steps: int = 0

    @property
    def failed(self) -> bool:
        """Whether there are no values."""
        return not self.values

    @property
    def feasible(self) -> bool:
        """Whether there are values, and no bound is missed."""
        return bool(self.values) and not self.reason

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it; NaN becomes None."""
        raw = dataclasses.asdict(self)
        return {**raw, "seconds": None if math.isnan(self.seconds) else self.seconds}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From :meth:`as_dict`, by way of JSON."""
        seconds = math.nan if raw["seconds"] is None else float(raw["seconds"])
        return cls(**{**raw, "seconds": seconds, "swept": tuple(SweptPoint.of(point) for point in raw["swept"])})
