"""Footprint: the memory that a network needs while it runs.

    parameters = sum over stored parameters of numel * bits / 8         (each tensor once, zeros included)
    buffers    = the same over buffers
    state      = sum over neuron variables of one sample, numel * bits / 8     (delay lines too: they are state)

Bits are those of the tensors' types, or the chip's where they are given. NeuroBench's footprint is parameters + buffers.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from ..errors import ConfigurationError, unknown_name
from ..typing import LayerRecord, NetworkOutput

__all__ = ["Footprint", "footprint"]


class Footprint(NamedTuple):
    """Bytes; lower is better."""

    parameters: int
    buffers: int
    state: int

    @property
    def total(self) -> int:
        """All three."""
        return sum(self)


def footprint(
    network: nn.Module,
    output: NetworkOutput | Sequence[LayerRecord],
    *,
    weight_bits: int | Mapping[str, int] | None = None,
    state_bits: int | None = None,
) -> Footprint:
    """The memory that a network needs for one sample at a time.

    Args:
        network: the module that owns the weights.
        output: what it returned for any batch, for the size of its state.
        weight_bits: bits of a stored weight (parameters of two axes and more); those of the type when None. By name of the
            parameter where they differ; those not named are stored in their type.
        state_bits: bits of a neuron variable, and of parameters of fewer axes; those of the type when None.

    Raises:
        ConfigurationError: bits below 1, or of a parameter that there is not.

    Example:
        >>> import torch
        >>> from snnlightning.layers import SpikingLayer
        >>> from snnlightning.neurons import CubaLIF
        >>> layer = SpikingLayer(10, 4, neuron=CubaLIF(), recurrent=True)
        >>> footprint(layer, [layer.run(torch.zeros(2, 3, 10))])  # 40 + 16 weights; 2 variables of 4 neurons
        Footprint(parameters=224, buffers=0, state=32)
        >>> footprint(layer, [layer.run(torch.zeros(2, 3, 10))], weight_bits=8, state_bits=16).total
        72
    """
    named = dict(network.named_parameters())
    widths = weight_bits if isinstance(weight_bits, Mapping) else dict.fromkeys(named, weight_bits)
    if unknown := [name for name in widths if name not in named]:
        raise unknown_name("parameter for weight_bits", unknown[0], named)
    for name, bits in (
        *((f"weight_bits of {name}", bits) for name, bits in widths.items()),
        ("state_bits", state_bits),
    ):
        if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int) or bits < 1):
            raise ConfigurationError(f"{name} is {bits!r}; a whole number of at least 1 is expected.")
    records = output.records if isinstance(output, NetworkOutput) else output
    parameters = sum(_bytes(p, widths.get(name) if p.ndim > 1 else state_bits) for name, p in named.items())
    buffers = sum(_bytes(b, None) for b in network.buffers())
    state = sum(_bytes(s[:1], state_bits) for record in records for s in record.state)
    return Footprint(parameters, buffers, state)


def _bytes(tensor: Tensor, bits: int | None) -> int:
    """Bytes of a tensor, the last one begun counted in full."""
    return -(-tensor.numel() * (tensor.element_size() * 8 if bits is None else bits) // 8)
