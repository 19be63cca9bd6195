"""Studies: a multi-objective search over surrogates and architectures, in a directory of its own."""

from .config import StudyConfig
from .runner import StudyObserver
from .study import Study

__all__ = ["Study", "StudyConfig", "StudyObserver"]
