"""Encoders: numbers become spike trains. One code, one file."""

from .abstract import AbstractEncoder
from .latency import Latency
from .rate import Rate

__all__ = ["AbstractEncoder", "Latency", "Rate"]
