"""Triton's compiler makes machine code for NVIDIA GPUs of every kernel as it would be launched; no GPU is needed for that.

A call of ``scan`` is made on the CPU with kernels that are compiled and not run, so what is compiled are the arguments, types and
tiles of the product. What it does not show is whether the code is right (``test_triton.py``) or fast.
"""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from snnlightning.neurons import ALIF, IF, LI, LIF, AbstractNeuron, AdLIF, CubaLI, CubaLIF
from snnlightning.neurons._fused import Fused, fused
from snnlightning.scan import scan
from snnlightning.surrogates import Sparse, SuperSpike

triton = pytest.importorskip("triton", reason="Triton is not installed; pip install 'snnlightning[gpu]'")

SHARED_BYTES = {80: 163 * 1024, 90: 227 * 1024}
"""What a program may have of an A100 and of an H100."""
TYPES = {
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int32: "*i32",
}


class Compiled:
    """Stands for a kernel: compiles what it is called with, once, and leaves the results as they are."""

    def __init__(self, kernel: Any, architecture: int, found: list[Any]) -> None:
        self.kernel, self.architecture, self.found, self.seen = kernel, architecture, found, set()

    def __getitem__(self, grid: Any) -> Any:
        return self.compile

    def compile(
        self, *arguments: Any, num_warps: int, enable_fp_fusion: bool, launch_cooperative_grid: bool = False, **constants: Any
    ) -> None:  # fmt: skip
        given = dict(zip(self.kernel.arg_names, arguments, strict=False)) | constants
        signature, known, attributes = {}, {}, {}
        for at, name in enumerate(self.kernel.arg_names):
            value = given[name]
            if isinstance(value, torch.Tensor):
                signature[name], attributes[at,] = TYPES[value.dtype], [["tt.divisibility", 16]]
            elif name in constants or value is None:
                signature[name], known[name] = "constexpr", value
            else:
                signature[name] = "i32"
        key = str((signature, known))
        if key in self.seen:
            return
        self.seen.add(key)
        source = triton.compiler.ASTSource(self.kernel, signature, known, attributes)
        target = triton.backends.compiler.GPUTarget("cuda", self.architecture, 32)
        options = {"num_warps": num_warps, "enable_fp_fusion": enable_fp_fusion}
        self.found.append(triton.compile(source, target=target, options=options))


@pytest.fixture
def machine_code(monkeypatch, tmp_path) -> Iterator[Any]:
    """A function of the architecture that makes kernels be compiled for it, and gives what was."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(Fused, "unavailable", lambda *args: None)

    def forget() -> None:
        for name in [n for n in sys.modules if n.endswith("__triton") or ".neurons._triton" in n]:
            del sys.modules[name]
        fused._of.cache_clear()

    def begin(architecture: int) -> list[Any]:
        found: list[Any] = []
        kernels = importlib.import_module("snnlightning.neurons._triton.kernels")
        for name in (n for n in kernels.__all__ if n.islower()):
            setattr(kernels, name, Compiled(getattr(kernels, name), architecture, found))
        return found

    forget()
    yield begin
    forget()


def call(neuron: AbstractNeuron, n: int, recurrent: bool, dtype: torch.dtype, spike: Any, learned: bool) -> None:
    """A training step whose results mean nothing."""
    x, w_in = torch.zeros(2, 3, 4, dtype=dtype), torch.zeros(n, 4, dtype=dtype, requires_grad=True)
    w_rec = torch.zeros(n, n, dtype=dtype, requires_grad=True) if recurrent else None
    coefficients = {name: torch.full((n,), 0.5, dtype=dtype, requires_grad=True) for name in neuron.coefficients()}
    trace = scan(
        neuron, x, w_in, w_rec, spike=spike if neuron.spiking else None, backend="triton", potentials=learned,
        coefficients=coefficients if learned else None,
    )  # fmt: skip
    (trace.output.sum() + sum(variable.sum() for variable in trace.state)).backward()


def check(found: list[Any], architecture: int, count: int) -> None:
    assert len(found) >= count
    for code in found:
        assert len(code.asm["cubin"]) > 1000
        assert code.metadata.shared <= SHARED_BYTES[architecture]


HALF = torch.bfloat16


@pytest.mark.parametrize(
    ("neuron", "n", "recurrent", "dtype", "processors", "count"),
    [
        (CubaLIF(), 100, False, torch.float32, 0, 2), (CubaLIF(), 128, True, HALF, 0, 2), (CubaLIF(detach_reset=False), 512, True, torch.float32, 0, 2),
        (CubaLIF(ordering="spytorch", reset="zero"), 512, True, torch.float32, 132, 2), (AdLIF(), 300, True, HALF, 132, 2),
        (ALIF(form="yin"), 600, True, torch.float32, 0, 4), (LI(), 20, False, HALF, 0, 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AbstractNeuron) else str(value),
)  # fmt: skip
def test_kernels_become_machine_code_of_an_h100(
    machine_code, monkeypatch, neuron, n, recurrent, dtype, count, processors
):
    """Forward and backward of each kind: feed-forward, resident, in blocks, shared among programs, step by step."""
    found = machine_code(90)
    layer = importlib.import_module("snnlightning.neurons._triton.layer")
    monkeypatch.setattr(layer, "processors", lambda device: processors)
    call(neuron, n, recurrent, dtype, SuperSpike(), False)
    check(found, 90, count)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "learned"), [(80, False), (90, True)], ids=["sm_80", "sm_90-learned"])
@pytest.mark.parametrize("dtype", [torch.float32, HALF, torch.float64], ids=str)
@pytest.mark.parametrize("n", [20, 256, 512])
@pytest.mark.parametrize(
    "neuron",
    [
        IF(), LIF(reset="zero", detach_reset=False), CubaLIF(refractory_ms=2.0), CubaLIF(ordering="spytorch", reset="zero"),
        ALIF(form="lsnn"), AdLIF(form="euler_forward", detach_reset=False), LI(), CubaLI(),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AbstractNeuron) else str(value),
)  # fmt: skip
def test_every_kind_of_kernel_becomes_machine_code(machine_code, neuron, n, dtype, learned, architecture):
    found = machine_code(architecture)
    for recurrent in (False, True)[: 1 + neuron.spiking]:
        call(neuron, n, recurrent, dtype, Sparse(SuperSpike(), 0.5), learned)
    check(found, architecture, 2)
