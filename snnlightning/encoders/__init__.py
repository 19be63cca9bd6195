"""Encoders: numbers, and signals over time, become spike trains. One code, one file."""

from .abstract import AbstractEncoder, AbstractSignalEncoder
from .cochlea import Cochlea
from .current_injection import CurrentInjection
from .delta import Delta
from .latency import Latency
from .poisson import Poisson
from .population import Population
from .rate import Rate

__all__ = [
    "AbstractEncoder",
    "AbstractSignalEncoder",
    "Cochlea",
    "CurrentInjection",
    "Delta",
    "Latency",
    "Poisson",
    "Population",
    "Rate",
]
