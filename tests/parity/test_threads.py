"""Threads of the compiled loops: what they run on, what becomes of errors, and where their arrays begin."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import snnlightning
from snnlightning.layers import SpikingLayer
from snnlightning.neurons import LI, LIF
from snnlightning.neurons._fused import limits, memory, pool, weight_gradient
from snnlightning.neurons._fused.formula import formula
from snnlightning.neurons._numba import code as numba_code
from snnlightning.scan import scan
from snnlightning.surrogates import Sparse, SuperSpike, Triangle

OWN = pytest.param(True, id="own threads")
THOSE_OF_TORCH = pytest.param(
    False, id="threads of torch",
    marks=pytest.mark.skipif(pool._parallel_region() is None, reason="this torch does not compute on GNU OpenMP's threads"),
)  # fmt: skip


@pytest.fixture(params=[THOSE_OF_TORCH, OWN])
def two_threads(request, monkeypatch):
    monkeypatch.setattr(pool, "_forked", request.param)  # a forked process has threads of its own
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not say what a process has loaded")
def test_torch_has_threads_where_it_has_loaded_gnu_openmp():
    loaded = "libgomp" in Path("/proc/self/maps").read_text()
    assert (pool._parallel_region() is not None) == loaded


@pytest.mark.usefixtures("two_threads")
def test_every_task_runs_once_and_two_at_a_time():
    met, ran = threading.Barrier(2, timeout=60), []

    def task(k: int) -> None:
        met.wait()  # nobody passes alone
        ran.append((k, threading.get_ident()))

    pool.run(task, 6)
    assert sorted(k for k, _ in ran) == list(range(6))
    assert len({thread for _, thread in ran}) == 2


def fail() -> None:
    raise ValueError("of a task")


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interruptible():
    """A process that a shell started behind ``&`` ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("two_threads", "interruptible")
@pytest.mark.parametrize(("strike", "error", "most"), [(fail, ValueError, 9), (interrupt, KeyboardInterrupt, 99)])
def test_an_error_comes_out_and_ends_the_work(strike, error, most):
    ran = []

    def task(k: int) -> None:
        ran.append(k)
        if k == 3:
            strike()
        time.sleep(0.01)

    with pytest.raises(error):
        pool.run(task, 200)
    assert 4 <= len(ran) <= most
    again = []
    pool.run(again.append, 5)
    assert sorted(again) == list(range(5))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_before_the_first_task_is_not_lost(monkeypatch):
    """What ctypes only prints: a handler that raises before ``body`` has caught anything."""

    def region(body, data, threads, flags):
        raised = threading.Thread(target=lambda: body(data))  # all but this one begins
        raised.start()
        raised.join()

    monkeypatch.setattr(pool, "_forked", False)
    monkeypatch.setattr(pool, "_parallel_region", lambda: region)
    with pytest.raises(KeyboardInterrupt):
        pool.run(lambda k: None, 2)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("spike", [Triangle(), Sparse(SuperSpike(), 0.4)], ids=["threshold of each", "cut off"])
def test_what_overflows_is_infinite_and_no_warning_of_a_thread(spike):
    """In the backward pass: thresholds taken from potentials, sums over time, samples and lots; warnings are errors here."""
    grads = []
    v_th = (1.0, *[3e38] * 62) if spike == Triangle() else 1.0
    for backend in ("numba", "reference"):
        torch.manual_seed(0)
        x = (torch.rand(24, 200, 90) < 0.1).float()
        layer = SpikingLayer(90, 63, neuron=LIF(v_th=v_th, reset="zero"), bias=True, surrogate=spike, backend=backend)
        v = torch.zeros(24, 63)
        v[0] = -3e38
        out, _ = layer(x, (v,))
        out.backward(torch.full_like(out, 3e38))
        grads.append([p.grad.isfinite() for p in layer.parameters()])
    assert not all(bool(finite.all()) for finite in grads[0])
    assert all(torch.equal(*pair) for pair in zip(*grads, strict=True))


