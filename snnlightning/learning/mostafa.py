"""Mostafa's spike-time gradients: neurons that spike once, and a closed form for when."""

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from ..events import Events, dense
from ..firing import AbstractFiring
from ..neurons import CubaLIF
from ..typing import ConnectionKind, LayerRecord, NetworkOutput
from ._network import LayerLike, NetworkLike, layers_of
from ._outcome import Objective, Outcome, Update
from ._timed import binned, timed_record
from .abstract import AbstractRule

__all__ = ["Mostafa", "first_spikes"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mostafa(AbstractRule):
    """V(t) = sum_{t_i < t} w_i (1 - exp(-(t - t_i) / tau_syn)); with z = exp(t / tau_syn): z_out = sum_C w_i z_i / (sum_C w_i - 1).

    C is the causal set: the inputs that came before the neuron spiked. Each neuron spikes at most once, an input channel at its
    first event, and the answer is the time of the output's spike, logits = -z, whatever the readout: the earliest class wins. A
    neuron that never reaches threshold, or not before the sequence ends, has z = exp(T dt / tau_syn) and no gradient.

    Training and evaluation run these dynamics. They are those of a ``CubaLIF(tau_mem_ms=inf)`` up to its first spike, in the limit
    of small dt: an input of a layer's weight w_layer moves V by w_layer tau_syn / dt in all, so that w = w_layer tau_syn / (dt v_th).

    Args:
        weight_sum_penalty: K >= 0: adds K sum_j max(0, 1 - sum_i w_ji) over all layers to the training's objective, so that
            neurons spike at all.

    Raises:
        ConfigurationError: neurons other than CubaLIF without leak, recurrence, bias, an output that does not spike; a sequence
            of more than 500 tau_syn.

    Gradient: exact: dz_out/dw_p = (z_p - z_out) / (sum_C w - 1), dz_out/dz_p = w_p / (sum_C w - 1).
    Source: Mostafa 2017, IEEE TNNLS, eqs. 3-12. Differs: gradients are not renormalised; clip them in the Trainer.

    Example:
        >>> Mostafa(weight_sum_penalty=10.0)
        Mostafa(weight_sum_penalty=10.0)
    """

    weight_sum_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight_sum_penalty < math.inf:
            raise ConfigurationError(
                f"Mostafa.weight_sum_penalty is {self.weight_sum_penalty}; it must be 0 or greater, and finite."
            )

    def check(self, network: nn.Module) -> None:
        layers = layers_of(network, "mostafa")
        for k, layer in enumerate(layers):
            if (reason := _not_timed(layer, layers[0])) is not None:
                raise ConfigurationError(
                    f"mostafa cannot train layer {k}: {reason}; use CubaLIF(tau_mem_ms=inf), feed-forward, in every layer "
                    "(readout='spike_count' makes the last one spike), or learning='eventprop'."
                )

    def run(self, network: nn.Module, x: Tensor | Events) -> NetworkOutput:
        return self._run(network, dense(x))[0]

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        out, shortfall = self._run(network, x)
        loss, penalty = objective.loss(out.logits, y), objective.penalty(out.records)
        total = loss if penalty is None else loss + penalty
        return Outcome(out, loss, penalty, total + self.weight_sum_penalty * shortfall)

    def _run(self, network: Any, x: Tensor) -> tuple[NetworkOutput, Tensor]:
        layers: list[LayerLike] = layers_of(network, "mostafa")
        steps, neuron, like = x.shape[1], layers[0].neuron, layers[0].w_in
        dt_ms, tau_ms = neuron.dt_ms, neuron.tau_syn_ms
        end_ms = steps * dt_ms
        if end_ms > 500.0 * tau_ms:
            raise ConfigurationError(
                f"mostafa takes exp(t / tau_syn), and {end_ms:g} ms are {end_ms / tau_ms:.0f} tau_syn; 500 are the most: use a "
                "longer tau_syn_ms or shorter sequences."
            )
        never = math.exp(end_ms / tau_ms)
        spiked = x > 0
        first = torch.where(spiked.any(dim=1), spiked.byte().argmax(dim=1) * dt_ms, math.inf).double()
        z, sent = torch.exp(first / tau_ms), _on_grid(first, steps, dt_ms)
        records: list[LayerRecord] = []
        shortfall = z.new_zeros(())
        for k, (name, layer) in enumerate(zip(network.names, layers, strict=True)):
            kind: ConnectionKind = "input" if k == 0 else "readout" if k == len(layers) - 1 else "feedforward"
            w = layer.w_in.double() * (tau_ms / (dt_ms * layer.neuron.v_th))
            shortfall = shortfall + (1.0 - w.sum(dim=1)).clamp_min(0.0).sum()
            z = first_spikes(z, w)
            z = torch.where(z < never, z, math.inf)
            output = _on_grid(tau_ms * z.detach().log(), steps, dt_ms)
            records.append(timed_record(name, layer, kind, sent.to(like), output.to(like), ()))
            sent = output
        logits = -torch.where(z.isfinite(), z, never)
        return NetworkOutput(logits.to(like), tuple(records)), shortfall.to(like)


def first_spikes(z: Tensor, w: Tensor) -> Tensor:
    """z_out [B, N] from inputs z = exp(t / tau_syn) [B, M] (inf: none) and weights [N, M]; inf where there is no spike.

    Example:
        >>> z = torch.exp(torch.tensor([[0.2, 0.5, 0.9, 1.4]], dtype=torch.float64))
        >>> round(first_spikes(z, torch.tensor([[0.9, 0.8, -0.3, 0.7]], dtype=torch.float64)).item(), 12)
        4.108180493044
    """
    order = z.argsort(dim=1, stable=True)
    sorted_z = z.gather(1, order)
    there = sorted_z.isfinite()
    sorted_z = torch.where(there, sorted_z, 0.0)
    sorted_w = w.mT[order] * there.unsqueeze(-1)  # [B, M, N]
    rest = sorted_w.cumsum(dim=1) - 1.0
    candidate = (sorted_w * sorted_z.unsqueeze(-1)).cumsum(dim=1) / torch.where(rest > 0.0, rest, 1.0)
    after = torch.cat([torch.where(there, sorted_z, math.inf)[:, 1:], z.new_full((len(z), 1), math.inf)], dim=1)
    is_spike = (rest > 0.0) & (candidate > sorted_z.unsqueeze(-1)) & (candidate <= after.unsqueeze(-1))
    is_spike &= there.unsqueeze(-1)
    first = is_spike.byte().argmax(dim=1, keepdim=True)
    chosen = candidate.gather(1, first).squeeze(1)
    return torch.where(is_spike.any(dim=1), chosen, math.inf)


def _on_grid(times: Tensor, steps: int, dt_ms: float) -> Tensor:
    """One spike per neuron at most, [B, N] ms, as [B, T, N]."""
    features = times.shape[1]
    neurons = torch.arange(features, device=times.device).expand(len(times), -1)
    return binned(times, neurons, features, steps, dt_ms)


def _not_timed(layer: LayerLike, first: LayerLike) -> str | None:  # noqa: PLR0911  (a reason each)
    neuron = layer.neuron
    if not isinstance(neuron, CubaLIF):
        return f"a {type(neuron).__name__} is not the neuron of the closed form"
    if neuron.tau_mem_ms != math.inf:
        return f"tau_mem_ms is {neuron.tau_mem_ms}, and the closed form has no leak"
    if neuron.ordering != "seed":
        return f"ordering={neuron.ordering!r} scales the current by 1 - decay_mem, which is 0 without leak"
    if isinstance(layer.surrogate, AbstractFiring):
        return f"its spikes are those of {type(layer.surrogate).__name__}, and no crossings of a threshold"
    if neuron.learned or not (isinstance(neuron.tau_syn_ms, float) and isinstance(neuron.v_th, float)):
        return "the synaptic time constant and the threshold are one number, and fixed"
    if neuron.tau_syn_ms != first.neuron.tau_syn_ms:
        return f"tau_syn_ms is {neuron.tau_syn_ms} and {first.neuron.tau_syn_ms} in the first layer; z is one scale of time"
    if layer.w_rec is not None:
        return "it is recurrent, and every neuron spikes once"
    return "it has a bias, and only spikes come in" if layer.bias is not None else None
