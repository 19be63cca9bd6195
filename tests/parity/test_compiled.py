"""The compiled loops say what the reference says: spikes, last state and every gradient, and how they behave at the edges."""

import dataclasses
import itertools
import logging
import math
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import Foreign, dyadic, every, neuron_variants
from torch import Tensor
from torch.nn import functional as F

import snnlightning
from snnlightning import scan as scan_module
from snnlightning.errors import ConfigurationError, MissingDependencyError
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.neurons import ALIF, IF, LI, LIF, AbstractNeuron, AdLIF, CubaLI, CubaLIF
from snnlightning.neurons._cpp import building
from snnlightning.neurons._cpp import code as cpp_code
from snnlightning.neurons._fused import layer as fused_layer
from snnlightning.neurons._fused import limits, slopes
from snnlightning.neurons._fused.formula import formula
from snnlightning.neurons._fused.forward import Forward
from snnlightning.neurons._numba import code as numba_code
from snnlightning.readouts import LastStep, MaxOverTime, MeanOverTime, SpikeCount
from snnlightning.scan import scan, supports
from snnlightning.surrogates import MultiGaussian, Sparse, SuperSpike, Triangle

pytest.importorskip("numba", reason="Numba is not installed; pip install 'snnlightning[fast]'")
CPP = pytest.mark.skipif(building.reason() is not None, reason=f"no C++ loops: {building.reason()}")
backends = pytest.mark.parametrize("backend", ["numba", pytest.param("cpp", marks=CPP)])


def variants() -> list[Any]:
    """Every neuron that has loops, in every reset, ordering and form, and some with what those do not say."""
    found = []
    for p in neuron_variants():
        neuron = p.values[0]
        if scan_module._beside(type(neuron).__module__) is None:
            continue
        if isinstance(
            neuron, AdLIF
        ):  # q = 120 belongs to decays near 1; with those of these tests it amplifies rounding
            neuron = dataclasses.replace(neuron, q=2.0)
        found.append(pytest.param(neuron, id=p.id))
    for neuron in (
        CubaLIF(refractory_ms=2.0), LIF(refractory_ms=1.0, reset="zero"), ALIF(form="yin", refractory_ms=1.0),
        AdLIF(q=2.0, refractory_ms=2.0), ALIF(form="lsnn", surrogate_argument="baseline", v_th=0.5),
        ALIF(form="eprop", surrogate_argument="relative", v_th=0.5), CubaLIF(v_th=0.75),
    ):  # fmt: skip
        changed = [f.name for f in dataclasses.fields(neuron) if getattr(neuron, f.name) != f.default]
        found.append(pytest.param(neuron, id="-".join([type(neuron).__name__, *changed])))
    return found


ALL = variants()
SPIKING = [p for p in ALL if p.values[0].spiking]
all_variants = pytest.mark.parametrize("neuron", ALL)
SIZES = (1, 7, 33, 63, 100)


def limited(monkeypatch, **changes):
    """With other limits from here on."""
    monkeypatch.setattr(limits, "in_use", dataclasses.replace(limits.in_use, **changes))


@pytest.fixture(autouse=True)
def way(request, monkeypatch):
    """Inputs go by events at any density, unless a test asks for the matrix product; variables are then computed again."""
    asked = getattr(request, "param", "events")
    limit = 2.0 if asked == "events" else -1.0
    monkeypatch.setattr(fused_layer, "_break_even", lambda features, looking_ns: limit)
    if asked == "product":
        limited(monkeypatch, stored_bytes=-1, packed_bytes=0)
    return asked


both_ways = pytest.mark.parametrize("way", ["events", "product"], indirect=True)
STEPS, BATCH = 9, 3
SURROGATES = Path(snnlightning.__file__).parent / "surrogates"


def inputs(
    neuron: AbstractNeuron, n: int, *, dtype: torch.dtype = torch.float64, density: float = 0.1, exact: bool = False,
    inputs: int | None = None, learned: str = "per_neuron", counts: bool = False, batch: int = BATCH,
) -> dict[str, Tensor | None]:  # fmt: skip
    """Everything a layer takes, all of it asking for gradients; random, or dyadic with decays of one half."""
    generator = torch.Generator().manual_seed(n)
    k = inputs or n + 3

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    x = (torch.rand(batch, STEPS, k, generator=generator) < density).to(dtype)
    if counts:
        x = x * torch.randint(1, 4, x.shape, generator=generator).to(dtype)
    tensors = {"x": x}
    if exact:
        tensors |= {"w_in": dyadic(n, k, seed=n, dtype=dtype) * 4.0, "bias": dyadic(n, seed=n + 1, dtype=dtype)}
        tensors |= {f"state {name}": dyadic(batch, n, seed=n + 2, dtype=dtype) for name in neuron.state_names}
    else:
        tensors |= {"w_in": 2.0 * randn(n, k), "bias": 0.3 * randn(n)}
        tensors |= {f"state {name}": 0.5 * randn(batch, n) for name in neuron.state_names}
    if neuron.spiking:
        tensors["w_rec"] = dyadic(n, n, seed=n + 3, dtype=dtype) if exact else randn(n, n) / math.sqrt(n)
    for name in neuron.coefficients():
        size = (n,) if learned == "per_neuron" else ()
        tensors[name] = torch.full(size, 0.5, dtype=dtype) if exact else 0.4 + 0.5 * torch.rand(size, generator=generator, dtype=dtype)  # fmt: skip
    return tensors


