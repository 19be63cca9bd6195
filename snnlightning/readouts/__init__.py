"""Readouts: from the last layer over time to one number per class."""

from .abstract import AbstractReadout
from .first_spike import FirstSpike
from .last_step import LastStep
from .max_over_time import MaxOverTime
from .mean_over_time import MeanOverTime
from .spike_count import SpikeCount
from .sum_of_softmax import SumOfSoftmax

__all__ = ["AbstractReadout", "FirstSpike", "LastStep", "MaxOverTime", "MeanOverTime", "SpikeCount", "SumOfSoftmax"]
