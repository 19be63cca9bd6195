"""Desk: what lies before a policy when it decides: the study, what it has tried, and the samplers' views of that."""

import dataclasses
from typing import TYPE_CHECKING

from .archive import Archive
from .search_study import SearchStudy

if TYPE_CHECKING:
    from .config import StudyConfig

__all__ = ["Desk"]


@dataclasses.dataclass
class Desk:
    """Made anew in every run; the views go by names of the policy's own."""

    config: "StudyConfig"
    archive: Archive
    views: dict[str, SearchStudy] = dataclasses.field(default_factory=dict)

    def view(self, name: str) -> SearchStudy:
        """A sampler's view; made when it is new."""
        return self.views.setdefault(name, SearchStudy(self.config))

    @property
    def sampler_seconds(self) -> float:
        """CPU time spent in drawing, in this run."""
        return sum(view.seconds for view in self.views.values())
