"""Members of one call know nothing of each other: each gets the numbers that it gets alone, on every backend."""

import dataclasses
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from helpers import dyadic
from torch import Tensor

from snnlightning.errors import ConfigurationError, ShapeError
from snnlightning.events import Events
from snnlightning.neurons import ALIF, IF, LI, LIF, AbstractNeuron, AdLIF, CubaLI, CubaLIF
from snnlightning.scan import scan
from snnlightning.surrogates import ATan, SuperSpike, Triangle

K, B, T, N, N_IN = 3, 5, 9, 33, 40
NEURONS = [IF(), LIF(reset="zero"), CubaLIF(ordering="spytorch", reset="zero"), CubaLIF(refractory_ms=2.0), ALIF(), AdLIF(q=2.0), LI(),
           CubaLI(ordering="stork")]  # fmt: skip
NUMBA = pytest.mark.skipif(
    find_spec("numba") is None, reason="Numba is not installed; pip install 'snnlightning[fast]'"
)
backends = pytest.mark.parametrize("backend", ["reference", pytest.param("numba", marks=NUMBA)])


def records(neuron: AbstractNeuron) -> list[AbstractNeuron]:
    """K of them that differ in every number they have."""
    found = []
    for k in range(K):
        changes: dict[str, Any] = {name: getattr(neuron, name) * (1.0 + 0.5 * k) for name in neuron.time_constants}
        changes |= {name: getattr(neuron, name) * (1.0 + 0.1 * k) for name in neuron.gains}
        if neuron.spiking:
            changes["v_th"] = 1.0 - 0.25 * k
        found.append(dataclasses.replace(neuron, **changes))
    return found


def case(neuron: AbstractNeuron, *, shared: bool) -> dict[str, Tensor]:
    tensors = {
        "x": (dyadic(*(() if shared else (K,)), B, T, N_IN, seed=1) > 0.75).double(),
        "w_in": dyadic(K, N, N_IN, seed=2),
    }
    tensors |= {"bias": dyadic(K, N, seed=3)}
    tensors |= {f"state {name}": dyadic(K, B, N, seed=4) for name in neuron.state_names}
    if neuron.spiking:
        tensors["w_rec"] = dyadic(K, N, N, seed=5) / 4.0
    return tensors


def outcome(
    neuron: Any, tensors: dict[str, Tensor], backend: str, spike: Any, coefficients: Any = None
) -> dict[str, Tensor]:
    leaves = {name: t.clone().requires_grad_() for name, t in tensors.items()}
    first = neuron[0] if isinstance(neuron, list) else neuron
    trace = scan(
        neuron, leaves["x"], leaves["w_in"], leaves.get("w_rec"), bias=leaves["bias"], spike=spike, potentials=True,
        state=tuple(leaves[f"state {name}"] for name in first.state_names), backend=backend, coefficients=coefficients,
    )  # fmt: skip
    found = {"output": trace.output, "potentials": trace.potentials}
    found |= {f"last {name}": v for name, v in zip(first.state_names, trace.state, strict=True)}
    loss = sum((t * torch.arange(t.shape[-1])).sum() for t in found.values())
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    found |= {f"grad {name}": g for name, g in zip(leaves, grads, strict=True) if g is not None}
    return {name: t.detach() for name, t in found.items()}


@backends
@pytest.mark.parametrize("shared", [True, False], ids=["one_input", "own_inputs"])
@pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: type(n).__name__)
def test_each_member_equals_itself_alone(neuron, shared, backend):
    neurons, tensors = records(neuron), case(neuron, shared=shared)
    spikes = [Triangle(gamma=0.7), SuperSpike(slope=3.0), ATan()] if neuron.spiking else None
    together = outcome(neurons, tensors, backend, spikes)
    whole = torch.zeros_like(together["grad x"])
    for k in range(K):
        own = {name: t if name == "x" and shared else t[k] for name, t in tensors.items()}
        alone = outcome(neurons[k], own, "reference", spikes[k] if spikes else None)
        for name, expected in alone.items():
            if name == "grad x" and shared:
                whole += expected
                continue
            if name == "output" and neuron.spiking:
                assert expected.any()
                assert torch.equal(together[name][k], expected)
            torch.testing.assert_close(
                together[name][k], expected, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
            )
    if shared:
        torch.testing.assert_close(together["grad x"], whole, rtol=1e-9, atol=1e-9)


