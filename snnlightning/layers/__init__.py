"""Layers: modules that own weights and call scan, the networks made of them, and their precision on a chip."""

from .abstract import AbstractLayer, AbstractStage
from .captured import Captured
from .convolutional_layer import ConvolutionalLayer
from .delayed_layer import DelayedLayer
from .dropout import Dropout
from .folding import fold
from .members import Members, MembersOutput
from .normalization import AbstractNorm, BatchNorm, LayerNorm
from .pooling import MaxPool, SumPool
from .quantization import Quantization
from .quantizing import IntegerWeights, integer_weights, quantize
from .reshaping import Flatten, Unflatten
from .skipping import AbstractSkip, Concat, Residual
from .spiking_layer import SpikingLayer
from .spiking_network import SpikingNetwork

__all__ = [
    "AbstractLayer",
    "AbstractNorm",
    "AbstractSkip",
    "AbstractStage",
    "BatchNorm",
    "Captured",
    "Concat",
    "ConvolutionalLayer",
    "DelayedLayer",
    "Dropout",
    "Flatten",
    "IntegerWeights",
    "LayerNorm",
    "MaxPool",
    "Members",
    "MembersOutput",
    "Quantization",
    "Residual",
    "SpikingLayer",
    "SpikingNetwork",
    "SumPool",
    "Unflatten",
    "fold",
    "integer_weights",
    "quantize",
]
