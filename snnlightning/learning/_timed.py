"""What rules with dynamics of their own in continuous time share: records on the data's grid, and inputs as times."""

import torch
from torch import Tensor

from ..typing import Connection, ConnectionKind, LayerRecord, State
from ._network import LayerLike

__all__ = ["binned", "timed_record"]


def binned(times: Tensor, neurons: Tensor, features: int, steps: int, dt_ms: float) -> Tensor:
    """Spikes [B, S] (ms; inf: none) as counts [B, T, N]; a spike in [n dt, (n + 1) dt) is one of step n.

    Example:
        >>> times = torch.tensor([[0.4, 1.0, float("inf")]])
        >>> binned(times, torch.tensor([[1, 0, 0]]), features=2, steps=2, dt_ms=1.0)
        tensor([[[0., 1.],
                 [1., 0.]]])
    """
    found = times.new_zeros(len(times), steps * features)
    there = times.isfinite()
    step = torch.where(there, times / dt_ms, 0.0).floor().long().clamp_max(steps - 1)
    return found.scatter_add_(1, step * features + neurons, there.to(times)).view(-1, steps, features)


def timed_record(
    name: str, layer: LayerLike, kind: ConnectionKind, sent: Tensor, output: Tensor, state: State
) -> LayerRecord:
    """A layer's record, with its connections as they were used: what came in, [B, T, N_in], and its own spikes."""
    spiking = bool(layer.neuron.spiking)
    binary = spiking and bool((output <= 1.0).all())
    connections = [Connection(f"{name}.w_in", kind, sent, layer.w_in, bool(((sent == 0.0) | (sent == 1.0)).all()))]
    if layer.w_rec is not None:
        connections.append(Connection(f"{name}.w_rec", "recurrent", output, layer.w_rec, binary))
    return LayerRecord(name, spiking, output, state, None, tuple(connections), binary=binary)
