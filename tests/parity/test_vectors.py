"""Loops said in vectors do what the plain loop beside each says, to the bit, at every length."""

import functools

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="Numba is not installed; pip install 'snnlightning[fast]'")

from snnlightning.neurons._numba import vectors  # noqa: E402

SIZES = (1, 3, 4, 15, 16, 21, 64, 100, 129, 200)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: np.dtype(d).name)


@vectors.rowwise(2)
def mixed(a, x, y):
    return a * x - y / 3, (1 - a) * x + y


@functools.cache
def compiled():
    """One function that does all of it, so that it is compiled once for each element type."""
    words = (vectors.above, vectors.sum_rows, vectors.add_to_rows, vectors.dots, vectors.nonzero, mixed)
    above, sum_rows, add_to_rows, dots, nonzero, mix = (vectors.intrinsic(word) for word in words)

    @numba.njit
    def everything(rows, index, x, bound, number, ready, out, listed, more, dot, one, two):
        sum_rows(rows, index, 3, 29, out)
        found = nonzero(x, listed, above(x, bound, listed, 2))
        add_to_rows(x, index, 3, 29, more, 2)
        dots(rows, ready, 8, x, dot)
        mix(one, two, number, x, bound)
        return found

    return everything


def plain(rows, index, x, bound, number, ready, out, listed, more, dot, one, two):
    vectors.sum_rows(rows, index, 3, 29, out)
    found = vectors.nonzero(x, listed, vectors.above(x, bound, listed, 2))
    vectors.add_to_rows(x, index, 3, 29, more, 2)
    vectors.dots(rows, ready, 8, x, dot)
    mixed(one, two, number, x, bound)
    return found


@dtypes
@pytest.mark.parametrize("n", SIZES)
def test_what_is_said_in_vectors_is_the_plain_loop(n, dtype):
    rng = np.random.default_rng(n)
    rows, bound = rng.standard_normal((30, n)).astype(dtype), np.full(n, 0.1, dtype)
    index = rng.integers(0, 30, 40).astype(np.int32)
    x = rng.standard_normal(n).astype(dtype) * (rng.random(n) < 0.4)
    ready = rng.integers(0, 30, 8).astype(np.int32)
    given = (rows, index, x, bound, dtype(0.3), ready)

    def room():
        more = np.ones((30, n + 5), dtype)
        return [np.ones(n, dtype), np.zeros(2 * n + 3, np.int32), more, np.zeros(30, dtype), np.zeros(n, dtype), np.zeros(n, dtype)]  # fmt: skip

    mine, theirs = room(), room()
    assert compiled()(*given, *mine) == plain(*given, *theirs)
    for k, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        if k == 3:  # sums of products, in any order
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(a, b)


@dtypes
def test_what_is_not_a_number_is_not_zero_and_not_above(dtype):
    x = np.array([np.nan, 0.0, -0.0, -1.0, np.inf] * 30, dtype)
    n, dot = len(x), np.zeros(30, dtype)
    listed = np.zeros(2 * n + 3, np.int32)
    index, rows = np.zeros(40, np.int32), np.zeros((30, n), dtype)
    one, two = np.zeros(n, dtype), np.zeros(n, dtype)
    end = compiled()(rows, index, x, np.zeros(n, dtype), dtype(1.0), index[:8], one.copy(), listed, np.zeros((30, n + 5), dtype), dot, one, two)  # fmt: skip
    assert listed[2:end].tolist() == [*np.flatnonzero(x > 0), *np.flatnonzero(x != 0)]
