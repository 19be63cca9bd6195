"""What compiled layers keep from call to call: plans, numbers and arrays to work in, and nothing of what changes."""

import dataclasses
import gc
import sys
import types
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor

from snnlightning.neurons import LI, LIF, AdLIF, CubaLIF
from snnlightning.neurons._fused import limits, memory
from snnlightning.readouts import MaxOverTime
from snnlightning.scan import scan
from snnlightning.surrogates import Sparse, SuperSpike, Triangle, triangle__numba

pytest.importorskip("numba")


class Annealed(Triangle):
    """A user's surrogate, looked up by identity, whose number changes while it trains; it may hold anything."""

    __module__ = "annealed"
    __hash__ = object.__hash__
    __eq__ = object.__eq__
    scale = 1.0

    def derivative(self, x: Tensor) -> Tensor:
        return self.scale * super().derivative(x)


def parameters(surrogate: Annealed) -> tuple[float, float]:
    return (surrogate.scale * surrogate.gamma, surrogate.slope)


def given(members: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    axis = (members,) if members else ()
    x = (torch.rand(6, 12, 90, generator=generator) < 0.05).float()
    w_in = 2.0 * torch.randn(*axis, 33, 90, generator=generator)
    w_rec = 0.2 * torch.randn(*axis, 33, 33, generator=generator)
    return x, w_in.requires_grad_(), w_rec.requires_grad_()


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_number_of_a_surrogate_is_read_in_every_call(cut_off, monkeypatch):
    loops = types.SimpleNamespace(derivative=triangle__numba.derivative, parameters=parameters)
    monkeypatch.setitem(sys.modules, "annealed__numba", loops)
    own = Annealed()
    x, w_in, w_rec = given()
    for scale in (1.0, 0.1):
        object.__setattr__(own, "scale", scale)
        spike = Sparse(own, 0.5) if cut_off else own
        grads = []
        for backend in ("numba", "reference"):
            output = scan(CubaLIF(), x, w_in, w_rec, spike=spike, backend=backend).output
            grads.append(torch.autograd.grad(output.sum(), [w_in])[0])
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5 * grads[1].abs().max().item())


def test_a_surrogate_is_gone_with_the_last_that_holds_it():
    x, w_in, w_rec = given()
    own = Annealed()
    scan(CubaLIF(), x, w_in, w_rec, spike=own, backend="numba").output.sum().backward()
    seen = weakref.ref(own)
    del own
    gc.collect()
    assert seen() is None


def test_a_gradient_that_is_not_finite_says_nothing_about_the_next_one():
    x, w_in, w_rec = given()
    output = scan(CubaLIF(), x, w_in, w_rec, spike=Triangle(), backend="numba").output
    before = torch.autograd.grad(output.sum(), [w_in, w_rec], retain_graph=True)
    torch.autograd.grad(output, [w_in], torch.full_like(output, torch.inf), retain_graph=True)
    after = torch.autograd.grad(output.sum(), [w_in, w_rec])
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


NEURONS = [
    CubaLIF(detach_reset=False),
    LIF(reset="zero", detach_reset=False, refractory_ms=3.0),
    CubaLIF(ordering="spytorch", reset="zero"),
    AdLIF(detach_reset=False),
]


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: type(neuron).__name__)
@pytest.mark.parametrize("spike", [Triangle(), SuperSpike()], ids=lambda spike: type(spike).__name__)
@pytest.mark.parametrize("stored", [2**23, -1])
def test_nothing_is_read_of_what_an_earlier_pass_left(neuron, spike, stored, monkeypatch):
    """Memory that nobody has written to is NaN, or 255 in whole numbers, when a pass gets it."""
    monkeypatch.setattr(limits, "in_use", dataclasses.replace(limits.in_use, stored_bytes=stored, chunk_elements=800))
    x, w_in, w_rec = given()

    def outcome() -> list[Tensor]:
        output = scan(neuron, x, w_in, w_rec, spike=spike, backend="numba").output
        return [output, *torch.autograd.grad(output.square().sum() + output[:, -1].sum(), [w_in, w_rec])]

    def spoil(array: np.ndarray) -> np.ndarray:
        array.view(np.uint8).reshape(-1)[:] = 255  # a NaN
        return array

    expected = outcome()
    empty, take = memory.empty, memory.Scratch.of_before

    def of_before() -> memory.Scratch:
        scratch = take()
        for held, _ in scratch._held.values():
            spoil(held)
        return scratch

    monkeypatch.setattr(memory, "empty", lambda shape, dtype: spoil(empty(shape, dtype)))
    monkeypatch.setattr(memory.Scratch, "of_before", of_before)
    for _ in range(2):
        assert all(torch.equal(*pair) for pair in zip(outcome(), expected, strict=True))


