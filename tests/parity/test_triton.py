"""The GPU kernels say what the reference says: on a GPU where there is one, and under Triton's interpreter on the CPU otherwise.

The interpreter runs the kernels as they are, program after program; it does not show races, shared memory, or how exact tensor
cores are. What a GPU's compiler makes of them is in ``test_triton_compiles.py``.
"""

import dataclasses
import importlib
import json
import math
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import Foreign, dyadic, every
from torch import Tensor

import snnlightning
from snnlightning.events import Events
from snnlightning.layers import SpikingLayer
from snnlightning.neurons import ALIF, IF, LI, LIF, AbstractNeuron, AdLIF, CubaLI, CubaLIF
from snnlightning.neurons._fused import fused
from snnlightning.scan import scan, supports
from snnlightning.surrogates import Sparse, SuperSpike, Triangle

pytest.importorskip("triton", reason="Triton is not installed; pip install 'snnlightning[gpu]'")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ON_GPU = DEVICE == "cuda"
SURROGATES = Path(snnlightning.__file__).parent / "surrogates"
STEPS, BATCH, INPUTS = 8, 3, 24


@pytest.fixture(autouse=True, scope="module")
def kernels():
    """Imported for the interpreter where there is no GPU, and forgotten behind these tests."""

    def forget() -> None:
        for name in [n for n in sys.modules if n.endswith("__triton") or ".neurons._triton" in n]:
            del sys.modules[name]
        fused._of.cache_clear()

    forget()
    with pytest.MonkeyPatch.context() as patch:
        if not ON_GPU:
            patch.setenv("TRITON_INTERPRET", "1")
        yield importlib.import_module("snnlightning.neurons._triton.kernels")
    forget()


LEARNED: dict[str, Any] = {"learn_v_th": "per_neuron", "bounds": {"v_th": (0.1, 2.0)}}
FEED_FORWARD = [
    IF(), LIF(), LIF(reset="zero"), LIF(ordering="stork", detach_reset=False), CubaLIF(), CubaLIF(reset="zero"),
    CubaLIF(ordering="stork", reset="zero", detach_reset=False), LIF(refractory_ms=1.0), LI(), LI(ordering="stork"), CubaLI(),
    ALIF(form="lsnn"), ALIF(form="yin", detach_reset=False), ALIF(form="eprop", reset="zero", detach_reset=False),
    AdLIF(q=2.0), AdLIF(q=2.0, form="euler_forward", reset="subtract", detach_reset=False), LIF(**LEARNED),
    ALIF(form="eprop", **LEARNED), ALIF(form="lsnn", detach_reset=False, **LEARNED), AdLIF(q=2.0, reset="subtract", **LEARNED),
]  # fmt: skip
RECURRENT = [
    IF(), LIF(), LIF(reset="zero", detach_reset=False), LIF(detach_recurrent=True), CubaLIF(), CubaLIF(detach_reset=False),
    CubaLIF(ordering="spytorch", reset="zero", detach_reset=False), CubaLIF(refractory_ms=2.0, v_th=0.75),
    ALIF(form="lsnn", detach_reset=False), ALIF(form="yin"), ALIF(form="eprop", surrogate_argument="relative", v_th=0.5),
    AdLIF(q=2.0, detach_reset=False), AdLIF(q=2.0, form="radlif", reset="subtract"),
    CubaLIF(detach_reset=False, **LEARNED), ALIF(form="yin", reset="zero", **LEARNED),
]  # fmt: skip


def named(neuron: AbstractNeuron) -> str:
    changed = [str(getattr(neuron, f.name)) for f in dataclasses.fields(neuron) if getattr(neuron, f.name) != f.default]
    return "-".join([type(neuron).__name__, *changed])


