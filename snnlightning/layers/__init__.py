"""Layers: modules that own weights and call scan, the networks made of them, and their precision on a chip."""

from .abstract import AbstractLayer, AbstractStage
from .quantization import Quantization
from .quantizing import IntegerWeights, integer_weights, quantize
from .spiking_layer import SpikingLayer
from .spiking_network import SpikingNetwork

__all__ = [
    "AbstractLayer",
    "AbstractStage",
    "IntegerWeights",
    "Quantization",
    "SpikingLayer",
    "SpikingNetwork",
    "integer_weights",
    "quantize",
]
