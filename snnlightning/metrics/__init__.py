"""Metrics: they count what a network did, and never price it."""

from .counts import SynOpsCounts
from .footprint import Footprint, footprint
from .synops import SynOps

__all__ = ["Footprint", "SynOps", "SynOpsCounts", "footprint"]
