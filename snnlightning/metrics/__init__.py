"""Metrics: they count what a network did, and never price it."""

from .synops import SynOps, SynOpsCounts

__all__ = ["SynOps", "SynOpsCounts"]