def outcome(
    neuron: AbstractNeuron, tensors: dict[str, Tensor], backend: str, *, spike: Any = None, gradients: bool = True
) -> dict[str, Tensor]:
    """Outputs and, with random numbers from above, the gradient of every tensor, by name."""
    leaves = {name: t.detach().clone().requires_grad_(gradients) for name, t in tensors.items()}
    trace = scan(
        neuron, leaves["x"], leaves["w_in"], leaves.get("w_rec"), bias=leaves.get("bias"),
        state=tuple(leaves[f"state {name}"] for name in neuron.state_names) if "state v" in leaves else None,
        spike=(spike or Triangle(gamma=0.7)) if neuron.spiking else None,
        coefficients={name: leaves[name] for name in (*neuron.coefficients(), "v_th") if name in leaves} or None,
        potentials=True, backend=backend,
    )  # fmt: skip
    found = {"output": trace.output, "potentials": trace.potentials}
    found |= {f"last {name}": variable for name, variable in zip(neuron.state_names, trace.state, strict=True)}
    if gradients:
        generator = torch.Generator().manual_seed(99)
        loss = sum((t * torch.randn(t.shape, generator=generator).to(t.dtype)).sum() for t in found.values())
        wanted = [t for name, t in leaves.items()]
        grads = torch.autograd.grad(loss, wanted, allow_unused=True)
        found |= {f"grad {name}": g for name, g in zip(leaves, grads, strict=True) if g is not None}
    return {name: t.detach() for name, t in found.items()}


