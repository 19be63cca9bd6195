"""Losses on the readout's logits, and on the spike trains of the last layer."""

from .abstract import AbstractLoss, AbstractTrainLoss
from .class_rate import ClassRate
from .cross_entropy import CrossEntropy
from .early_cross_entropy import EarlyCrossEntropy
from .mean_squared_error import MeanSquaredError
from .van_rossum import VanRossum

__all__ = [
    "AbstractLoss",
    "AbstractTrainLoss",
    "ClassRate",
    "CrossEntropy",
    "EarlyCrossEntropy",
    "MeanSquaredError",
    "VanRossum",
]
