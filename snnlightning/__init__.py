"""snnlightning: recurrent spiking networks for PyTorch Lightning, and the search that finds the ones worth deploying.

The common names can be had from here (``import snnlightning as snn``); each is imported when it is first used, so that
importing the package costs next to nothing and brings neither Lightning nor Optuna, W&B or plotly along.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import DigitsDataModule, RandmanDataModule, SpikingHDF5DataModule
    from .encoders import Latency, Rate
    from .events import Events
    from .layers import (
        BatchNorm,
        ConvolutionalLayer,
        DelayedLayer,
        Dropout,
        Flatten,
        IntegerWeights,
        LayerNorm,
        MaxPool,
        Quantization,
        SpikingLayer,
        SpikingNetwork,
        SumPool,
        Unflatten,
        fold,
        integer_weights,
        quantize,
    )
    from .metrics import Footprint, NeuroBenchSynOps, SynOps, footprint
    from .neurons import ALIF, IF, LI, LIF, AdLIF, CubaLI, CubaLIF
    from .readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount, SumOfSoftmax
    from .regularizers import (
        Heterosynaptic,
        LowerBound,
        Membrane,
        PopulationUpperBound,
        QuantileUpperBound,
        QuietBurst,
        RateDivergence,
        RateUpperBound,
        SquaredCount,
        TargetCount,
        TargetRate,
        TargetSynOps,
        TotalCount,
        TotalSynOps,
        UpperBound,
        WeightSize,
    )
    from .study import Study, StudyConfig
    from .surrogates import (
        S2NN,
        ATan,
        Boxcar,
        Circ,
        ClippedInverse,
        Exponential,
        Gaussian,
        GradedExponential,
        LeakyBoxcar,
        LogTailedReLU,
        MemClamp,
        MultiGaussian,
        PeriodicExponential,
        QPseudoSpike,
        Sigmoid,
        SignLog,
        Sparse,
        SquareWave,
        StepPWL,
        SuperSpike,
        Triangle,
    )
    from .training import EnergyLogger, SpikingClassifier, SpikingModule, SynOpsBudget

__version__ = "0.1.0"

_HOMES = {
    "data": ("DigitsDataModule", "RandmanDataModule", "SpikingHDF5DataModule"),
    "encoders": ("Latency", "Rate"),
    "events": ("Events",),
    "layers": (
        "BatchNorm",
        "ConvolutionalLayer",
        "DelayedLayer",
        "Dropout",
        "Flatten",
        "IntegerWeights",
        "LayerNorm",
        "MaxPool",
        "Quantization",
        "SpikingLayer",
        "SpikingNetwork",
        "SumPool",
        "Unflatten",
        "fold",
        "integer_weights",
        "quantize",
    ),
    "metrics": ("Footprint", "NeuroBenchSynOps", "SynOps", "footprint"),
    "neurons": ("ALIF", "IF", "LI", "LIF", "AdLIF", "CubaLI", "CubaLIF"),
    "readouts": ("LastStep", "MaxOverTime", "MeanOverTime", "SpikeCount", "SumOfSoftmax"),
    "regularizers": (
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
    ),
    "study": ("Study", "StudyConfig"),
    "surrogates": (
        "ATan",
        "Boxcar",
        "Circ",
        "ClippedInverse",
        "Exponential",
        "Gaussian",
        "GradedExponential",
        "LeakyBoxcar",
        "LogTailedReLU",
        "MemClamp",
        "MultiGaussian",
        "PeriodicExponential",
        "QPseudoSpike",
        "S2NN",
        "Sigmoid",
        "SignLog",
        "Sparse",
        "SquareWave",
        "StepPWL",
        "SuperSpike",
        "Triangle",
    ),
    "training": ("EnergyLogger", "SpikingClassifier", "SpikingModule", "SynOpsBudget"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_FOLDERS = (
    *_HOMES,
    "distributions",
    "errors",
    "hardware",
    "initializers",
    "interop",
    "learning",
    "losses",
    "pareto",
    "report",
    "scan",
    "tracking",
    "units",
)

__all__ = [
    "ALIF",
    "ATan",
    "AdLIF",
    "BatchNorm",
    "Boxcar",
    "Circ",
    "ClippedInverse",
    "ConvolutionalLayer",
    "CubaLI",
    "CubaLIF",
    "DelayedLayer",
    "DigitsDataModule",
    "Dropout",
    "EnergyLogger",
    "Events",
    "Exponential",
    "Flatten",
    "Footprint",
    "Gaussian",
    "GradedExponential",
    "Heterosynaptic",
    "IF",
    "IntegerWeights",
    "LI",
    "LIF",
    "LastStep",
    "Latency",
    "LayerNorm",
    "LeakyBoxcar",
    "LogTailedReLU",
    "LowerBound",
    "MaxOverTime",
    "MaxPool",
    "MeanOverTime",
    "MemClamp",
    "Membrane",
    "MultiGaussian",
    "NeuroBenchSynOps",
    "PeriodicExponential",
    "PopulationUpperBound",
    "QPseudoSpike",
    "QuantileUpperBound",
    "Quantization",
    "QuietBurst",
    "RandmanDataModule",
    "Rate",
    "RateDivergence",
    "RateUpperBound",
    "S2NN",
    "Sigmoid",
    "SignLog",
    "Sparse",
    "SpikeCount",
    "SpikingClassifier",
    "SpikingHDF5DataModule",
    "SpikingLayer",
    "SpikingModule",
    "SpikingNetwork",
    "SquareWave",
    "SquaredCount",
    "StepPWL",
    "Study",
    "StudyConfig",
    "SumOfSoftmax",
    "SumPool",
    "SuperSpike",
    "SynOps",
    "SynOpsBudget",
    "TargetCount",
    "TargetRate",
    "TargetSynOps",
    "TotalCount",
    "TotalSynOps",
    "Triangle",
    "Unflatten",
    "UpperBound",
    "WeightSize",
    "__version__",
    "fold",
    "footprint",
    "integer_weights",
    "quantize",
]


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_FOLDERS})
