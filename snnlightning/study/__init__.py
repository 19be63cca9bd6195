"""Studies: a multi-objective search over surrogates and architectures, in a directory of its own."""

from .config import StudyConfig
from .study import Study, StudyObserver

__all__ = ["Study", "StudyConfig", "StudyObserver"]
