"""Pareto: which points nobody beats, and how much of the space they cover."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import ShapeError

__all__ = ["dominance_ranks", "hypervolume", "non_dominated"]


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


def hypervolume(values: Sequence[Sequence[float]] | NDArray[np.float64], reference: Sequence[float]) -> float:
    """Volume that the points dominate up to the reference point; every column is minimised, higher is better.

    Exact, by slicing along the last objective. Points that are not better than the reference in every column add nothing;
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


def _volume(points: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    if len(points) == 0:
        return 0.0
    if len(corner) == 1:
        return float(corner[0] - points[:, 0].min())
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