def same(mine: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    """Outputs to the spike, all others relative to the largest of their kind."""
    assert mine.keys() == theirs.keys()
    for name, expected in theirs.items():
        if name == "output" and tolerance:
            assert torch.equal(mine[name] > 0, expected > 0) or expected.unique().numel() > 2, name
        scale = expected.abs().max().item() if expected.numel() else 0.0
        torch.testing.assert_close(mine[name], expected, rtol=0.0, atol=tolerance * max(scale, 1e-30), msg=lambda m, n=name: f"{n}: {m}")  # fmt: skip


@all_variants
@pytest.mark.parametrize("n", SIZES)
@both_ways
@backends
def test_everything_equals_the_reference_in_double_precision(neuron, n, backend):
    tensors = inputs(neuron, n, density=0.05, inputs=90)
    theirs = outcome(neuron, tensors, "reference")
    same(outcome(neuron, tensors, backend), theirs, 1e-9)
    assert theirs["grad w_in"].abs().sum() > 0


@pytest.mark.parametrize("neuron", SPIKING)
@pytest.mark.parametrize("size", [(33,), ()], ids=["per_neuron", "shared"])
@pytest.mark.parametrize("detached", [True, False])
@both_ways
@backends
def test_learned_thresholds_and_their_gradients_equal_the_reference(neuron, size, detached, backend):
    neuron = dataclasses.replace(neuron, detach_reset=detached)
    tensors = inputs(neuron, 33, inputs=90, density=0.05)
    tensors["v_th"] = 0.5 + torch.rand(size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    theirs = outcome(neuron, tensors, "reference")
    same(outcome(neuron, tensors, backend), theirs, 1e-9)
    assert theirs["grad v_th"].abs().sum() > 0


@pytest.mark.parametrize(
    "spike", [SuperSpike(), MultiGaussian(), Sparse(SuperSpike(), 0.5)], ids=lambda s: type(s).__name__
)
@backends
def test_listed_thresholds_are_what_every_kind_of_surrogate_counts_from(spike, backend):
    thresholds = tuple((0.5 + torch.rand(33, generator=torch.Generator().manual_seed(5))).tolist())
    neuron = CubaLIF(v_th=thresholds)
    tensors = inputs(neuron, 33, inputs=90, density=0.05)
    tensors = {name: tensor for name, tensor in tensors.items() if name not in neuron.coefficients()}
    same(outcome(neuron, tensors, backend, spike=spike), outcome(neuron, tensors, "reference", spike=spike), 1e-9)


@pytest.mark.parametrize("neuron", SPIKING)
@pytest.mark.parametrize("flags", list(itertools.product([True, False], repeat=2)), ids=str)
@pytest.mark.parametrize("spike", [Triangle(gamma=0.7), SuperSpike(slope=3.0)], ids=lambda s: type(s).__name__)
@backends
def test_attached_and_detached_gradients_equal_the_reference(neuron, flags, spike, backend):
    neuron = dataclasses.replace(neuron, detach_reset=flags[0], detach_recurrent=flags[1])
    tensors = inputs(neuron, 33, inputs=90, density=0.03)
    same(outcome(neuron, tensors, backend, spike=spike), outcome(neuron, tensors, "reference", spike=spike), 1e-9)


@all_variants
@pytest.mark.parametrize("n", [7, 33, 100])
@backends
def test_single_precision_gradients_are_close_to_those_of_the_reference(neuron, n, backend):
    tensors = inputs(neuron, n, dtype=torch.float32, inputs=90, density=0.03)
    same(outcome(neuron, tensors, backend), outcome(neuron, tensors, "reference"), 1e-5)


def thresholds(neuron: AbstractNeuron, tensors: dict[str, Tensor]) -> float | Tensor:
    """What v[n] has to exceed, [B, T, N] where it changes: from the states between single steps of the reference."""
    if not isinstance(neuron, ALIF):
        return neuron.v_th
    state, found = tuple(tensors[f"state {name}"] for name in neuron.state_names), []
    coefficients = {name: tensors[name] for name in neuron.coefficients()}
    for x in tensors["x"].split(1, dim=1):
        found.append(neuron.threshold(state, coefficients))
        state = scan(
            neuron, x, tensors["w_in"], tensors["w_rec"], bias=tensors["bias"], state=state, spike=Triangle(gamma=0.7),
            coefficients=coefficients, backend="reference",
        ).state  # fmt: skip
    return torch.stack(found, dim=1)


@all_variants
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@backends
def test_exact_sums_give_the_same_bits_and_some_potential_sits_on_threshold(neuron, n, dtype, backend):
    tensors = inputs(neuron, n, dtype=dtype, exact=True, inputs=90, density=0.05, batch=8)
    mine, theirs = (outcome(neuron, tensors, backend, gradients=False) for backend in (backend, "reference"))
    for name, expected in theirs.items():
        assert torch.equal(mine[name], expected), name
    if neuron.spiking and n >= 63:
        on = mine["potentials"] == thresholds(neuron, tensors)
        assert on.any()
        assert not mine["output"][on].any()


@all_variants
@pytest.mark.parametrize("learned", ["shared", "per_neuron"])
@both_ways
@backends
def test_learned_time_constants_and_counts_as_input_equal_the_reference(neuron, learned, backend):
    tensors = inputs(neuron, 33, inputs=90, density=0.03, learned=learned, counts=True)
    theirs = outcome(neuron, tensors, "reference")
    assert all(f"grad {name}" in theirs for name in neuron.coefficients())
    same(outcome(neuron, tensors, backend), theirs, 1e-9)


@pytest.mark.parametrize("cls", [p for p in every("surrogates") if (SURROGATES / f"{p.id}__numba.py").exists()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@backends
def test_every_kernel_of_a_surrogate_is_its_derivative(cls, dtype, backend):
    """Compared as gradients, and beside it that the kernel was taken; where it is cut off as well."""
    whole = cls.from_height_width(1.0 if cls.__name__ != "Triangle" else 0.5, 0.3)
    for surrogate in (whole, Sparse(whole, 0.25)):
        loop, parameters = formula(numba_code if backend == "numba" else cpp_code, surrogate, str(dtype)[6:])
        v = torch.linspace(-3.0, 5.0, 1001, dtype=dtype)
        v[0] = math.nan
        mine = v.clone()
        real = v.numpy().dtype.type
        loop(mine.numpy(), real(1.0), torch.tensor(parameters, dtype=dtype).numpy(), mine.numpy())
        tolerance = 1e-6 if dtype == torch.float32 else 1e-14
        torch.testing.assert_close(mine, surrogate.derivative(v - 1.0), rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("cls", every("surrogates"))
@backends
def test_every_surrogate_gives_the_gradients_of_the_reference(cls, backend):
    neuron, surrogate = CubaLIF(), cls.from_height_width(0.7, 0.3)
    tensors = inputs(neuron, 7, inputs=20, density=0.1)
    theirs = outcome(neuron, tensors, "reference", spike=surrogate)
    same(outcome(neuron, tensors, backend, spike=surrogate), theirs, 1e-9)


@pytest.mark.parametrize("neuron", [CubaLIF(), ALIF(), AdLIF(q=2.0)], ids=lambda neuron: type(neuron).__name__)
@backends
def test_lobes_below_zero_come_back_through_recurrent_weights(neuron, backend):
    surrogate = Sparse(MultiGaussian(), 1.5)
    tensors = inputs(neuron, 33, inputs=90, density=0.05)
    tensors["w_in"] = 2.0 * tensors["w_in"]
    theirs = outcome(neuron, tensors, "reference", spike=surrogate)
    h = surrogate.derivative(theirs["potentials"] - 1.0)
    assert (h < 0).sum() > 20
    assert (h != 0).double().mean() < 0.5  # so that neurons are picked, and no product is taken
    same(outcome(neuron, tensors, backend, spike=surrogate), theirs, 1e-9)


@pytest.mark.parametrize("neuron", [LIF(), CubaLIF(ordering="spytorch", reset="zero", detach_reset=False)], ids=str)
@backends
def test_a_surrogate_of_ones_own_works_through_its_tensor_derivative(neuron, backend):
    tensors = inputs(neuron, 33, inputs=90, density=0.03)
    same(
        outcome(neuron, tensors, backend, spike=Foreign()), outcome(neuron, tensors, "reference", spike=Foreign()), 1e-9
    )


@pytest.mark.parametrize("potentials", [False, True])
@pytest.mark.parametrize("neuron", [LIF(), IF(detach_reset=False), CubaLIF(refractory_ms=2.0), CubaLIF(ordering="spytorch", reset="zero")], ids=str)  # fmt: skip
@backends
def test_a_packed_derivative_gives_the_bits_of_one_computed_again(neuron, potentials, backend, monkeypatch):
    """Nothing packed, as long as there is room, everything; a neuron has a threshold of its own, a surrogate that is never zero is not packed."""
    neuron = (
        dataclasses.replace(neuron, v_th=tuple(torch.linspace(0.8, 1.2, 100).tolist())) if neuron == LIF() else neuron
    )
    tensors = inputs(neuron, 100, dtype=torch.float32, density=0.05, batch=9)
    given = [tensors[name].requires_grad_() for name in ("x", "w_in", "w_rec")]
    limited(monkeypatch, stored_bytes=-1)
    limited(monkeypatch, packed_neurons=0)
    limited(monkeypatch, chunk_elements=3 * STEPS * 100)
    packed, put = [], slopes.Packed.put
    monkeypatch.setattr(slopes.Packed, "put", lambda own, *given: (put(own, *given), packed.append(len(own.chunks))))
    for spike in (Triangle(), Sparse(SuperSpike(), 0.4), SuperSpike()):
        found, counts = [], []
        for room in (0, 1600, 10**6):
            limited(monkeypatch, packed_bytes=room)
            packed.clear()
            trace = scan(neuron, *given, spike=spike, potentials=potentials, backend=backend)
            counts.append(packed[-1] if packed else 0)
            seen = 0.0 if trace.potentials is None else trace.potentials.cos().sum()
            found.append(torch.autograd.grad(trace.output.square().sum() + trace.state[-1].sin().sum() + seen, given))
        assert counts == [0, 0, 0] if spike == SuperSpike() else [0, 2, 3], counts
        for other in found[1:]:
            assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("neuron", [LIF(), CubaLIF(), AdLIF(), LI()], ids=lambda neuron: type(neuron).__name__)
@pytest.mark.parametrize("counts", [False, True])
@backends
def test_weights_that_go_block_by_block_give_the_bits_of_those_that_go_whole(neuron, counts, backend, monkeypatch):
    tensors = inputs(neuron, 100, dtype=torch.float32, density=0.1, counts=counts, batch=5)
    given = [tensors[name].requires_grad_() for name in ("x", "w_in", "bias", "w_rec") if name in tensors]
    spike = Triangle() if neuron.spiking else None
    found, threads = [], torch.get_num_threads()
    limited(monkeypatch, stored_bytes=-1)  # so that the drive is made again in the backward pass
    try:
        for cached, count in ((10**9, 1), (0, 1), (0, 3)):
            limited(monkeypatch, cached_bytes=cached)
            torch.set_num_threads(count)
            trace = scan(neuron, *given[:2], *given[3:], bias=given[2], spike=spike, backend=backend)
            loss = trace.output.square().sum() + trace.state[-1].sin().sum()
            found.append([trace.output, *trace.state, *torch.autograd.grad(loss, given)])
    finally:
        torch.set_num_threads(threads)
    assert found[0][-len(given) + 1].count_nonzero() > 100  # of w_in
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("neuron", [CubaLIF(), LI()], ids=str)
def test_what_asks_for_no_gradient_changes_nothing_for_the_rest(neuron):
    tensors = inputs(neuron, 7, inputs=90, density=0.03)
    whole = outcome(neuron, tensors, "numba")
    for name in tensors:
        leaves = {key: t.clone().requires_grad_(key == name) for key, t in tensors.items()}
        trace = scan(
            neuron, leaves["x"], leaves["w_in"], leaves.get("w_rec"), bias=leaves["bias"],
            state=tuple(leaves[f"state {key}"] for key in neuron.state_names),
            spike=Triangle(gamma=0.7) if neuron.spiking else None,
            coefficients={key: leaves[key] for key in neuron.coefficients()}, potentials=True, backend="numba",
        )  # fmt: skip
        generator = torch.Generator().manual_seed(99)
        parts = (trace.output, trace.potentials, *trace.state)
        loss = sum((t * torch.randn(t.shape, generator=generator).to(t.dtype)).sum() for t in parts)
        (alone,) = torch.autograd.grad(loss, [leaves[name]])
        torch.testing.assert_close(alone, whole[f"grad {name}"], rtol=1e-12, atol=1e-12)


# A node owns what it needs.


def layer_and_input(**options: Any) -> tuple[SpikingLayer, Tensor]:
    torch.manual_seed(0)
    layer = SpikingLayer(90, 33, neuron=CubaLIF(**options), surrogate=Triangle(), recurrent=True, backend="numba")
    with torch.no_grad():
        layer.w_in.mul_(6.0)
    return layer.double(), (torch.rand(20, 15, 90) < 0.05).double()


def test_two_graphs_alive_at_once_give_the_gradients_of_each_alone():
    layer, x = layer_and_input()

    def gradient(y: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(layer(y)[0].sin().sum(), [layer.w_rec])
        return found

    alone = gradient(x), gradient(x.flip(0, 1))
    first, second = layer(x)[0], layer(x.flip(0, 1))[0]
    late = (
        torch.autograd.grad(second.sin().sum(), [layer.w_rec])[0],
        torch.autograd.grad(first.sin().sum(), [layer.w_rec])[0],
    )
    assert torch.equal(late[1], alone[0])
    assert torch.equal(late[0], alone[1])
    layer(x)[0].sin().sum().backward()
    layer(x.flip(0, 1))[0].sin().sum().backward()
    torch.testing.assert_close(layer.w_rec.grad, alone[0] + alone[1], rtol=1e-12, atol=1e-12)


def test_a_graph_that_is_kept_can_be_run_back_twice_and_gives_the_same():
    layer, x = layer_and_input()
    loss = layer(x)[0].sum()
    one = torch.autograd.grad(loss, [layer.w_in], retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(loss, [layer.w_in])[0], one)


def test_double_backward_is_refused():
    layer, x = layer_and_input()
    (grad,) = torch.autograd.grad(layer(x)[0].sum(), [layer.w_in], create_graph=True)
    with pytest.raises(RuntimeError, match=r"a compiled backend has no second derivative.*use backend='reference'"):
        grad.sum().backward()


def test_weights_changed_before_backward_are_noticed():
    layer, x = layer_and_input()
    loss = layer(x)[0].sum()
    with torch.no_grad():
        layer.w_rec.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_no_gradient_no_memory_kept():
    layer, x = layer_and_input()
    with torch.no_grad():
        quiet = layer(x)[0]
    assert quiet.grad_fn is None
    assert torch.equal(quiet, layer(x)[0])


def test_inference_mode_gives_what_training_gives():
    layer, x = layer_and_input()
    with torch.inference_mode():
        quiet = layer(x)[0]
        again = layer(quiet.repeat(1, 1, 3)[..., :90])[0]
    assert torch.equal(quiet, layer(x)[0])
    assert torch.equal(again, layer(layer(x)[0].repeat(1, 1, 3)[..., :90])[0])


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_spikes_that_were_changed_in_place_arrive_changed(backend):
    """The next layer takes the event list of this one, unless the tensor is no longer what it was."""
    layer, x = layer_and_input()
    readout = torch.randn(64, 33, dtype=torch.float64)
    with torch.no_grad():
        spikes = layer(x)[0]
        spikes[:, ::2] = 0.0
        found = scan(LI(), spikes, readout, backend=backend).output
        assert torch.allclose(found, scan(LI(), spikes.clone(), readout, backend="reference").output)


@pytest.mark.parametrize("lots", [4, 2, 1])
@pytest.mark.parametrize("of_x", [False, True])
@backends
def test_any_number_of_threads_gives_the_same_bits(backend, lots, of_x, monkeypatch):
    """In single precision, where another order of the sums would show; more and fewer threads than lots, several chunks for each."""
    torch.manual_seed(0)
    limited(monkeypatch, chunk_elements=3 * 15 * 63)
    limited(monkeypatch, few_bytes=2**40 if lots == 4 else 0, many_bytes=2**40 if lots == 2 else 0)
    layer = SpikingLayer(90, 63, neuron=CubaLIF(learn_tau="per_neuron"), recurrent=True, bias=True, backend=backend)
    with torch.no_grad():
        layer.w_in.mul_(6.0)
    x, before = (torch.rand(37, 15, 90) < 0.05).float().requires_grad_(of_x), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3, 4, 5, 8):
            torch.set_num_threads(threads)
            layer.zero_grad()
            output, state = layer(x)
            (output.sum() + state[1].square().sum()).backward()
            found.append([output, *state, *(p.grad for p in layer.parameters())])
    finally:
        torch.set_num_threads(before)
    assert found[0][0].sum() > 0
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("form", ["uint8", "bool", "strided", "int64", "float64"])
def test_every_kind_of_input_tensor_is_read_as_the_reference_reads_it(form):
    layer, x = layer_and_input()
    layer = layer.float()
    given = x.repeat_interleave(2, dim=2)[..., ::2].float() if form == "strided" else x.to(getattr(torch, form))
    assert torch.equal(layer(given)[0], layer(x.float())[0])


@backends
def test_no_event_at_all_and_an_event_everywhere(backend):
    for density in (0.0, 1.0):
        tensors = inputs(CubaLIF(), 33, density=density)
        same(outcome(CubaLIF(), tensors, backend), outcome(CubaLIF(), tensors, "reference"), 1e-9)


def test_the_density_decides_which_way_the_input_goes(monkeypatch):
    monkeypatch.undo()
    seen = []
    monkeypatch.setattr(Forward, "_find", lambda *a, find=Forward._find: seen.append(1) or find(*a))
    w_in = torch.ones(256, 90)
    for density, expected in ((0.02, True), (1.0, False)):
        seen.clear()
        scan(LIF(), (torch.rand(4, 9, 90) < density).float(), w_in, spike=SuperSpike(), backend="numba")
        assert bool(seen) is expected
    for features in (20, 128, 512):
        assert fused_layer._break_even(features, 0.0) > fused_layer._break_even(features, 0.6)


def test_the_next_layer_takes_the_events_of_the_one_before(monkeypatch):
    seen = []
    monkeypatch.setattr(Forward, "_find", lambda *a, find=Forward._find: seen.append(1) or find(*a))
    layer, x = layer_and_input()
    spikes = layer(x)[0]
    assert seen
    seen.clear()
    w = torch.randn(7, 33, dtype=torch.float64, requires_grad=True)
    scan(LI(), spikes, w, backend="numba").output.sum().backward()
    assert not seen
    mine, w.grad, layer.w_rec.grad = (w.grad, layer.w_rec.grad), None, None
    scan(LI(), layer(x)[0].clone(), w, backend="reference").output.sum().backward()
    torch.testing.assert_close(mine, (w.grad, layer.w_rec.grad), rtol=1e-9, atol=1e-9)


def test_events_that_the_sampled_rows_did_not_show_are_all_counted():
    """The density is estimated from some rows; a wrong estimate costs time, and no event."""
    x = torch.zeros(2, 400, 90, dtype=torch.float64)
    x[:, 1::2] = 1.0  # the sample reads every 12th row
    w_in = torch.randn(7, 90, dtype=torch.float64)
    found = [scan(LI(), x, w_in, backend=backend).output for backend in ("numba", "reference")]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@all_variants
@pytest.mark.parametrize(("batch", "steps"), [(0, 4), (3, 0), (0, 0)])
@backends
def test_nothing_to_do_is_done_as_by_the_reference(neuron, batch, steps, backend):
    w_in = torch.ones(5, 4, requires_grad=True)
    spiking = {"w_rec": torch.ones(5, 5), "spike": SuperSpike()} if neuron.spiking else {}
    for taken in (backend, "reference"):
        trace = scan(neuron, torch.ones(batch, steps, 4), w_in, potentials=True, backend=taken, **spiking)
        assert trace.output.shape == trace.potentials.shape == (batch, steps, 5)
        assert all(not variable.any() for variable in trace.state)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
@pytest.mark.parametrize("where", ["w_in", "w_rec", "x", "bias", "state v", "above"])
@pytest.mark.parametrize("neuron", [CubaLIF(), LIF(reset="zero")], ids=["cuba", "lif"])
@backends
def test_what_is_not_finite_spreads_as_in_the_reference(neuron, where, bad, backend):
    tensors = inputs(neuron, 7, dtype=torch.float32, inputs=90, density=0.03)
    if where == "x":
        tensors["x"][1, 3, 5] = bad
    elif where != "above":
        tensors[where].view(-1)[2] = bad
    found = []
    for taken in (backend, "reference"):
        leaves = {name: t.clone().requires_grad_() for name, t in tensors.items()}
        trace = scan(
            neuron, leaves["x"], leaves["w_in"], leaves["w_rec"], bias=leaves["bias"], spike=Triangle(),
            state=tuple(leaves[f"state {name}"] for name in neuron.state_names), potentials=True, backend=taken,
        )  # fmt: skip
        above = torch.ones_like(trace.output)
        if where == "above":
            above[2, 6, 1] = bad
        trace.output.backward(above)
        used = {name: t.grad for name, t in leaves.items() if t.grad is not None}
        found.append({"output": trace.output, "potentials": trace.potentials, **used})
    for name, expected in found[1].items():
        mine = found[0][name]
        assert torch.equal(mine.isnan(), expected.isnan()), name
        assert torch.equal(mine.isinf(), expected.isinf()), name


# What is asked for, and what is taken.


class Mine(LIF):
    """A user's own neuron."""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"w_in": torch.ones(3, 4, dtype=torch.bfloat16)}, "the weights are torch.bfloat16; the kernels take float32"),
        ({"w_in": torch.ones(3, 4, device="meta")}, "w_in is on meta, and the kernels run on the CPU"),
        ({"spike": SuperSpike().soft}, "is not a surrogate's step"),
        ({"spike": lambda x: x}, "is not a surrogate's step"),
        ({"neuron": Mine()}, "Mine has no file test_compiled__fused.py beside its own"),
    ],
    ids=["dtype", "device", "soft", "function", "neuron"],
)  # fmt: skip
def test_what_the_kernels_cannot_do_is_refused_by_name_and_given_to_the_reference_by_auto(changes, reason):
    options = {"neuron": LIF(), "spike": SuperSpike(), "w_in": torch.ones(3, 4), **changes}
    neuron, x, w_in, spike = options["neuron"], torch.ones(2, 3, 4), options["w_in"], options["spike"]
    assert reason in supports("numba", neuron, x, w_in, spike)
    with pytest.raises(
        ConfigurationError, match=r"backend='numba' cannot do this: .*use backend='auto' or 'reference'"
    ):
        scan(neuron, x, w_in, spike=spike, backend="numba")
    if w_in.device.type == "cpu":
        expected = scan(neuron, x, w_in, spike=spike, backend="reference").output
        assert torch.equal(scan(neuron, x, w_in, spike=spike).output, expected)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward too"])
@pytest.mark.parametrize("neuron", [CubaLIF(), CubaLIF(ordering="spytorch", reset="zero"), ALIF(), LI()], ids=str)
@both_ways
@backends
def test_autocast_makes_the_product_of_dense_input_half_and_nothing_else(neuron, backward, backend, way):
    tensors = inputs(neuron, 63, dtype=torch.float32)
    names = [
        name for name in ("w_in", "bias", "w_rec", "x", *(f"state {n}" for n in neuron.state_names)) if name in tensors
    ]
    given = {name: tensors[name].requires_grad_() for name in names}

    def step(half: bool, product: Any = None) -> list[Tensor]:
        x, w_in, bias = (given[name] for name in ("x", "w_in", "bias"))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            source = (x, w_in) if product is None else (product(x, w_in, bias).float(), None)
            trace = scan(
                neuron, *source, given.get("w_rec"), bias=bias if product is None else None, backend=backend,
                state=tuple(given[f"state {n}"] for n in neuron.state_names), spike=SuperSpike() if neuron.spiking else None,
            )  # fmt: skip
            loss = trace.output.square().sum() + trace.state[-1].sin().sum()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half and backward):
            grads = torch.autograd.grad(loss, list(given.values()))
        found = [trace.output, *trace.state, *grads]
        assert {tensor.dtype for tensor in found} == {torch.float32}
        return found

    found, full = step(half=True), step(half=False)
    expected = full if way == "events" else step(half=True, product=torch.nn.functional.linear)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(found[1], full[1]) == (way == "events")


