"""Fronts and volumes by hand, by inclusion and exclusion, and by their definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnlightning.errors import ShapeError
from snnlightning.pareto import attainment, dominance_ranks, hypervolume, non_dominated

NAN = math.nan
COORDINATE = st.integers(0, 6).map(float)


def points(objectives: int, size: int = 7) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(COORDINATE, min_size=objectives, max_size=objectives), min_size=1, max_size=size)


def dominates(a: list[float], b: list[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def by_inclusion_and_exclusion(rows: list[list[float]], reference: list[float]) -> float:
    inside = [row for row in rows if all(x < r for x, r in zip(row, reference, strict=True))]
    volume = 0.0
    for size in range(1, len(inside) + 1):
        for chosen in itertools.combinations(inside, size):
            corner = [max(column) for column in zip(*chosen, strict=True)]
            volume += (-1) ** (size + 1) * math.prod(r - c for r, c in zip(reference, corner, strict=True))
    return volume


@pytest.mark.parametrize(
    ("rows", "front"),
    [
        ([(5, 5), (4, 4), (1, 1), (3, 3), (2, 2)], [False, False, True, False, False]),
        ([(1, 4), (2, 2), (3, 3), (4, 1)], [True, True, False, True]),
        ([(1, 1), (1, 1), (2, 2)], [True, True, False]),
        ([(1, 2), (1, 1)], [False, True]),
        ([(NAN, 0), (1, 1), (0, NAN)], [False, True, False]),
        ([(NAN, NAN)], [False]),
        ([(math.inf, 0), (0, math.inf), (math.inf, math.inf)], [True, True, False]),
        ([(1, 5, 5), (5, 1, 5), (5, 5, 1), (5, 5, 5)], [True, True, True, False]),
        ([(3,), (1,), (2,), (1,)], [False, True, False, True]),
        ([], []),
    ],
    ids=str,
)
def test_fronts_by_hand(rows, front):
    found = non_dominated(rows)
    assert found.dtype == np.bool_
    assert found.tolist() == front


@given(st.integers(1, 4).flatmap(lambda m: points(m, size=12)))
def test_the_front_is_what_its_definition_says(rows):
    assert non_dominated(rows).tolist() == [not any(dominates(other, row) for other in rows) for row in rows]


@given(points(3), st.data())
def test_the_order_of_points_and_of_objectives_does_not_matter(rows, data):
    order = data.draw(st.permutations(range(len(rows))))
    columns = data.draw(st.permutations(range(3)))
    table = np.asarray(rows)
    assert non_dominated(table[order][:, columns]).tolist() == non_dominated(table)[order].tolist()
    assert hypervolume(table[order][:, columns], [7.0] * 3) == pytest.approx(hypervolume(table, [7.0] * 3), rel=1e-12)


@pytest.mark.parametrize(
    ("rows", "reference", "volume"),
    [
        ([(1, 3), (2, 2), (3, 1)], (4, 4), 6.0),
        ([(1, 1)], (3, 5), 8.0),
        ([(1, 1), (1, 1)], (3, 5), 8.0),
        ([(1, 1), (2, 2)], (3, 5), 8.0),
        ([(5, 5), (4, 4), (1, 1), (3, 3), (2, 2)], (6, 6), 25.0),
        ([(4, 1), (1, 4)], (4, 4), 0.0),
        ([(9, 0), (1, 1)], (2, 2), 1.0),
        ([(NAN, 0), (1, 1)], (2, 2), 1.0),
        ([(NAN, 0)], (2, 2), 0.0),
        ([], (2, 2), 0.0),
        ([(3,), (1,)], (5,), 4.0),
        ([(0, 0, 0)], (1, 2, 3), 6.0),
        ([(0, 0, 1), (1, 1, 0)], (2, 2, 2), 5.0),
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1)], (2, 2, 2), 7.0),
        ([(0.5, 1.5), (1.5, 0.5)], (2, 2), 1.25),
    ],
    ids=str,
)
def test_volumes_by_hand(rows, reference, volume):
    assert hypervolume(rows, reference) == volume


@given(st.integers(1, 4).flatmap(lambda m: points(m, size=6)))
def test_the_volume_is_that_of_inclusion_and_exclusion(rows):
    reference = [5.0] * len(rows[0])
    assert hypervolume(rows, reference) == pytest.approx(by_inclusion_and_exclusion(rows, reference), abs=1e-9)


@given(points(2))
def test_dominated_points_add_nothing_and_another_point_never_takes_away(rows):
    reference = [7.0, 7.0]
    table = np.asarray(rows)
    whole = hypervolume(table, reference)
    assert hypervolume(table[non_dominated(table)], reference) == pytest.approx(whole, rel=1e-12)
    assert hypervolume(table[:-1], reference) <= whole + 1e-12


def test_the_volume_of_a_smooth_front_is_the_area_under_it():
    x = np.linspace(0.0, 1.0, 2001)
    assert hypervolume(np.stack([x, (1.0 - np.sqrt(x)) ** 2], axis=1), [1.0, 1.0]) == pytest.approx(5.0 / 6.0, abs=1e-3)


def test_the_volume_in_four_dimensions_is_that_of_random_darts():
    generator = np.random.default_rng(0)
    rows = generator.random((8, 4))
    darts = generator.random((200_000, 4))
    hit = (rows[None] <= darts[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(rows, [1.0] * 4) == pytest.approx(hit, abs=4.0 * math.sqrt(hit * (1.0 - hit) / len(darts)))


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"values are \[2\]; a table \[n points, m objectives\] is expected"):
        non_dominated([1.0, 2.0])
    with pytest.raises(ShapeError, match="points have 2 columns and the reference point 3"):
        hypervolume([[1.0, 2.0]], [1.0, 2.0, 3.0])


def test_the_values_that_came_are_left_alone():
    table = np.asarray([[2.0, 1.0], [1.0, 2.0], [NAN, 0.0]])
    kept = table.copy()
    non_dominated(table)
    hypervolume(table, [3.0, 3.0])
    assert np.array_equal(table, kept, equal_nan=True)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_moocore_says_the_same(objectives):
    """Library of the inventors of these algorithms, in C; not used by the package, which is fast enough for its fronts."""
    moocore = pytest.importorskip("moocore", reason="moocore is not installed")
    random = np.random.default_rng(objectives)
    for rows in (random.random((40, objectives)), random.integers(0, 6, (40, objectives)).astype(np.float64)):
        reference = [0.9 * rows.max()] * objectives
        assert hypervolume(rows, reference) == pytest.approx(moocore.hypervolume(rows, ref=reference), rel=1e-12)
        assert np.array_equal(non_dominated(rows), moocore.is_nondominated(rows, keep_weakly=True))
        assert np.array_equal(dominance_ranks(rows), moocore.pareto_rank(rows))


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 1.0])
def test_moocore_draws_the_same_attainment_surfaces(share):
    moocore = pytest.importorskip("moocore", reason="moocore is not installed")
    random = np.random.default_rng(1)
    fronts = [random.integers(0, 12, (8, 2)).astype(np.float64) for _ in range(5)]
    sets = np.repeat(np.arange(1, 6), 8)
    surface = moocore.eaf(np.vstack(fronts), sets=sets, percentiles=[100.0 * share])
    assert attainment(fronts, share) == sorted((x, y) for x, y, _ in surface.tolist())
