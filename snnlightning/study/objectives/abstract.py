"""What every objective is: a number of an evaluated network, with a direction, a scale and bounds."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from ...errors import ConfigurationError
from ..numbers import finite

__all__ = ["AbstractObjective"]

Direction = Literal["maximize", "minimize"]
Scale = Literal["linear", "log"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractObjective(abc.ABC):
    """One axis of the front.

    Args:
        direction: ``maximize`` or ``minimize``; the objective's own direction when None.
        scale: ``linear`` or ``log``: the axis on which hypervolume is measured and plots are drawn. On a log axis values
            below ``smallest`` (1, for counts) count as that: a network that spends nothing is not infinitely better.
        reference: the worst value that still counts in the hypervolume; without one there is no hypervolume. Where lower is
            better on a log axis: above ``smallest``.
        at_least: a trial with a lower value is infeasible.
        at_most: a trial with a higher value is infeasible.
    """

    direction: Direction | None = None
    scale: Scale | None = None
    reference: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    quantity: ClassVar[str]
    """The metric it reads, without the stage: ``accuracy`` is ``val_accuracy`` in the search and ``test_accuracy`` at the end."""
    unit: ClassVar[str]
    natural_direction: ClassVar[Direction]
    natural_scale: ClassVar[Scale] = "linear"
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    """Between which every value lies; an interval of means is not shown beyond them."""
    smallest: ClassVar[float] = 1.0
    """The value below which nothing gets better any more on a log axis."""

    def __post_init__(self) -> None:
        name = self.metric.rstrip("@")
        if self.direction is None:
            object.__setattr__(self, "direction", self.natural_direction)
        if self.scale is None:
            object.__setattr__(self, "scale", self.natural_scale)
        for field, allowed in (("direction", ("maximize", "minimize")), ("scale", ("linear", "log"))):
            if getattr(self, field) not in allowed:
                raise ConfigurationError(
                    f"objective {name}: {field} is {getattr(self, field)!r}; it must be one of {', '.join(allowed)}."
                )
        for field in ("reference", "at_least", "at_most"):
            value = getattr(self, field)
            if value is None:
                continue
            number = finite(value)
            if number is None:
                raise ConfigurationError(f"objective {name}: {field} is {value!r}; a finite number is expected.")
            if isinstance(value, str):
                object.__setattr__(self, field, number)
        on_log = (self.direction, self.scale) == ("minimize", "log")
        if on_log and self.reference is not None and self.reference <= self.smallest:
            raise ConfigurationError(
                f"objective {name}: reference is {self.reference!r}; on a log axis values below {self.smallest:g} count as "
                f"{self.smallest:g}, so that no network is better: raise it, or take scale: linear."
            )
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ConfigurationError(
                f"objective {name}: at_least {self.at_least} is above at_most {self.at_most}; no trial could be feasible."
            )

    @property
    def metric(self) -> str:
        """The name of the metric it reads, without the stage."""
        return self.quantity

    def value(self, metrics: Mapping[str, float], stage: str) -> float:
        """The objective's value among the metrics of a stage (``val`` or ``test``).

        Raises:
            ConfigurationError: the module did not log the metric.
        """
        key = f"{stage}_{self.metric}"
        if key not in metrics:
            raise ConfigurationError(
                f"the model did not log {key!r}, which the objective needs; it logged: {', '.join(sorted(metrics))}."
            )
        return float(metrics[key])

    def cost(self, value: float) -> float:
        """The value on the objective's axis, turned so that lower is better."""
        on_axis = math.log10(max(value, self.smallest)) if self.scale == "log" else value
        return -on_axis if self.direction == "maximize" else on_axis

    def violations(self, value: float, metrics: Mapping[str, float]) -> dict[str, float]:
        """By how much each bound is missed; positive is infeasible, 0 or negative feasible.

        Args:
            value: the objective's value.
            metrics: everything that was measured with it, on the validation set.
        """
        missed = {}
        if self.at_least is not None:
            missed["at_least"] = self.at_least - value
        if self.at_most is not None:
            missed["at_most"] = value - self.at_most
        return missed
