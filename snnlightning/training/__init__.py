"""Training: LightningModules for spiking networks."""

from .spiking_classifier import SpikingClassifier
from .spiking_module import SpikingModule

__all__ = ["SpikingClassifier", "SpikingModule"]
