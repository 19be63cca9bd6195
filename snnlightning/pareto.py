"""Pareto: which points nobody beats, and how much of the space they cover."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import ShapeError

__all__ = ["attainment", "dominance_ranks", "hypervolume", "non_dominated"]


def non_dominated(values: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows no other row dominates; every column is minimised.

    Row a dominates row b when it is no worse in all columns and better in one. Equal rows do not dominate each other, so
    both stay. A row with NaN is never on the front and dominates nobody.

    Args:
        values: [n, m], lower is better in every column.

    Returns:
        [n], True for the front.

    Example:
        >>> non_dominated([[1.0, 4.0], [2.0, 2.0], [3.0, 3.0], [4.0, 1.0]]).tolist()
        [True, True, False, True]
    """
    points = _table(values)
    valid: NDArray[np.bool_] = np.logical_not(np.isnan(points).any(axis=1))
    front = valid.copy()
    if points.ndim == 2 and points.shape[1] == 2 and valid.any():
        front[valid] = _staircase(points[valid])
        return front
    for k in np.flatnonzero(valid):
        others = points[valid]
        no_worse = (others <= points[k]).all(axis=1)
        better = (others < points[k]).any(axis=1)
        front[k] = not (no_worse & better).any()
    return front


def dominance_ranks(values: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the front that each row is on, when fronts are peeled off one after the other; columns are minimised.

    rank 0 is the front, rank 1 the front of what remains without it, and so on. Rows with NaN come behind all others, on a
    rank of their own.

    Args:
        values: [n, m], lower is better in every column.

    Returns:
        [n], one rank per row (not the order that sorts them).

    Source: N. Srinivas and K. Deb 1994, non-dominated sorting.

    Example:
        >>> dominance_ranks([[5.0, 5.0], [4.0, 4.0], [1.0, 1.0], [3.0, 3.0], [2.0, 2.0]]).tolist()
        [4, 3, 0, 2, 1]
    """
    points = _table(values)
    ranks = np.full(len(points), -1, dtype=np.int64)
    rank = 0
    while (left := np.flatnonzero(ranks < 0)).size:
        front = non_dominated(points[left])
        ranks[left[front] if front.any() else left] = rank
        rank += 1
    return ranks


def attainment(fronts: Sequence[Sequence[Sequence[float]]], share: float) -> list[tuple[float, float]]:
    """The corners of the region that at least a share of the fronts attain; both columns are minimised.

    A front attains a point when one of its points is no worse in both columns. Share 0.5 gives the median attainment
    surface of repeated searches, 0.25 and 0.75 its quartiles.

    Args:
        fronts: one list of points [n, 2] per search; a search may have found nothing.
        share: in (0, 1]; at least one front.

    Returns:
        Corners, by rising first column and falling second.

    Raises:
        ShapeError: no front, points of another number of columns, or a share out of range.

    Source: V. Grunert da Fonseca, C. Fonseca and A. Hall 2001, empirical attainment function.

    Example:
        >>> attainment([[(1.0, 3.0), (2.0, 1.0)], [(1.0, 2.0)], [(3.0, 0.0)]], share=0.5)
        [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]
    """
    if not fronts or not 0.0 < share <= 1.0:
        raise ShapeError(
            f"{len(fronts)} fronts and a share of {share}; at least one and a share in (0, 1] are expected."
        )
    tables = [_table(front) for front in fronts]
    if any(table.size and table.shape[1] != 2 for table in tables):
        raise ShapeError("attainment surfaces are those of two objectives; points [n, 2] are expected.")
    needed = math.ceil(share * len(fronts) - 1e-9)
    corners: list[tuple[float, float]] = []
    for x in sorted({float(x) for table in tables if table.size for x in table[:, 0]}):
        lowest = [table[table[:, 0] <= x, 1] if table.size else np.empty(0) for table in tables]
        y = float(np.sort([ys.min() if ys.size else np.inf for ys in lowest])[needed - 1])
        if np.isfinite(y) and (not corners or y < corners[-1][1]):
            corners.append((x, y))
    return corners


def hypervolume(values: Sequence[Sequence[float]] | NDArray[np.float64], reference: Sequence[float]) -> float:
    """Volume that the points dominate up to the reference point; every column is minimised, higher is better.

    Exact: a staircase of two objectives, slices of it along every further one. Points that are not better than the reference in every column add nothing;
    rows that are not finite are left out.

    Args:
        values: [n, m], lower is better in every column.
        reference: [m], the worst corner.

    Raises:
        ShapeError: the reference has another number of columns, or is not finite.

    Example:
        >>> hypervolume([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]], [4.0, 4.0])
        6.0
    """
    points = _table(values)
    corner = np.asarray(reference, dtype=np.float64)
    if points.size and points.shape[1] != len(corner):
        raise ShapeError(f"points have {points.shape[1]} columns and the reference point {len(corner)}.")
    if not np.isfinite(corner).all():
        raise ShapeError(f"the reference point {list(reference)} is not finite.")
    points = points[(points < corner).all(axis=1) & np.isfinite(points).all(axis=1)] if points.size else points
    return _volume(points, corner)


def _staircase(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """:func:`non_dominated` of two columns without NaN, by one sort: what is lower than all that lies to the left of it."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    x, y = points[order].T
    first = np.searchsorted(x, x, side="left")  # of those with the same x
    to_the_left = np.concatenate(([np.inf], np.minimum.accumulate(y)))[first]
    kept = np.empty(len(points), dtype=np.bool_)
    kept[order] = (y == y[first]) & ((y < to_the_left) | (first == 0))
    return kept


def _volume(points: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    if len(points) == 0:
        return 0.0
    if len(corner) == 1:
        return float(corner[0] - points[:, 0].min())
    if len(corner) == 2:
        x, y = points[np.argsort(points[:, 0], kind="stable")].T
        widths = np.append(x[1:], corner[0]) - x
        return float(widths @ (corner[1] - np.minimum.accumulate(y)))
    points = points[np.argsort(points[:, -1], kind="stable")]
    edges = np.append(points[1:, -1], corner[-1])
    volume = 0.0
    for k, edge in enumerate(edges):
        thickness = edge - points[k, -1]
        if thickness > 0.0:
            volume += thickness * _volume(points[: k + 1, :-1], corner[:-1])
    return float(volume)


def _table(values: Sequence[Sequence[float]] | NDArray[np.float64]) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim == 1 and points.size == 0:
        return points.reshape(0, 0)
    if points.ndim != 2:
        raise ShapeError(f"values are {list(points.shape)}; a table [n points, m objectives] is expected.")
    return points
