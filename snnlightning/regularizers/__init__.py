"""Regularizers: what keeps a network sparse, awake or within a budget."""

from .abstract import AbstractCountRegularizer, AbstractRateRegularizer, AbstractRegularizer, AbstractSpikeRegularizer
from .heterosynaptic import Heterosynaptic
from .lower_bound import LowerBound
from .membrane import Membrane
from .population_upper_bound import PopulationUpperBound
from .quantile_upper_bound import QuantileUpperBound
from .quiet_burst import QuietBurst
from .rate_divergence import RateDivergence
from .rate_upper_bound import RateUpperBound
from .squared_count import SquaredCount
from .target_count import TargetCount
from .target_rate import TargetRate
from .target_synops import TargetSynOps
from .total_count import TotalCount
from .total_synops import TotalSynOps
from .upper_bound import UpperBound
from .weight_size import WeightSize

__all__ = [
    "AbstractCountRegularizer",
    "AbstractRateRegularizer",
    "AbstractRegularizer",
    "AbstractSpikeRegularizer",
    "Heterosynaptic",
    "LowerBound",
    "Membrane",
    "PopulationUpperBound",
    "QuantileUpperBound",
    "QuietBurst",
    "RateDivergence",
    "RateUpperBound",
    "SquaredCount",
    "TargetCount",
    "TargetRate",
    "TargetSynOps",
    "TotalCount",
    "TotalSynOps",
    "UpperBound",
    "WeightSize",
]
