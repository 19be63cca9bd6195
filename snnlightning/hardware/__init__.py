"""Hardware: what counts cost on named chips, by which source, with what evidence.

Counting belongs to ``snnlightning.metrics``; this folder prices what was counted. Every coefficient has a band, a unit, a
scope, a kind of evidence and a source (one TOML file per source), and ``validate`` compares with published measurements.
"""

from .band import Band
from .baselines import YARDSTICKS, Baseline, baselines, quantised_bits
from .counts import Counts, CountsLike
from .estimate import Estimate, estimate
from .kernel import Kernel
from .layer_cost import LayerCost
from .limits import Misfit
from .loading import available, load, parse
from .memory import memory_prices, sram_pj
from .network import Network
from .placement import Core, Placement, place
from .profile import Coefficient, Limit, Profile
from .synapses import Layer, Synapses
from .terms import Term
from .traffic import Traffic
from .validation import Measured, validate
from .vocabulary import COEFFICIENTS, LIMITS

__all__ = [
    "available",
    "load",
    "parse",
    "estimate",
    "validate",
    "Profile",
    "Coefficient",
    "Limit",
    "Counts",
    "CountsLike",
    "Network",
    "Layer",
    "Synapses",
    "Kernel",
    "Estimate",
    "baselines",
    "Baseline",
    "YARDSTICKS",
    "quantised_bits",
    "LayerCost",
    "Term",
    "Band",
    "Misfit",
    "Placement",
    "Core",
    "Traffic",
    "place",
    "memory_prices",
    "sram_pj",
    "Measured",
    "COEFFICIENTS",
    "LIMITS",
]
