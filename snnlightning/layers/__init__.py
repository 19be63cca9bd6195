"""Layers: modules that own weights and call scan, and the networks made of them."""

from .spiking_layer import SpikingLayer
from .spiking_network import SpikingNetwork

__all__ = ["SpikingLayer", "SpikingNetwork"]