def test_transforms_take_the_reference():
    layer, x = layer_and_input()
    layer = layer.float()
    w_in, args = layer.w_in.detach(), (CubaLIF(), x.float())

    def run(w: Tensor) -> Tensor:
        assert "a transform of torch.func" in supports("numba", *args, w, SuperSpike())
        return scan(*args, w, spike=SuperSpike()).output

    both = torch.func.vmap(run)(torch.stack([w_in, 2.0 * w_in]))
    assert torch.equal(both[1], scan(*args, 2.0 * w_in, spike=SuperSpike(), backend="reference").output)


def test_auto_takes_the_kernels_and_says_so_once(caplog):
    scan_module._say.cache_clear()
    with caplog.at_level(logging.INFO, logger="snnlightning"):
        for _ in range(3):
            output = scan(LIF(), torch.ones(2, 3, 4), torch.ones(3, 4, requires_grad=True), spike=SuperSpike()).output
    assert type(output.grad_fn).__name__ == "_LayerBackward"
    assert [r.message for r in caplog.records if r.name == "snnlightning.scan"] == [
        "backend='auto' takes the compiled loops of Numba."
    ]


def test_without_numba_auto_takes_the_reference_and_by_name_the_install_line_comes(monkeypatch, caplog, fresh):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(scan_module, "_is_here", lambda package: False)
    monkeypatch.setattr(scan_module, "require", _missing)
    scan_module._say.cache_clear()
    with caplog.at_level(logging.INFO, logger="snnlightning"):
        output = scan(LIF(), torch.ones(2, 3, 4), torch.ones(3, 4, requires_grad=True), spike=SuperSpike()).output
    assert type(output.grad_fn).__name__ == "StackBackward0"
    assert (
        "takes the reference: Numba is not installed (pip install 'snnlightning[fast]'), and for the C++ loops: there"
        in caplog.text
    )
    with pytest.raises(MissingDependencyError, match=r"pip install 'snnlightning\[fast\]'"):
        scan(LIF(), torch.ones(2, 3, 4), torch.ones(3, 4), spike=SuperSpike(), backend="numba")


