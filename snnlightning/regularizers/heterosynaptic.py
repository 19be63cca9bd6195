"""Heterosynaptic: the weights of a neuron that fires too much shrink, all of them."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ..typing import LayerRecord
from ..units import decay_from_tau
from .abstract import AbstractRegularizer, Reads

__all__ = ["Heterosynaptic"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heterosynaptic(AbstractRegularizer):
    """strength / 2 * sum_ij w_ij² < z_i[n]^4 >_bn, z_i[n+1] = exp(-dt / tau) z_i[n] + S_i[n], over the synapses of the hidden layers.

    Its gradient is the published decay of weights, strength w_ij z_i^4: a busy neuron loses weights that were not even used. The
    trace is a constant, so nothing goes through the spikes. Independent of the batch size.

    Args:
        tau_ms: time constant of the trace, > 0.
        dt_ms: time step of the data, > 0.

    Source: Zenke & Ganguli 2018 (SuperSpike), the regularisation of their code; tau 100 ms.

    Example:
        >>> import torch
        >>> from snnlightning.typing import Connection, LayerRecord
        >>> w = torch.tensor([[2.0]])
        >>> synapses = Connection("hidden_0.w_in", "input", torch.ones(1, 2, 1), w, True)
        >>> hidden = LayerRecord("hidden_0", True, torch.ones(1, 2, 1), (), None, (synapses,))
        >>> Heterosynaptic(strength=1.0, tau_ms=1e9).of_records([hidden, hidden]).item()  # traces 1 and 2: (1 + 16) / 2
        17.0
    """

    reads: ClassVar[Reads] = "connections"

    tau_ms: float = 100.0
    dt_ms: float = 1.0

    def of_records(self, records: Sequence[LayerRecord]) -> Tensor | None:
        """The sum over the connections into the hidden spiking layers."""
        terms = []
        for record in records[:-1]:
            if record.spiking:
                busy = self._busy(record.output.detach())
                terms += [0.5 * (c.weight.square().flatten(1).sum(dim=1) * busy).sum() for c in record.connections]
        return self.strength * torch.stack(terms).sum() if terms else None

    def _busy(self, spikes: Tensor) -> Tensor:
        """< z^4 > of every neuron (channel), [N]."""
        decay = decay_from_tau(self.tau_ms, self.dt_ms)
        z, total = torch.zeros_like(spikes[:, 0]), torch.zeros_like(spikes[:, 0])
        for n in range(spikes.shape[1]):
            z = decay * z + spikes[:, n]
            total = total + z.pow(4)
        mean = (total / spikes.shape[1]).mean(dim=0)
        return mean if mean.ndim == 1 else mean.flatten(1).mean(dim=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        decay_from_tau(self.tau_ms, self.dt_ms)
