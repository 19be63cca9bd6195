"""Training: LightningModules for spiking networks."""

from .quantization import build_quantization, quantization_of
from .spiking_classifier import SpikingClassifier
from .spiking_module import SpikingModule

__all__ = ["SpikingClassifier", "SpikingModule", "build_quantization", "quantization_of"]
