"""Loops said in vectors do what the plain loop beside each says, to the bit, at every length."""

import functools

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="Numba is not installed; pip install 'snnlightning[fast]'")

from snnlightning.neurons._numba import vectors  # noqa: E402

SIZES = (1, 3, 4, 15, 16, 18, 21, 64, 67, 100, 129, 200)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: np.dtype(d).name)


@vectors.rowwise(2)
def mixed(a, x, y):
    return a * x - y / 3, (1 - a) * x + y


@functools.cache
def compiled():
    """One function that does all of it, so that it is compiled once for each element type."""
    names = (
        "above", "sum_rows", "add_to_rows", "dots", "nonzero", "nonzero_and_other", "count_nonzero", "turned",
    )  # fmt: skip
    words = (vectors.intrinsic(getattr(vectors, name)) for name in names)
    above, sum_rows, add_to_rows, dots, nonzero, nonzero_and_other, count_nonzero, turned = words
    mix = vectors.intrinsic(mixed)

    @numba.njit
    def everything(rows, index, x, bound, number, ready, out, listed, more, dot, one, two, other, columns):
        sum_rows(rows, index, 3, 29, out)
        found = nonzero_and_other(x, listed, nonzero(x, listed, above(x, bound, listed, 2)), other)
        add_to_rows(x, index, 3, 29, more, 2)
        dots(rows, ready, 8, x, dot)
        mix(one, two, number, x, bound)
        turned(rows, columns)
        return found, count_nonzero(x)

    return everything


def plain(rows, index, x, bound, number, ready, out, listed, more, dot, one, two, other, columns):
    vectors.sum_rows(rows, index, 3, 29, out)
    found = vectors.nonzero_and_other(x, listed, vectors.nonzero(x, listed, vectors.above(x, bound, listed, 2)), other)
    vectors.add_to_rows(x, index, 3, 29, more, 2)
    vectors.dots(rows, ready, 8, x, dot)
    mixed(one, two, number, x, bound)
    vectors.turned(rows, columns)
    return found, vectors.count_nonzero(x)


def room(n, dtype):
    """What the functions write."""
    return [
        np.ones(n, dtype), np.zeros(3 * n + 3, np.int32), np.ones((30, n + 5), dtype), np.zeros(30, dtype), np.zeros(n, dtype),
        np.zeros(n, dtype), np.full(2, 5), np.zeros((n, 30), dtype),
    ]  # fmt: skip


@dtypes
@pytest.mark.parametrize("share", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("n", SIZES)
def test_what_is_said_in_vectors_is_the_plain_loop(n, share, dtype):
    rng = np.random.default_rng(n)
    rows, bound = rng.standard_normal((30, n)).astype(dtype), np.full(n, 0.1, dtype)
    index = rng.integers(0, 30, 40).astype(np.int32)
    x = np.where(rng.random(n) < 0.5, 1, rng.standard_normal(n)).astype(dtype) * (rng.random(n) <= share)
    ready = rng.integers(0, 30, 8).astype(np.int32)
    given = (rows, index, x, bound, dtype(0.3), ready)

    mine, theirs = room(n, dtype), room(n, dtype)
    found = plain(*given, *theirs)
    assert compiled()(*given, *mine) == found
    for k, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        if k == 1:  # a list, behind whose end anything may be
            np.testing.assert_array_equal(a[: found[0]], b[: found[0]])
        elif k == 3:  # sums of products, in any order
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(a, b)


@dtypes
def test_what_is_not_a_number_is_not_zero_not_one_and_not_above(dtype):
    x = np.array([np.nan, 0.0, -0.0, -1.0, np.inf, 1.0] * 30, dtype)
    n = len(x)
    made = room(n, dtype)
    index, rows = np.zeros(40, np.int32), np.zeros((30, n), dtype)
    end, count = compiled()(rows, index, x, np.zeros(n, dtype), dtype(1.0), index[:8], *made)
    sent = np.flatnonzero(x != 0).tolist()
    assert made[1][2:end].tolist() == [*np.flatnonzero(x > 0), *sent, *sent]
    assert count == len(sent)
    assert made[6].tolist() == [5 + np.count_nonzero((x != 0) & (x != 1)), 5]


@dtypes
@pytest.mark.parametrize("n", SIZES)
def test_a_list_of_all_positions_ends_with_its_room(n, dtype):
    made = room(n, dtype)
    index, rows = np.zeros(40, np.int32), np.zeros((30, n), dtype)
    end, _ = compiled()(rows, index, np.ones(n, dtype), np.zeros(n, dtype), dtype(1.0), index[:8], *made)
    assert end == 2 + 3 * n
    assert made[1].tolist() == [0, 0, *[*range(n)] * 3, 0]


@functools.cache
def moved():
    function = vectors.intrinsic(vectors.moved_by_events)

    @numba.njit
    def call(given, v, i, s, current, rows, index, lo, hi, bias, back, own, first, last, potentials, currents, row):
        function(given, v, i, s, current, rows, index, lo, hi, bias, back, own, first, last, potentials, currents, row)

    return call


@dtypes
@pytest.mark.parametrize("current", [0, 1])
@pytest.mark.parametrize("n", SIZES)
def test_a_step_from_events_is_the_plain_one(n, current, dtype):
    rng = np.random.default_rng(n)

    def some(*shape):
        return rng.standard_normal(shape).astype(dtype)

    index, own = (rng.integers(0, 30, 40).astype(np.int32) for _ in range(2))
    nothing = np.zeros((0, 0, 0), dtype)
    for own_events, kept in ((7, True), (0, False)):
        v, i, bias = some(2, n), some(2, n), some(n) if kept else some(0)
        rows, back, coefficients = some(30, n), some(30, n), some(3, n)
        ways = []
        for call in (moved(), vectors.moved_by_events):
            potentials, currents = (np.zeros((2, 5, n), dtype) if kept else nothing.copy() for _ in range(2))
            mine = v.copy(), i.copy(), potentials, currents
            call(
                coefficients,
                *mine[:2],
                1,
                current,
                rows,
                index,
                3,
                29,
                bias,
                back,
                own,
                2,
                2 + own_events,
                *mine[2:],
                8,
            )
            ways.append(mine)
        for a, b in zip(*ways, strict=True):
            np.testing.assert_array_equal(a, b)
        assert not np.array_equal(v, ways[0][0])
        assert np.array_equal(v[0], ways[0][0][0])


@functools.cache
def multiplied():
    function = vectors.intrinsic(vectors.product)

    @numba.njit
    def call(delta, rows, samples, anew, out):
        function(delta, rows, samples, anew, out)

    return call


@dtypes
@pytest.mark.parametrize("samples", [1, 2, 4, 7])
@pytest.mark.parametrize("n", SIZES)
def test_a_product_is_the_plain_one(n, samples, dtype):
    rng = np.random.default_rng(n)

    def some(*shape):  # multiples of 1/8, whose sums are exact
        return (rng.integers(-16, 17, shape) / 8).astype(dtype)

    for depth in (1, 4, 11):
        delta, rows = some(samples, depth), some(depth, n)
        for anew in (0, 1):
            mine = some(samples, n)
            theirs = mine.copy()
            multiplied()(delta, rows, samples, anew, mine)
            vectors.product(delta, rows, samples, anew, theirs)
            np.testing.assert_array_equal(mine, theirs)
            if anew:
                np.testing.assert_array_equal(mine, delta @ rows)