@NUMBA
@pytest.mark.parametrize("neuron", [n for n in NEURONS if n.spiking], ids=lambda n: type(n).__name__)
def test_each_member_has_the_bits_that_it_has_alone(neuron):
    """With states, among which may be spikes that are on their way: products beside the loops round as alone too."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: t.float() if name == "x" else 0.5 * torch.randn(t.shape, generator=generator)
        for name, t in case(neuron, shared=False).items()
    }
    together = outcome([neuron] * K, tensors, "numba", [Triangle()] * K)
    for k in range(K):
        alone = outcome(neuron, {name: t[k] for name, t in tensors.items()}, "numba", Triangle())
        assert alone["output"].any()
        for name, expected in alone.items():
            assert torch.equal(together[name][k], expected), name


@backends
@pytest.mark.parametrize("shape", [(), (K, 1), (K, N)], ids=str)
def test_coefficients_of_members_get_their_gradients_in_their_own_shape(shape, backend):
    tensors = case(CubaLIF(), shared=True)
    decays = {
        name: torch.full(shape, 0.5, dtype=torch.float64, requires_grad=True) for name in ("decay_mem", "decay_syn")
    }
    args = tensors["x"], tensors["w_in"], tensors["w_rec"]
    output = scan(CubaLIF(), *args, spike=Triangle(), coefficients=decays, backend=backend).output
    found = torch.autograd.grad((output * torch.arange(N)).sum(), list(decays.values()))
    wanted = [torch.zeros(K, N, dtype=torch.float64) for _ in found]
    for k in range(K):
        own = {name: torch.full((N,), 0.5, dtype=torch.float64, requires_grad=True) for name in decays}
        alone = scan(
            CubaLIF(), args[0], args[1][k], args[2][k], spike=Triangle(), coefficients=own, backend="reference"
        ).output
        for total, grad in zip(
            wanted, torch.autograd.grad((alone * torch.arange(N)).sum(), list(own.values())), strict=True
        ):
            total[k] = grad
    assert all(total.any() for total in wanted)
    torch.testing.assert_close(found, tuple(total.sum_to_size(shape) for total in wanted), rtol=1e-9, atol=1e-9)


@backends
def test_members_whose_numbers_are_no_coefficients_get_the_gradients_of_each_alone(backend):
    """AdLIF's q, in which members may differ, is in the gradient of a decay."""
    neurons, tensors = [AdLIF(q=q) for q in (2.0, 3.0, 1.0)[:K]], case(AdLIF(), shared=True)
    names, at = AdLIF().coefficients(), torch.arange(N, dtype=torch.float64)
    decays = {name: torch.full((K, N), 0.5, dtype=torch.float64, requires_grad=True) for name in names}
    output = scan(neurons, tensors["x"], tensors["w_in"], spike=Triangle(), coefficients=decays, backend=backend).output
    found = torch.autograd.grad((output * at).sum(), list(decays.values()))
    for k in range(K):
        own = {name: decay[k] for name, decay in decays.items()}
        args = neurons[k], tensors["x"], tensors["w_in"][k]
        alone = scan(*args, spike=Triangle(), coefficients=own, backend="reference").output
        for whole, part in zip(found, torch.autograd.grad((alone * at).sum(), list(decays.values())), strict=True):
            torch.testing.assert_close(whole[k], part[k], rtol=1e-9, atol=1e-9)
    assert all(grad.any() for grad in found)


@backends
def test_members_take_events_and_hand_theirs_on(backend):
    tensors = case(LIF(), shared=True)
    events = Events.from_dense(tensors["x"])
    spikes = [
        scan(LIF(), x, tensors["w_in"], spike=SuperSpike(), backend=backend).output for x in (events, tensors["x"])
    ]
    assert spikes[0].any()
    assert torch.equal(*spikes)
    w_out = dyadic(K, 4, N, seed=9)
    read = scan(LI(), spikes[0], w_out, backend=backend).output
    for k in range(K):
        alone = scan(LI(), spikes[0][k].clone(), w_out[k], backend="reference").output
        torch.testing.assert_close(read[k], alone, rtol=1e-12, atol=1e-12)


@backends
def test_what_is_not_finite_in_one_member_stays_there(backend):
    tensors = case(CubaLIF(), shared=True)
    tensors["w_in"][1, 2, 3] = torch.nan
    found = outcome(CubaLIF(), tensors, backend, SuperSpike())
    for name in ("potentials", "grad w_in", "grad w_rec"):
        assert found[name][1].isnan().any()
        assert found[name][[0, 2]].isfinite().all()


@backends
def test_a_ready_drive_of_members_is_taken(backend):
    drive, w_rec = dyadic(K, B, T, N, seed=1), dyadic(K, N, N, seed=2) / 4.0
    together = scan(CubaLIF(), drive, None, w_rec, spike=SuperSpike(), backend=backend).output
    for k in range(K):
        alone = scan(CubaLIF(), drive[k], None, w_rec[k], spike=SuperSpike(), backend="reference").output
        assert torch.equal(together[k], alone)


X, W = torch.ones(B, T, N_IN), torch.ones(K, N, N_IN)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ShapeError, r"x is \[2, 5, 9, 40\] and w_in \[3, 33, 40\]: inputs of 2 members, weights of 3", {"x": torch.ones(2, B, T, N_IN)}),
        (ShapeError, r"w_rec is \[33, 33\]; a recurrent matrix is \[K, N, N\], and w_in gives K = 3, N = 33",
         {"w_rec": torch.ones(N, N)}),
        (ShapeError, r"bias is \[33\]; one per neuron is expected, \[3, 33\] = \[K, N\]", {"bias": torch.ones(N)}),
        (ShapeError, r"state v is \[5, 33\]; \[K, B, N\] = \[3, 5, 33\]", {"state": (torch.ones(B, N),)}),
        (ShapeError, r"decay_mem has shape \[33\]; one value, or one per neuron \[3, 33\], or \[3, 1\]",
         {"coefficients": {"decay_mem": torch.ones(N)}}),
        (ConfigurationError, r"2 neurons came for 3 members; give one, or one per member", {"neuron": [LIF(), LIF()]}),
        (ConfigurationError, r"2 surrogates came, and w_in is that of one layer", {"w_in": W[0], "spike": [SuperSpike()] * 2}),
        (ConfigurationError, r"they may differ in numbers only", {"neuron": [LIF(), LIF(), LIF(reset="zero")]}),
        (ConfigurationError, r"they may differ in numbers only", {"neuron": [LIF(), LIF(), LIF(detach_reset=False)]}),
    ],
)  # fmt: skip
def test_members_that_do_not_fit_are_refused_in_one_sentence(error, message, arguments):
    given = {"neuron": LIF(), "x": X, "w_in": W, "spike": SuperSpike(), **arguments}
    with pytest.raises(error, match=message):
        scan(given.pop("neuron"), given.pop("x"), given.pop("w_in"), given.pop("w_rec", None), **given)