def inputs(
    neuron: AbstractNeuron, n: int, recurrent: bool, dtype: torch.dtype, *, exact: bool = False, batch: int = BATCH, per: int = 1
) -> dict[str, Tensor]:  # fmt: skip
    """Everything a layer takes; random, or dyadic with decays of one half."""
    generator = torch.Generator().manual_seed(n)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    tensors = {"x": (torch.rand(batch, STEPS, INPUTS, generator=generator) < 0.2).double()}
    if exact:
        tensors |= {"w_in": 2.0 * dyadic(n, INPUTS, seed=n), "bias": dyadic(n, seed=n + 1)}
        tensors |= {f"state {name}": dyadic(batch, n, seed=n + 2) for name in neuron.state_names}
    else:
        tensors |= {"w_in": randn(n, INPUTS), "bias": 0.3 * randn(n)}
        tensors |= {f"state {name}": 0.5 * randn(batch, n) for name in neuron.state_names}
    if recurrent:
        tensors["w_rec"] = dyadic(n, n, seed=n + 3) if exact else randn(n, n) / math.sqrt(n)
    for name in neuron.coefficients():
        size = (n,) if per else ()
        tensors[name] = torch.full(size, 0.5) if exact else 0.4 + 0.5 * torch.rand(size, generator=generator)
    return {name: t.to(DEVICE, dtype) for name, t in tensors.items()}


def outcome(
    neuron: AbstractNeuron, tensors: dict[str, Tensor], backend: str, *, spike: Any = None, gradients: bool = True
) -> dict[str, Tensor]:
    """Outputs and, with random numbers from above, the gradient of every tensor, by name."""
    leaves = {name: t.detach().clone().requires_grad_(gradients) for name, t in tensors.items()}
    trace = scan(
        neuron, leaves["x"], leaves["w_in"], leaves.get("w_rec"), bias=leaves["bias"],
        state=tuple(leaves[f"state {name}"] for name in neuron.state_names),
        spike=(spike or Triangle(gamma=0.7)) if neuron.spiking else None,
        coefficients={name: leaves[name] for name in neuron.coefficients()}, potentials=True, backend=backend,
    )  # fmt: skip
    found = {"output": trace.output, "potentials": trace.potentials}
    found |= {f"last {name}": variable for name, variable in zip(neuron.state_names, trace.state, strict=True)}
    if gradients:
        generator = torch.Generator().manual_seed(99)
        loss = sum((t * torch.randn(t.shape, generator=generator).to(t)).sum() for t in found.values())
        grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        found |= {f"grad {name}": g for name, g in zip(leaves, grads, strict=True) if g is not None}
    return {name: t.detach() for name, t in found.items()}


