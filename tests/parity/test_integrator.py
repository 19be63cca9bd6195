"""Readouts whose state stays in registers do what the plain loop beside each says, to the bit."""

import functools

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="Numba is not installed; pip install 'snnlightning[fast]'")

from snnlightning.neurons._fused.recursion import CURRENT, READ_MAX, READ_SUM  # noqa: E402
from snnlightning.neurons._numba import integrator, vectors  # noqa: E402

S, T, K = 2, 9, 30
SIZES = (4, 7, 8, 13, 16, 20, 32, 33, 35, 63, 64)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda d: np.dtype(d).name)


@functools.cache
def compiled(name):
    function = vectors.intrinsic(getattr(integrator, name))
    scope = {"function": function}
    arguments = ", ".join(f"a{k}" for k in range({"integrate": 14, "integrate_back": 10}[name]))
    exec(f"def call({arguments}):\n    function({arguments})", scope)
    return numba.njit(scope["call"])


def agree(name, given, flags):
    """Both ways write the same numbers."""
    ways = []
    for call in (compiled(name), getattr(integrator, name)):
        mine = [a.copy() for a in given]
        call(*mine, S, T, flags)
        ways.append(mine)
    for a, b in zip(*ways, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(given, ways[0], strict=True))


@dtypes
@pytest.mark.parametrize("read", [0, READ_SUM, READ_MAX])
@pytest.mark.parametrize("current", [0, CURRENT])
@pytest.mark.parametrize("n", SIZES)
def test_forward_is_the_plain_loop(n, current, read, dtype):
    rng = np.random.default_rng(n)
    pointer = np.concatenate(([0], np.cumsum(rng.integers(0, 5, S * T))))
    index = rng.integers(0, K, pointer[-1]).astype(np.int32)

    def some(*shape):
        return rng.standard_normal(shape).astype(dtype)

    def written(wanted):
        return np.zeros((S, T, n) if wanted else (0, 0, 0), dtype)

    arguments = np.zeros((S, 2, n), dtype) - (np.inf if read == READ_MAX else 0)
    for everything in (True, False):
        given = (
            pointer, index, some(K, n), some(n) if everything else some(0), some(4, n), some(S, n),
            some(S, n) if current else some(0, 0), written(everything or not read), written(everything), written(everything),
            arguments if read else some(0, 0, 0),
        )  # fmt: skip
        agree("integrate", given, current | read)


@dtypes
@pytest.mark.parametrize("current", [0, CURRENT])
@pytest.mark.parametrize("n", SIZES)
def test_backward_is_the_plain_loop(n, current, dtype):
    rng = np.random.default_rng(n)

    def some(*shape):
        return rng.standard_normal(shape).astype(dtype)

    read_back = np.stack([some(S, n), rng.integers(-1, T, (S, n)).astype(dtype)], axis=1)
    for read, output, potentials in ((0, 1, 0), (1, 0, 0), (1, 1, 1)):
        given = (
            read_back if read else some(0, 0, 0), *(some(S, T, n) if wanted else some(0, 0, 0) for wanted in (output, potentials)),
            some(4, n), some(S, n), some(S, n) if current else some(0, 0), np.zeros((S, T, n), dtype),
        )  # fmt: skip
        agree("integrate_back", given, current)
