"""Metrics: they count what a network did, and never price it."""

from .counts import SynOpsCounts
from .synops import SynOps

__all__ = ["SynOps", "SynOpsCounts"]
