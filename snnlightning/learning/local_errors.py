"""Local errors: every layer has a classifier of its own, fixed and random, and learns from that one alone."""

import dataclasses

import torch
from torch import Tensor, nn

from ..scan import scan
from ..typing import LayerRecord, NetworkOutput
from ._feedback import random_weights, weights_of
from ._network import NetworkLike, coefficients_of, drive_of, layers_of, record, run_on_drive
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["LocalErrors"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalErrors(AbstractRule):
    """L = sum_l loss(readout(neuron_out(G_l z_l)), y), z_l from detached inputs; dL_l/dW_m = 0 for m != l, exactly.

    Each hidden layer's classifier is the network's output layer with fixed random weights G_l [C, N_l] in place of its own:
    the same neuron, the same readout over time. The output layer itself learns from its own loss. Time is as in BPTT within
    a layer. The loss that is logged is that of the output.

    Args:
        seed: of G.

    Raises:
        ConfigurationError: a network that is no chain of plain layers.

    Source: Mostafa, Ramesh & Cauwenberghs 2018; Neftci, Mostafa & Zenke 2019, section IV-C.

    Example:
        >>> LocalErrors(seed=1).seed
        1
    """

    seed: int = 0

    def check(self, network: nn.Module) -> None:
        layers_of(network, "local_errors")

    def feedback_weights(self, network: nn.Module) -> nn.Module:
        layers = layers_of(network, "local_errors")
        classes = layers[-1].w_in.shape[0]
        return random_weights([(classes, layer.w_in.shape[0]) for layer in layers[:-1]], self.seed, layers[0].w_in)

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        layers, classifiers = layers_of(network, "local_errors"), weights_of(feedback)
        last = layers[-1]
        records: list[LayerRecord] = []
        losses: list[Tensor] = []
        for name, layer in zip(network.names, layers, strict=True):
            trace = run_on_drive(layer, drive_of(layer, x.detach()))
            records.append(record(name, layer, trace.output, trace.state))
            x = trace.output
            if layer is not last:
                g = classifiers[len(losses)]
                fixed = {
                    key: value.detach() if isinstance(value, Tensor) else value
                    for key, value in coefficients_of(last).items()
                }
                read = scan(last.neuron, x, g, spike=last.surrogate, coefficients=fixed, backend=last.backend)
                losses.append(objective.loss(network.readout(read.output), y))
        out = NetworkOutput(network.readout(x), tuple(records))
        loss, penalty = objective.loss(out.logits, y), objective.penalty(out.records)
        total = torch.stack([*losses, loss]).sum()
        return Outcome(out, loss, penalty, total if penalty is None else total + penalty)
