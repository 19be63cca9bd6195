"""Metrics: they count what a network did, and never price it."""

from .counts import SynOpsCounts
from .footprint import Footprint, footprint
from .neurobench import NeuroBenchCounts, NeuroBenchSynOps
from .synops import SynOps

__all__ = ["Footprint", "NeuroBenchCounts", "NeuroBenchSynOps", "SynOps", "SynOpsCounts", "footprint"]