@pytest.mark.usefixtures("two_threads")
def test_a_gradient_whose_lots_are_finite_may_be_infinite(monkeypatch):
    monkeypatch.setattr(limits, "in_use", dataclasses.replace(limits.in_use, chunk_elements=1))
    w_in, x = torch.ones(1, 90, requires_grad=True), torch.zeros(2, 2, 90)
    x[:, :, 7] = 1.0
    output = scan(LI(), x, w_in, backend="numba").output
    output[:, 1].backward(torch.full((2, 1), 3e38))
    assert w_in.grad is not None
    assert w_in.grad.nonzero().tolist() == [[0, 7]]
    assert w_in.grad[0, 7].isinf()


def test_a_threshold_far_away_is_no_overflow_of_a_surrogate_that_is_cut_off():
    made = formula(numba_code, Sparse(SuperSpike(), 0.4), "float32")
    assert made is not None
    v, h = np.array([-3e38, 3e38], np.float32), np.ones(2, np.float32)
    made[0](v, np.float32(3e38), np.array(made[1], np.float32), h)
    assert h.tolist() == [0.0, 1.0]


FORKED = """
    import os, signal
    import numpy as np
    import torch

    torch.set_num_threads(2)
    {before}
    child = os.fork()
    if not child:
        signal.alarm(120)  # a hang ends here
        from snnlightning.neurons import LIF
        from snnlightning.scan import scan
        from snnlightning.surrogates import Triangle
        x = torch.from_numpy((np.arange(48 * 60 * 70).reshape(48, 60, 70) % 50 == 0).astype(np.float32))
        w = torch.from_numpy(np.linspace(-1, 2, 128 * 70, dtype=np.float32).reshape(128, 70)).requires_grad_()
        output = scan(LIF(), x, w, spike=Triangle(), backend="numba").output
        output.backward(torch.from_numpy(np.ones(output.shape, np.float32)))  # torch's own threads are not there
        os._exit(0 if np.isfinite(w.grad.numpy()).all() else 3)
    print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not say that a process was forked")
def test_a_forked_process_that_imports_the_package_after_its_parent_used_torch_has_threads_of_its_own():
    pytest.importorskip("numba", reason="Numba is not installed; pip install 'snnlightning[fast]'")
    code = textwrap.dedent(FORKED.format(before="assert (torch.zeros(400_000) + 1).sum() == 400_000"))
    path = str(Path(snnlightning.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


@pytest.mark.usefixtures("two_threads")
def test_python_threads_may_call_at_once():
    found = {}

    def call(name: int) -> None:
        mine = []
        for _ in range(30):
            pool.run(mine.append, 8)
        found[name] = mine

    callers = [threading.Thread(target=call, args=(k,)) for k in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [sorted(found[k]) for k in range(3)] == [sorted([*range(8)] * 30)] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5), (2, 0, 4), (4, 100, 128)], ids=str)
def test_arrays_begin_where_a_line_of_the_cache_does(shape, dtype):
    for made in (memory.empty(shape, dtype), memory.zeros(shape, dtype)):
        assert (made.shape, made.dtype, made.flags.c_contiguous) == (shape, np.dtype(dtype), True)
        assert made.ctypes.data % 64 == 0
    assert not made.any()


def test_scratch_is_of_each_thread_and_grows():
    scratch, found = memory.Scratch(), []
    first = scratch("a", (4, 5), np.float32)
    first.fill(1.0)
    assert scratch("a", (2, 5), np.float32).all()  # what was left there
    assert scratch("a", (40, 50), np.float64).shape == (40, 50)
    other = threading.Thread(target=lambda: found.append(scratch("a", (4, 5), np.float32)))
    other.start()
    other.join()
    for array in (found[0], scratch("b", (4, 5), np.float32)):
        assert not np.shares_memory(array, scratch("a", (4, 5), np.float32))
        assert array.ctypes.data % 64 == 0


@pytest.mark.parametrize(("chunks", "size", "lengths"), [
    (1, 100, [1]), (3, 100, [1, 2]), (4, 100, [2, 2]), (8, 100, [2, 2, 2, 2]), (37, 100, [9, 9, 9, 10]),
    (37, 2**20 + 1, [18, 19]), (37, 2**22 + 1, [37]),
])  # fmt: skip
def test_lots_hold_all_chunks_in_order(chunks, size, lengths):
    found = weight_gradient.lots(chunks, size, limits.in_use)
    assert [len(lot) for lot in found] == lengths
    assert [j for lot in found for j in lot] == list(range(chunks))
