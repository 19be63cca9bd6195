"""Objectives: what a study optimises. One objective, one file."""

from .abstract import AbstractObjective
from .accuracy import Accuracy
from .loss import Loss
from .spikes import Spikes
from .synops import SynOps

__all__ = ["AbstractObjective", "Accuracy", "Loss", "Spikes", "SynOps"]
