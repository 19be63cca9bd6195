"""Fused: a neuron whose layer runs as one autograd node over compiled loops; what ``<neuron>__fused.py`` holds."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...typing import LayerCall, NeuronLike, SpikeFunction, Trace
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
        self.known, self._made = known, recursion
        self._remembered = functools.lru_cache(256)(recursion)

    def recursion(self, neuron: Any) -> Recursion:
        """The one there is for this record, so that what was worked out for it is found again."""
        try:
            return self._remembered(neuron)
        except TypeError:  # a number in it that cannot be looked up
            return self._made(neuron)

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

    def run(self, backend: str, call: LayerCall, way: str | None = None) -> Trace:
        """See :func:`.layer.run`."""
        recursions = [self.recursion(neuron) for neuron in call.neurons]
        if backend == "triton":
            trace: Trace = _of("triton.layer").run(recursions, call)
            return trace
        return layer.run(_of(f"{backend}.code"), recursions, call, way)

    def ways(self, backend: str, call: LayerCall) -> list[str]:
        """See :func:`.layer.ways`."""
        return layer.ways(_of(f"{backend}.code"), call)


@functools.cache
def _of(name: str) -> Any:
    return importlib.import_module(f"{__package__.rpartition('.')[0]}._{name}")
