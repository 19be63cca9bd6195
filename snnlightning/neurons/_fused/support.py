"""What the compiled loops can do, and the reason when they cannot."""

import functools
from collections.abc import Hashable
from typing import cast

import torch
from torch import Tensor

from ...typing import NeuronLike, SpikeFunction

__all__ = ["reason_against"]

_DTYPES = {
    "numba": (torch.float32, torch.float64),
    "cpp": (torch.float32, torch.float64),
    "triton": (torch.float32, torch.float64, torch.bfloat16, torch.float16),
}


def reason_against(
    backend: str, neuron: NeuronLike, known: type, w_in: Tensor, spike: SpikeFunction | None
) -> str | None:  # fmt: skip
    """None, or why this neuron with these weights and this spike function has no kernel.

    Args:
        backend: which kernels.
        neuron: as ``scan`` takes it.
        known: the one class whose equation the kernel is.
        w_in: input weights; they decide the element type.
        spike: the surrogate, or None.
    """
    if type(neuron) is not known:
        return f"{type(neuron).__name__} is a class of its own, and the kernel is that of {known.__name__}"
    if w_in.dtype not in _DTYPES[backend]:
        known_types = [str(dtype).removeprefix("torch.") for dtype in _DTYPES[backend]]
        return f"the weights are {w_in.dtype}; the kernels take {', '.join(known_types[:-1])} and {known_types[-1]}"
    if neuron.spiking and not _is_plain_step(cast(Hashable, type(spike))):
        return f"the spike function {spike!r} is not a surrogate's step (a smooth twin is not 0 and 1, for example)"
    return None


@functools.lru_cache(256)
def _is_plain_step(kind: Hashable) -> bool:
    """Whether calling one is the step of ``AbstractSurrogate``, not replaced by a subclass."""
    owner = next((cls for cls in cast(type, kind).__mro__ if "__call__" in vars(cls)), None)
    return owner is not None and (owner.__module__, owner.__name__) == (
        "snnlightning.surrogates.abstract",
        "AbstractSurrogate",
    )