def same(mine: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    """Spikes to the bit, all others relative to the largest of their kind."""
    assert mine.keys() == theirs.keys()
    for name, expected in theirs.items():
        if name == "output" and expected.unique().numel() <= 2:
            assert torch.equal(mine[name], expected), name
        scale = expected.abs().max().item()
        torch.testing.assert_close(mine[name], expected, rtol=0.0, atol=tolerance * max(scale, 1e-30), msg=lambda m, n=name: f"{n}: {m}")  # fmt: skip


@pytest.mark.parametrize("neuron", FEED_FORWARD, ids=named)
@pytest.mark.parametrize(("n", "dtype", "tolerance"), [(1, torch.float64, 1e-9), (7, torch.float32, 1e-5), (33, torch.float64, 1e-9)], ids=str)  # fmt: skip
def test_a_feed_forward_layer_equals_the_reference(neuron, n, dtype, tolerance):
    tensors = inputs(neuron, n, False, dtype)
    theirs = outcome(neuron, tensors, "reference")
    same(outcome(neuron, tensors, "triton"), theirs, tolerance)
    assert all(f"grad {name}" in theirs for name in neuron.coefficients())
    assert n == 1 or theirs["grad w_in"].abs().sum() > 0


@pytest.mark.parametrize("neuron", RECURRENT, ids=named)
@pytest.mark.parametrize(("n", "dtype", "tolerance"), [(7, torch.float64, 1e-9), (33, torch.float32, 1e-5)], ids=str)
def test_a_recurrent_layer_equals_the_reference(neuron, n, dtype, tolerance):
    """In double precision step by step, in single precision as one kernel."""
    tensors = inputs(neuron, n, True, dtype)
    theirs = outcome(neuron, tensors, "reference")
    same(outcome(neuron, tensors, "triton"), theirs, tolerance)
    assert theirs["grad w_rec"].abs().sum() > 0


@pytest.mark.parametrize("neuron", [CubaLIF(), CubaLIF(ordering="spytorch", reset="zero"), ALIF(form="yin", detach_reset=False)], ids=named)  # fmt: skip
def test_a_matrix_that_does_not_stay_on_chip_gives_the_same(neuron, monkeypatch):
    """In blocks, so that the last one is not full; and 17 samples are more than one program's."""
    launching = importlib.import_module("snnlightning.neurons._triton.launching")
    monkeypatch.setattr(launching, "_ON_CHIP_BYTES", 0)
    tensors = inputs(neuron, 40, True, torch.float32, batch=17)
    same(outcome(neuron, tensors, "triton"), outcome(neuron, tensors, "reference"), 1e-5)


@pytest.mark.parametrize("neuron", [CubaLIF(), CubaLIF(ordering="spytorch", reset="zero", detach_reset=False), AdLIF(q=2.0), LIF(refractory_ms=2.0)], ids=named)  # fmt: skip
def test_programs_that_share_samples_give_the_same(neuron, monkeypatch):
    """Several of them on a GPU, where they run at the same time; the interpreter runs one after the other, so there is one of each."""
    layer = importlib.import_module("snnlightning.neurons._triton.layer")
    launching = importlib.import_module("snnlightning.neurons._triton.launching")
    made = []

    def shared(members: int, batch: int, features: int, recurrent: bool, *rest: Any) -> Any:
        found = launching.Tile(16, 16 if ON_GPU else 64, 64, launching.kernels.SHARED) if recurrent else launching.tile(members, batch, features, recurrent, *rest)  # fmt: skip
        made.append(found)
        return found

    monkeypatch.setattr(layer, "tile", shared)
    tensors = inputs(neuron, 40, True, torch.float32, batch=17)
    same(outcome(neuron, tensors, "triton"), outcome(neuron, tensors, "reference"), 1e-5)
    assert [tile.shared for tile in made] == [True]


def test_a_matrix_is_shared_as_long_as_every_program_has_a_multiprocessor():
    launching = importlib.import_module("snnlightning.neurons._triton.launching")
    half, single = torch.bfloat16.itemsize, torch.float32.itemsize
    assert launching.tile(1, 256, 512, True, single, True, 0).way == launching.kernels.STREAMED
    assert launching.tile(1, 256, 128, True, half, False, 132).way == launching.kernels.RESIDENT
    for members, batch, features, itemsize, exact in [(1, 256, 256, single, True), (1, 32, 512, single, True), (4, 32, 512, half, False)]:  # fmt: skip
        found = launching.tile(members, batch, features, True, itemsize, exact, 132)
        assert found.shared
        assert math.prod(found.grid(members, batch, features)) <= 132
    assert not launching.tile(8, 256, 512, True, single, True, 132).shared


def test_more_neurons_than_fit_go_step_by_step(monkeypatch):
    layer = importlib.import_module("snnlightning.neurons._triton.layer")
    monkeypatch.setattr(layer, "FITS", 32)
    tensors = inputs(CubaLIF(), 33, True, torch.float32)
    same(outcome(CubaLIF(), tensors, "triton"), outcome(CubaLIF(), tensors, "reference"), 1e-5)


@pytest.mark.parametrize("neuron", [LIF(), CubaLIF(reset="zero"), ALIF(form="eprop"), AdLIF(q=2.0)], ids=named)
@pytest.mark.parametrize("recurrent", [False, True], ids=["feed-forward", "recurrent"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_exact_sums_give_the_same_bits_and_some_potential_sits_on_threshold(neuron, recurrent, dtype):
    tensors = inputs(neuron, 33, recurrent, dtype, exact=True, batch=8)
    mine, theirs = (outcome(neuron, tensors, backend, gradients=False) for backend in ("triton", "reference"))
    for name, expected in theirs.items():
        assert torch.equal(mine[name], expected), name
    if not isinstance(neuron, ALIF):
        on = mine["potentials"] == neuron.v_th
        assert on.any()
        assert not mine["output"][on].any()


@pytest.mark.parametrize("cls", every("surrogates"))
def test_every_surrogate_gives_the_gradients_of_the_reference(cls):
    """Those with a file for it inside the kernel, the others through the tensor that torch makes."""
    surrogate = cls.from_height_width(0.7, 0.3)
    tensors = inputs(LIF(), 7, False, torch.float64)
    same(outcome(LIF(), tensors, "triton", spike=surrogate), outcome(LIF(), tensors, "reference", spike=surrogate), 1e-9)  # fmt: skip


@pytest.mark.parametrize("name", sorted(p.name.partition("__")[0] for p in SURROGATES.glob("*__triton.py")))
def test_a_family_with_a_file_is_inlined_and_cut_where_it_is_cut(name):
    layer = importlib.import_module("snnlightning.neurons._triton.layer")
    (cls,) = (p.values[0] for p in every("surrogates") if p.id == name)
    whole = cls.from_height_width(0.5, 0.3)
    assert layer._inlined([whole, whole])[1] is False
    cut = Sparse(whole, 0.4)
    assert layer._inlined([whole, cut])[2][1][2] == 0.4
    tensors = inputs(ALIF(), 7, False, torch.float64)
    same(outcome(ALIF(), tensors, "triton", spike=cut), outcome(ALIF(), tensors, "reference", spike=cut), 1e-9)


@pytest.mark.parametrize("neuron", [CubaLIF(), ALIF(form="lsnn"), AdLIF(q=2.0)], ids=named)
def test_a_surrogate_of_ones_own_works_through_its_tensor_derivative(neuron):
    tensors = inputs(neuron, 7, True, torch.float32)
    same(outcome(neuron, tensors, "triton", spike=Foreign()), outcome(neuron, tensors, "reference", spike=Foreign()), 1e-5)  # fmt: skip


@pytest.mark.parametrize("recurrent", [False, True], ids=["feed-forward", "recurrent"])
@pytest.mark.parametrize("families", ["one", "several"])
def test_each_member_equals_itself_alone(recurrent, families):
    neurons = [CubaLIF(v_th=v, tau_mem_ms=tau) for v, tau in ((1.0, 10.0), (0.75, 5.0), (0.5, 20.0))]
    spikes = [Triangle(gamma=0.7), SuperSpike(slope=3.0) if families == "several" else Triangle(gamma=0.4), Triangle()]
    generator = torch.Generator().manual_seed(3)
    x = (torch.rand(2, STEPS, INPUTS, generator=generator) < 0.2).float().to(DEVICE)
    # Sums of dyadic numbers are exact, in whatever order a product of one matrix, or of three, adds them.
    w_in = dyadic(3, 9, INPUTS, seed=4, dtype=torch.float32).to(DEVICE).requires_grad_()
    w_rec = dyadic(3, 9, 9, seed=5, dtype=torch.float32).to(DEVICE).requires_grad_() if recurrent else None
    above = torch.randn(3, 2, STEPS, 9, generator=generator).to(DEVICE)
    leaves = [w_in, w_rec] if recurrent else [w_in]
    together = scan(neurons, x, w_in, w_rec, spike=spikes, backend="triton").output
    grads = torch.autograd.grad((together * above).sum(), leaves)
    for k in range(3):
        own = None if w_rec is None else w_rec[k]
        alone = scan(neurons[k], x, w_in[k], own, spike=spikes[k], backend="triton").output
        assert torch.equal(together[k], alone)
        for whole, part in zip(grads, torch.autograd.grad((alone * above[k]).sum(), leaves), strict=True):
            torch.testing.assert_close(whole[k], part[k], rtol=0.0, atol=1e-6 * float(part[k].abs().max()))
    assert together.sum() > 0


def test_members_with_gains_of_their_own_get_the_gradients_of_each_alone():
    """AdLIF's factor q is in no coefficient, and differs between members."""
    neurons = [AdLIF(q=2.0), AdLIF(q=3.0)]
    generator = torch.Generator().manual_seed(3)
    x = (torch.rand(2, STEPS, INPUTS, generator=generator) < 0.3).double().to(DEVICE)
    w_in = torch.randn(2, 5, INPUTS, generator=generator, dtype=torch.float64).to(DEVICE)
    coefficients = {name: torch.full((2, 5), 0.5, dtype=torch.float64, device=DEVICE, requires_grad=True) for name in AdLIF().coefficients()}  # fmt: skip
    together = scan(neurons, x, w_in, spike=Triangle(), coefficients=coefficients, backend="triton").output
    grads = torch.autograd.grad(together.sum(), list(coefficients.values()))
    for k in range(2):
        own = {name: c[k] for name, c in coefficients.items()}
        alone = scan(neurons[k], x, w_in[k], spike=Triangle(), coefficients=own, backend="reference").output
        for whole, part in zip(grads, torch.autograd.grad(alone.sum(), list(coefficients.values())), strict=True):
            torch.testing.assert_close(whole[k], part[k], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("per", [0, 1], ids=["shared", "per_neuron"])
def test_learned_time_constants_get_gradients_in_their_own_shape(per):
    tensors = inputs(CubaLIF(), 7, True, torch.float64, per=per)
    mine = outcome(CubaLIF(), tensors, "triton")
    assert mine["grad decay_mem"].shape == tensors["decay_mem"].shape
    same(mine, outcome(CubaLIF(), tensors, "reference"), 1e-9)


def test_half_precision_weights_keep_their_state_in_single_precision():
    """Against the reference on the same numbers in float32: one rounding at the end, not one per step."""
    neuron, dtype = LI(tau_mem_ms=50.0), torch.bfloat16
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 40, INPUTS, generator=generator).to(DEVICE, dtype)
    w_in = torch.rand(5, INPUTS, generator=generator).to(DEVICE, dtype)
    drive = torch.nn.functional.linear(x, w_in)
    exact = scan(neuron, drive.float(), None, backend="reference").output
    mine = scan(neuron, drive, None, backend="triton").output
    assert mine.dtype == dtype
    torch.testing.assert_close(mine.float(), exact, rtol=2.0**-7, atol=0.0)
    reference = scan(neuron, drive, None, backend="reference").output.float()
    assert (mine.float() - exact).abs().max() < (reference - exact).abs().max()


@pytest.mark.parametrize("recurrent", [False, True], ids=["feed-forward", "recurrent"])
def test_half_precision_gives_the_spikes_of_exact_sums(recurrent):
    """Dyadic numbers are exact in bfloat16, whatever adds them."""
    tensors = inputs(LIF(), 33, recurrent, torch.float32, exact=True)
    theirs = outcome(LIF(), tensors, "reference")
    half = outcome(LIF(), {name: t.bfloat16() for name, t in tensors.items()}, "triton")
    assert half.keys() == theirs.keys()
    assert torch.equal(half["output"].float(), theirs["output"])
    assert all(half[name].dtype == torch.bfloat16 for name in half)
    torch.testing.assert_close(half["grad w_in"].float(), theirs["grad w_in"], rtol=0.0, atol=0.03 * float(theirs["grad w_in"].abs().max()))  # fmt: skip


def test_autocast_makes_the_products_half_and_leaves_the_state():
    tensors = inputs(CubaLIF(), 33, True, torch.float32, exact=True)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        mine, theirs = (outcome(CubaLIF(), tensors, backend) for backend in ("triton", "reference"))
    assert mine["last v"].dtype == mine["output"].dtype == torch.float32
    assert torch.equal(mine["output"], theirs["output"])
    assert torch.equal(mine["last v"], theirs["last v"])


# A node owns what it needs.


def layer_and_input(**options: Any) -> tuple[SpikingLayer, Tensor]:
    torch.manual_seed(0)
    layer = SpikingLayer(INPUTS, 9, neuron=CubaLIF(**options), surrogate=Triangle(), recurrent=True, backend="triton")
    with torch.no_grad():
        layer.w_in.mul_(6.0)
    return layer.to(DEVICE), (torch.rand(4, STEPS, INPUTS) < 0.2).float().to(DEVICE)


def test_two_graphs_alive_at_once_give_the_gradients_of_each_alone():
    layer, x = layer_and_input()

    def gradient(y: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(y.sin().sum(), [layer.w_rec])
        return found

    alone = gradient(layer(x)[0]), gradient(layer(x.flip(0, 1))[0])
    first, second = layer(x)[0], layer(x.flip(0, 1))[0]
    late = gradient(second), gradient(first)
    assert torch.equal(late[1], alone[0])
    assert torch.equal(late[0], alone[1])


def test_state_hand_over_equals_one_run():
    layer, x = layer_and_input()
    whole, last = layer(x)
    first, state = layer(x[:, :3])
    second, end = layer(x[:, 3:], state)
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    for mine, theirs in zip(end, last, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_double_backward_is_refused():
    layer, x = layer_and_input()
    (grad,) = torch.autograd.grad(layer(x)[0].sum(), [layer.w_in], create_graph=True)
    with pytest.raises(RuntimeError, match="a compiled backend has no second derivative"):
        grad.sum().backward()


def test_no_gradient_no_memory_kept_and_the_same_spikes():
    layer, x = layer_and_input()
    with torch.inference_mode():
        quiet = layer(x)[0]
    assert torch.equal(quiet, layer(x)[0])
    with torch.no_grad():
        assert layer(x)[0].grad_fn is None


def test_events_and_strided_inputs_are_read_as_the_reference_reads_them():
    layer, x = layer_and_input()
    output = layer(x)[0]
    assert torch.equal(layer(Events.from_dense(x))[0], output)
    assert torch.equal(layer(x.bool())[0], output)
    wide = x.repeat_interleave(2, dim=2)[..., ::2]
    assert torch.equal(layer(wide)[0], output)
    drive = torch.nn.functional.linear(x, layer.w_in)
    turned = drive.transpose(0, 1).contiguous().transpose(0, 1)
    found = scan(CubaLIF(), turned, None, layer.w_rec, spike=Triangle(), backend="triton").output
    assert torch.equal(found, output)


@pytest.mark.parametrize("shape", [(2, 0, INPUTS), (0, 3, INPUTS)], ids=str)
def test_nothing_in_nothing_out(shape):
    layer, _ = layer_and_input()
    output, _ = layer(torch.zeros(shape, device=DEVICE))
    assert output.shape == (*shape[:2], 9)


@pytest.mark.filterwarnings(
    "ignore:invalid value:RuntimeWarning"
)  # NumPy's, which stands for the GPU in the interpreter
@pytest.mark.parametrize("where", ["w_in", "w_rec", "x"])
def test_what_is_not_finite_is_what_the_reference_makes_of_it(where):
    """Zeros meet infinity; the NaN that comes is nobody else's."""
    found = []
    for backend in ("triton", "reference"):
        layer, x = layer_and_input()
        layer.backend = backend
        with torch.no_grad():
            {"w_in": layer.w_in, "w_rec": layer.w_rec, "x": x}[where].flatten()[5] = math.inf
            output, state = layer(x)
        found.append([output, *state])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, equal_nan=True, rtol=1e-5, atol=1e-5)


# What it refuses.


@pytest.mark.parametrize(
    ("neuron", "w_in", "said"),
    [
        (LIF(), torch.ones(3, 4, dtype=torch.complex64), "the weights are torch.complex64; the kernels take float32, float64, bfloat16 and float16"),
        (LIF(), torch.ones(3, 4, device="meta"), r"x is on \w+(:0)? and w_in on meta"),
    ],
    ids=["dtype", "device"],
)  # fmt: skip
def test_what_it_cannot_do_it_says(neuron, w_in, said):
    w_in = w_in if w_in.device.type == "meta" else w_in.to(DEVICE)
    x = torch.ones(1, 2, 4, device=DEVICE)
    reason = supports("triton", neuron, x, w_in, Triangle())
    assert reason is not None
    assert re.search(said, reason), reason


REFUSED = """
import torch
from snnlightning.errors import ConfigurationError
from snnlightning.neurons import LIF
from snnlightning.scan import scan, supports
from snnlightning.surrogates import Triangle
args = LIF(), torch.ones(1, 2, 3), torch.ones(4, 3)
print(supports("triton", *args, Triangle()))
try:
    scan(*args, spike=Triangle(), backend="triton")
except ConfigurationError as error:
    print(error)
"""


def test_by_name_on_the_cpu_it_says_where_it_runs():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    found = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, check=True, env=environment)
    reason, error = found.stdout.splitlines()
    assert reason.startswith("the tensors are on the CPU, and the kernels run on CUDA devices")
    assert error.startswith("backend='triton' cannot do this: the tensors are on the CPU")


def gpu_benchmark(*options: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[2] / "benchmarks" / "kernels" / "gpu.py"
    return subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False)


def test_the_gpu_benchmark_runs_through_at_toy_size(tmp_path):
    page, results = tmp_path / "gpu.md", tmp_path / "gpu.jsonl"
    results.write_text(json.dumps({"work": "recurrent", "precision": "highest", "conditions": "another device"}) + "\n")
    done = gpu_benchmark("--toy", "--results", str(results), "--output", str(page))
    assert done.returncode == 0, done.stderr
    assert len(results.read_text().splitlines()) == 3, "a row of another device stands beside ours"
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == ["| feed-forward", "| recurrent", "| members"]
    for row in rows:
        assert row[-2].startswith("0 / 0 of ")
        assert float(row[-1].rstrip(" |")) < 1e-5


def test_the_page_is_what_the_results_say(tmp_path):
    page, root = tmp_path / "gpu.md", Path(__file__).parents[2]
    results = root / "benchmarks" / "kernels" / "gpu.jsonl"
    done = gpu_benchmark("--page-only", "--results", str(results), "--output", str(page))
    assert done.returncode == 0, done.stderr
    assert page.read_text() == (root / "docs" / "gpu.md").read_text()


@pytest.mark.skipif(ON_GPU, reason="there is a GPU")
def test_the_gpu_benchmark_says_that_it_needs_a_gpu():
    done = gpu_benchmark()
    assert done.returncode == 1
    assert done.stderr.startswith("no CUDA device here")


def test_auto_takes_it_for_tensors_on_a_gpu(monkeypatch):
    """Whether there is a GPU or not: asked with the device alone."""
    module = importlib.import_module("snnlightning.scan")
    asked = []
    monkeypatch.setattr(module, "supports", lambda backend, *args: asked.append(backend))
    where = types.SimpleNamespace(device=torch.device("cuda"))
    assert module._choose("auto", [LIF()], where, where, [Triangle()], None) == "triton"
    assert asked == ["triton"]
