"""Report: one self-contained HTML page, and the figures in it, from the files of a study directory.

The page reads files and nothing else: no study object, no storage, no network. Importing this folder does not import
plotly; drawing does.
"""

from .figures import curves_figure, front_figure, parallel_figure, raster_figure, synops_figure
from .files import Counts, Front, Layer, Objective, Point, Raster, StudyFiles, Trial
from .knee import knee_point
from .page import write_report
from .reading import read_front, read_study

__all__ = [
    "write_report",
    "read_study",
    "read_front",
    "front_figure",
    "parallel_figure",
    "synops_figure",
    "curves_figure",
    "raster_figure",
    "knee_point",
    "Counts",
    "Front",
    "Layer",
    "Objective",
    "Point",
    "Raster",
    "StudyFiles",
    "Trial",
]
