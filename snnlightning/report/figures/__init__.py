"""Figures: one file per picture; each function takes records and returns a plotly figure."""

from .curves import curves_figure
from .front import front_figure
from .parallel import parallel_figure
from .raster import raster_figure
from .synops import synops_figure

__all__ = ["curves_figure", "front_figure", "parallel_figure", "raster_figure", "synops_figure"]
