"""Losses on the readout's logits."""

from .abstract import AbstractLoss
from .cross_entropy import CrossEntropy
from .mean_squared_error import MeanSquaredError

__all__ = ["AbstractLoss", "CrossEntropy", "MeanSquaredError"]