def test_members_without_recurrent_synapses_stay_so_beside_others():
    x, w_in, w_rec = given(members=3)
    with torch.no_grad():
        w_rec[1] = 0.0
    for recurrent in ((True, False, True), (True, True, True)):
        output = scan(
            CubaLIF(), x, w_in, w_rec, spike=Triangle(), recurrent=recurrent, backend="numba"
        ).output  # fmt: skip
        (grad,) = torch.autograd.grad(output.sum(), [w_rec])
        assert [bool(own.any()) for own in grad] == list(recurrent)


@pytest.mark.parametrize("features", [1, 5, 20, 70])
def test_a_maximum_over_potentials_that_are_no_number_is_none(features):
    x = torch.zeros(1, 4, 90)
    x[0, 0, :2], x[0, 2, 2:4] = 1.0, 1.0  # infinity, and minus infinity to it
    w_in = torch.zeros(features, 90)
    w_in[0, :2], w_in[0, 2:4] = 3e38, -3e38
    read = [scan(LI(), x, w_in, readout=MaxOverTime(), backend=backend).read for backend in ("numba", "reference")]
    assert read[1][0, 0].isnan()
    assert torch.equal(read[0].isnan(), read[1].isnan())


def test_the_sums_of_a_narrow_member_are_its_own_beside_a_wide_one():
    """Over samples NumPy adds one column by itself in another order than columns side by side."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(40, 12, 90, generator=generator) < 0.02).float()
    w_in, bias = 2.0 * torch.randn(1, 90, generator=generator), torch.zeros(1)
    wide = [torch.zeros(2, 5, 90), torch.zeros(2, 5)]
    grads = []
    for together in (False, True):
        if together:
            wide[0][0, :1], wide[1][0, :1] = w_in, bias
        given = [t.clone().requires_grad_() for t in (wide if together else (w_in, bias))]
        sizes = [(1, 90), (5, 90)] if together else None
        output = scan(
            LIF(), x, given[0], bias=given[1], spike=SuperSpike(), sizes=sizes, backend="numba"
        ).output  # fmt: skip
        own = output[0, ..., :1] if together else output
        grad = torch.autograd.grad((own * torch.linspace(0.1, 1.7, 480).view(40, 12, 1)).sum(), given)[1]
        grads.append(grad[0, :1] if together else grad)
    assert torch.equal(*grads)


def test_arrays_to_work_in_belong_to_one_pass_at_a_time_and_large_ones_to_none():
    memory._left.clear()
    first, second = memory.Scratch.of_before(), memory.Scratch.of_before()
    assert first is not second
    first("rows", (4, 33), np.float32)
    first.leave()
    second.leave()
    assert memory.Scratch.of_before() is first
    assert memory.Scratch.of_before() not in (first, second)
    second("index", (2**24 + 1,), np.uint8)
    second.leave()
    for size in range(300, 0, -1):
        first("rows", (size,), np.float32)
    first.leave()
    assert memory.Scratch.of_before() not in (first, second)
