"""Training: LightningModules for spiking networks, and callbacks that read what they count."""

from .energy_logger import EnergyLogger
from .measuring import Measurement, measure
from .population import Population, Training, why_alone
from .quantization import build_quantization, quantization_of
from .spiking_classifier import SpikingClassifier
from .spiking_module import SpikingModule
from .synops_budget import SynOpsBudget
from .synops_target import SynOpsTarget, build_synops_target

__all__ = [
    "EnergyLogger",
    "Measurement",
    "Population",
    "SpikingClassifier",
    "SpikingModule",
    "SynOpsBudget",
    "SynOpsTarget",
    "Training",
    "build_quantization",
    "build_synops_target",
    "measure",
    "quantization_of",
    "why_alone",
]
