"""Regularizers on spike counts: what keeps a network sparse, or awake."""

from .abstract import AbstractRegularizer
from .lower_bound import LowerBound
from .population_upper_bound import PopulationUpperBound
from .squared_count import SquaredCount
from .target_count import TargetCount
from .total_count import TotalCount
from .upper_bound import UpperBound

__all__ = [
    "AbstractRegularizer",
    "LowerBound",
    "PopulationUpperBound",
    "SquaredCount",
    "TargetCount",
    "TotalCount",
    "UpperBound",
]
