"""What objectives on named hardware share: a profile, and that the network must fit the chip."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from ...errors import ConfigurationError
from ...hardware import load
from .abstract import AbstractObjective

__all__ = ["AbstractPriced"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractPriced(AbstractObjective):
    """An objective that is named ``QUANTITY@PROFILE``; a network that does not fit the chip is infeasible.

    Args:
        profile: a name that ``snnlightning profiles`` lists, or the path of a TOML file.
    """

    profile: str = ""

    example: ClassVar[str] = "davies2018_loihi"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.profile:
            raise ConfigurationError(
                f"objective {self.quantity} needs a chip: write {self.quantity}@PROFILE, such as "
                f"{self.quantity}@{self.example}; `snnlightning profiles` lists them."
            )
        load(self.profile)

    @property
    def metric(self) -> str:
        return f"{self.quantity}@{self.profile}"

    def violations(self, value: float, metrics: Mapping[str, float]) -> dict[str, float]:
        missed = super().violations(value, metrics)
        return {**missed, "fits": metrics.get(f"val_overload@{self.profile}", 0.0)}
