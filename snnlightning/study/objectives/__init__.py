"""Objectives: what a study optimises. One objective, one file."""

from .abstract import AbstractObjective
from .accuracy import Accuracy
from .energy_pj import EnergyPj
from .footprint_bytes import FootprintBytes
from .latency_ms import LatencyMs
from .loss import Loss
from .priced import AbstractPriced
from .spikes import Spikes
from .synops import SynOps

__all__ = [
    "AbstractObjective",
    "AbstractPriced",
    "Accuracy",
    "EnergyPj",
    "FootprintBytes",
    "LatencyMs",
    "Loss",
    "Spikes",
    "SynOps",
]
