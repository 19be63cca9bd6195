"""Fused: a neuron whose layer runs as one autograd node over compiled loops; what ``<neuron>__fused.py`` holds."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...events import Events
from ...typing import Coefficients, NeuronLike, Reader, SpikeFunction, State, Trace
from . import layer, support
from .recursion import Recursion

__all__ = ["Fused"]


class Fused:
    """The one class of neurons that ``recursion`` describes.

    Args:
        known: the class; others, its subclasses included, are refused.
        recursion: from a record to its recursion.
    """

    def __init__(self, known: type, recursion: Callable[[Any], Recursion]) -> None:
        self.known, self.recursion = known, recursion

    def supports(self, backend: str, neuron: NeuronLike, w_in: Tensor, spike: SpikeFunction | None) -> str | None:
        """None, or the reason why not."""
        return support.reason_against(backend, neuron, self.known, w_in, spike)

    def unavailable(self, backend: str, device: torch.device) -> str | None:
        """None, or the reason why this machine does not have the backend; a missing package is the caller's to report."""
        if backend == "cpp":
            found: str | None = _of("cpp.code").reason()
            return found
        if backend == "triton" and device.type == "cpu" and not _of("triton.launching").interpreted():
            return "the tensors are on the CPU, and the kernels run on CUDA devices (on the CPU with TRITON_INTERPRET=1, to test them)"
        return None

    def run(
        self,
        backend: str,
        neurons: Sequence[NeuronLike],
        x: Tensor | Events,
        w_in: Tensor | None,
        w_rec: Tensor | None,
        bias: Tensor | None,
        state: State,
        spikes: Sequence[SpikeFunction | None],
        coefficients: Sequence[Coefficients],
        learned: Mapping[str, Tensor],
        potentials: bool,
        members: tuple[int, ...],
        plain: layer.Plain,
        readout: Reader | None,
        sizes: Sequence[tuple[int, int]] | None = None,
        way: str | None = None,
    ) -> Trace:
        """As :func:`snnlightning.scan.scan`, which checks the arguments; see :func:`.layer.run`."""
        recursions = [self.recursion(neuron) for neuron in neurons]
        if backend == "triton":
            on_gpu = _of("triton.layer")
            trace: Trace = on_gpu.run(
                neurons,
                recursions,
                x,
                w_in,
                w_rec,
                bias,
                state,
                spikes,
                coefficients,
                learned,
                potentials,
                members,
                plain,
            )
            return trace
        return layer.run(
            _of(f"{backend}.code"), neurons, recursions, x, w_in, w_rec, bias, state, spikes, coefficients, learned, potentials,
            members, plain, readout, sizes, way,
        )  # fmt: skip

    def ways(
        self,
        backend: str,
        x: Tensor | Events,
        weights: Sequence[Tensor | None],
        members: tuple[int, ...],
        sizes: Sequence[tuple[int, int]] | None,
    ) -> list[str]:
        """See :func:`.layer.ways`."""
        return layer.ways(_of(f"{backend}.code"), x, weights, members, sizes)


def _of(name: str) -> Any:
    return importlib.import_module(f"{__package__.rpartition('.')[0]}._{name}")