def _missing(module: str, extra: str, purpose: str) -> None:
    raise MissingDependencyError(f"{purpose} needs {module}: pip install 'snnlightning[{extra}]'.")


# Processes.

ONE_STEP = """
    import torch
    from snnlightning.neurons import CubaLIF
    from snnlightning.scan import scan
    from snnlightning.surrogates import Triangle

    torch.set_num_threads(2)

    def step():
        torch.manual_seed(0)
        w = torch.randn(64, 90, requires_grad=True)
        x = (torch.rand(16, 8, 90) < 0.05).float()
        scan(CubaLIF(), x, w, torch.ones(64, 64) / 64, spike=Triangle(), backend="numba").output.sum().backward()
        return round(w.grad.double().sum().item(), 6)

    def cpp():
        from snnlightning.neurons import LIF
        spikes = scan(LIF(), torch.ones(2, 3, 4), torch.ones(3, 4), spike=Triangle(), backend="cpp").output
        return spikes.sum().item()
"""


def python(code: str, **environment: str) -> subprocess.Popen[str]:
    path = str(Path(snnlightning.__file__).parent.parent)
    variables = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment}
    program = textwrap.dedent(ONE_STEP) + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", program], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


def answer(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    return out.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_runs_the_kernels_after_its_parent_did():
    """With threads. Sparse input: torch's own matrix products hang in a forked process when they have two threads."""
    code = """
        import os, warnings
        warnings.simplefilter("ignore")
        first = step()
        child = os.fork()
        if not child:
            os._exit(0 if step() == first else 3)
        print(os.waitpid(child, 0)[1], step() == first)
    """
    assert answer(python(code)) == "0 True"


@pytest.mark.slow
def test_processes_that_fill_one_empty_cache_at_once_agree(tmp_path):
    started = [python("print(step())", NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(3)]
    answers = {answer(process) for process in started}
    assert len(answers) == 1
    assert answer(python("print(step())", NUMBA_CACHE_DIR=str(tmp_path))) in answers


@pytest.mark.slow
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="for root no folder is read-only")
def test_a_cache_that_cannot_be_written_costs_the_cache_only(tmp_path):
    tmp_path.chmod(0o500)
    assert answer(python("print(step())", NUMBA_CACHE_DIR=str(tmp_path))) == answer(python("print(step())"))


@pytest.mark.slow
def test_a_cache_in_a_place_that_cannot_be_one_costs_the_cache_only(tmp_path):
    (tmp_path / "file").write_text("")
    wrong = answer(python("print(step())", NUMBA_CACHE_DIR=str(tmp_path / "file")))
    assert wrong == answer(python("print(step())"))


@pytest.mark.slow
def test_a_cache_that_a_crash_cut_short_is_compiled_anew(tmp_path):
    right = answer(python("print(step())", NUMBA_CACHE_DIR=str(tmp_path)))
    files = list(tmp_path.rglob("*.nb?"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:20])
    assert answer(python("print(step())", NUMBA_CACHE_DIR=str(tmp_path))) == right


# A library in C++.


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A folder for libraries of its own."""
    monkeypatch.setenv("SNNLIGHTNING_CACHE_DIR", str(tmp_path / "loops"))
    building._outcome.cache_clear()
    yield tmp_path
    building._outcome.cache_clear()


def test_a_library_that_is_there_is_loaded_where_nothing_can_be_written(fresh, monkeypatch):
    try:
        kept = building.folder() / building._name(building._compiler())
    except building.BuildError as error:
        pytest.skip(str(error))
    kept.parent.mkdir()
    monkeypatch.delenv("SNNLIGHTNING_CACHE_DIR")
    building.library()
    shutil.copy2(building.folder() / kept.name, kept)

    def refuse(*_):
        raise PermissionError(30, "Read-only file system")

    for name in ("_one_process_at_a_time", "_build"):
        monkeypatch.setattr(building, name, refuse)
    assert building._library(kept.parent) is not None


def by_cpp() -> Tensor:
    return scan(LIF(), torch.ones(2, 3, 4), torch.ones(3, 4), spike=SuperSpike(), backend="cpp").output


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        ("no-such-compiler", r"there is no C\+\+ compiler \(CXX=no-such-compiler\)"),
        ("#!/bin/sh\nexit 3\n", r"the C\+\+ compiler .* does not run"),
        ("#!/bin/sh\n[ $1 = --version ] || { echo it broke >&2; exit 1; }\n", r"the C\+\+ compiler .* fails: it broke"),
    ],
    ids=["none", "broken", "failing"],
)
def test_without_a_working_compiler_the_reason_comes_and_auto_takes_the_reference(fresh, monkeypatch, compiler, reason):
    if compiler.startswith("#!"):
        file = fresh / "compiler"
        file.write_text(compiler)
        file.chmod(0o755)
        compiler = str(file)
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(ConfigurationError, match=rf"backend='cpp' cannot do this: {reason}.*; use backend='auto'"):
        by_cpp()
    monkeypatch.setattr(scan_module, "_is_here", lambda package: False)
    output = scan(LIF(), torch.ones(2, 3, 4), torch.ones(3, 4, requires_grad=True), spike=SuperSpike()).output
    assert type(output.grad_fn).__name__ == "StackBackward0"


@CPP
def test_without_numba_auto_takes_the_loops_in_cpp(monkeypatch, caplog):
    monkeypatch.setattr(scan_module, "_is_here", lambda package: False)
    scan_module._say.cache_clear()
    with caplog.at_level(logging.INFO, logger="snnlightning"):
        output = scan(LIF(), torch.ones(2, 3, 4), torch.ones(3, 4, requires_grad=True), spike=SuperSpike()).output
    assert type(output.grad_fn).__name__ == "_LayerBackward"
    assert "backend='auto' takes the compiled loops in C++." in caplog.text


@CPP
@pytest.mark.slow
@pytest.mark.parametrize("place", ["new", "a_file", "cut_short"])
def test_a_library_is_built_wherever_there_is_room(fresh, place):
    if place == "a_file":
        (fresh / "loops").write_text("")
    if place == "cut_short":
        by_cpp()
        for file in (fresh / "loops").glob("*.so"):
            start = file.read_bytes()[:100]
            file.unlink()  # this process still runs it
            file.write_bytes(start)
        assert (
            answer(python("print(step())".replace("step", "cpp"), SNNLIGHTNING_CACHE_DIR=str(fresh / "loops")))
            == "12.0"
        )
        return
    assert by_cpp().any()
    assert len(list(fresh.glob("loops/*.so"))) == (place == "new")


@CPP
@pytest.mark.slow
def test_processes_that_build_one_library_at_once_agree(fresh):
    started = [python("print(cpp())", SNNLIGHTNING_CACHE_DIR=str(fresh / "loops")) for _ in range(3)]
    assert {answer(process) for process in started} == {"12.0"}
    assert len(list((fresh / "loops").glob("*.so"))) == 1


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_ready_drive_gives_what_its_weights_give_on_both_backends(recurrent):
    x = dyadic(3, 12, 5, seed=1)
    w_in, bias = dyadic(7, 5, seed=2).requires_grad_(), dyadic(7, seed=3).requires_grad_()
    w_rec = dyadic(7, 7, seed=4).requires_grad_() if recurrent else None
    leaves = [t for t in (w_in, bias, w_rec) if t is not None]
    found = []
    for backend, ready in (("reference", False), ("reference", True), ("numba", True)):
        given = (F.linear(x, w_in), None) if ready else (x, w_in)
        trace = scan(CubaLIF(), *given, w_rec, bias=bias, spike=SuperSpike(), potentials=True, backend=backend)
        assert trace.output.any()
        loss = (trace.output * torch.arange(7)).sum() + trace.potentials.square().sum() + trace.state[1].sum()
        found.append([trace.output, *trace.state, *torch.autograd.grad(loss, leaves)])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-10, atol=1e-10)


READ = [MaxOverTime(), MeanOverTime(), LastStep(), SpikeCount()]
INTEGRATORS = [p for p in ALL if not p.values[0].spiking]
all_reads = pytest.mark.parametrize("readout", READ, ids=lambda readout: type(readout).__name__)


def read(neuron: AbstractNeuron, tensors: dict[str, Tensor], backend: str, readout: Any, *, all_of_it: bool) -> dict[str, Tensor]:  # fmt: skip
    """Logits, last state and every gradient, with random numbers from above for the logits, and for the rest when asked."""
    leaves = {name: t.detach().clone().requires_grad_() for name, t in tensors.items()}
    trace = scan(
        neuron, leaves["x"], leaves["w_in"], bias=leaves["bias"],
        state=tuple(leaves[f"state {name}"] for name in neuron.state_names),
        coefficients={name: leaves[name] for name in neuron.coefficients()}, backend=backend, readout=readout,
    )  # fmt: skip
    found = {"read": trace.read, "trace": trace.output, **dict(zip(neuron.state_names, trace.state, strict=True))}
    # Eighths, so that exact inputs have exact gradients.
    generator = torch.Generator().manual_seed(5)
    above = {name: torch.randint(-16, 17, t.shape, generator=generator).to(t.dtype) / 8 for name, t in found.items()}
    loss = sum((found[name] * above[name]).sum() for name in (found if all_of_it else ["read"]))
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    zeros = (torch.zeros_like(t) for t in leaves.values())
    found |= {f"grad {name}": z if g is None else g for name, g, z in zip(leaves, grads, zeros, strict=True)}
    return {name: t.detach() for name, t in found.items()}


@pytest.mark.parametrize("neuron", INTEGRATORS)
@all_reads
@pytest.mark.parametrize("all_of_it", [True, False])
@both_ways
@backends
def test_readouts_over_time_give_the_logits_and_gradients_of_the_reference(neuron, readout, all_of_it, backend):
    for n, dtype, tolerance in ((7, torch.float64, 1e-9), (33, torch.float32, 1e-5)):
        tensors = inputs(neuron, n, dtype=dtype)
        mine = read(neuron, tensors, backend, readout, all_of_it=all_of_it)
        same(mine, read(neuron, tensors, "reference", readout, all_of_it=all_of_it), tolerance)


@pytest.mark.parametrize("neuron", INTEGRATORS)
@all_reads
@backends
def test_of_equal_potentials_the_first_is_read_and_exact_sums_give_the_same_bits(neuron, readout, backend):
    tensors = inputs(neuron, 33, exact=True)
    tensors |= {name: torch.zeros_like(t) for name, t in tensors.items() if name.startswith("state ")}
    tensors["x"] = tensors["x"].clone()
    tensors["x"][0] = 0.0  # with no bias, a sample that is never driven: its potentials are equal at all steps
    tensors["bias"] = torch.zeros_like(tensors["bias"])
    theirs = read(neuron, tensors, "reference", readout, all_of_it=False)
    assert not theirs["trace"][0].any()
    if isinstance(readout, MeanOverTime):
        theirs = {
            name: t for name, t in theirs.items() if name in ("trace", *neuron.state_names)
        }  # a ninth is not dyadic
    mine = read(neuron, tensors, backend, readout, all_of_it=False)
    same({name: mine[name] for name in theirs}, theirs, 0.0)


@all_reads
@backends
def test_the_loops_make_the_readout_and_no_gradient_of_the_trace_is_made(readout, backend, monkeypatch):
    monkeypatch.setattr(type(readout), "reduce", lambda self, y: pytest.fail("the trace was read again"))
    seen = []
    plain = fused_layer._backward
    monkeypatch.setattr(fused_layer, "_backward", lambda ctx, grads: seen.append(grads[0]) or plain(ctx, grads))
    layer = SpikingLayer(5, 4, neuron=CubaLI(), backend=backend)
    out = SpikingNetwork([layer], readout=readout)((torch.rand(2, 6, 5) < 0.3).float())
    out.logits.sum().backward()
    assert seen == [None]
    assert out.records[-1].output.shape == (2, 6, 4)
    assert layer.w_in.grad is not None


@backends
def test_a_readout_made_from_another_one_does_what_it_says_itself(backend):
    class Lowest(MaxOverTime):
        def reduce(self, y: Tensor) -> Tensor:
            return y.min(dim=1).values

    network = SpikingNetwork([SpikingLayer(5, 4, neuron=CubaLI(), backend=backend)], readout=Lowest())
    out = network((torch.rand(2, 6, 5) < 0.3).float())
    assert torch.equal(out.logits, out.records[-1].output.min(dim=1).values)


@all_reads
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["x", "state v"])
@backends
def test_what_is_not_finite_is_read_as_in_the_reference(readout, bad, where, backend):
    tensors = inputs(CubaLI(), 7)
    tensors[where] = tensors[where].clone()
    tensors[where][0, 0] = bad
    mine = read(CubaLI(), tensors, backend, readout, all_of_it=True)
    for name, expected in read(CubaLI(), tensors, "reference", readout, all_of_it=True).items():
        torch.testing.assert_close(
            mine[name], expected, equal_nan=True, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )


@all_reads
@backends
def test_members_read_what_each_reads_alone(readout, backend):
    generator = torch.Generator().manual_seed(3)
    x, w = torch.rand(2, 6, 5, generator=generator) - 0.5, torch.randn(3, 4, 5, generator=generator)
    together = scan(CubaLI(), x, w, backend=backend, readout=readout).read
    alone = [scan(CubaLI(), x, own, backend=backend, readout=readout).read for own in w]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-6, atol=1e-6)
