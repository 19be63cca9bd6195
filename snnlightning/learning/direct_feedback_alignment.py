"""Direct feedback alignment: every hidden layer hears the output's error through fixed random weights of its own."""

import dataclasses

from torch import Tensor, nn

from ..errors import ConfigurationError
from ..typing import LayerRecord, NetworkOutput
from ._feedback import random_weights, sends_error, weights_of
from ._network import NetworkLike, drive_of, layers_of, record, run_on_drive
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["DirectFeedbackAlignment"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DirectFeedbackAlignment(AbstractRule):
    """delta_l = h(v_l - v_th) (B_lᵀ e), e = dL/d(W_out z) the error at the input of the output layer, B_l [C, N_l] random.

    No error passes from one hidden layer to another. Within a layer time is as in BPTT. With one hidden layer and
    B = W_out this is backpropagation.

    Args:
        seed: of B.

    Raises:
        ConfigurationError: a network that is no chain of plain layers, or one layer alone.

    Source: Nøkland 2016; Neftci, Mostafa & Zenke 2019, section IV-A.

    Example:
        >>> DirectFeedbackAlignment().seed
        0
    """

    seed: int = 0

    def check(self, network: nn.Module) -> None:
        if len(layers_of(network, "direct_feedback_alignment")) < 2:
            raise ConfigurationError(
                "direct_feedback_alignment needs a hidden layer to send errors to; use learning='bptt'."
            )

    def feedback_weights(self, network: nn.Module) -> nn.Module:
        layers = layers_of(network, "direct_feedback_alignment")
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
        layers, back = layers_of(network, "direct_feedback_alignment"), weights_of(feedback)
        records: list[LayerRecord] = []
        for k, (name, layer) in enumerate(zip(network.names, layers, strict=True)):
            drive = drive_of(layer, x.detach())
            if k == len(layers) - 1:
                drive = sends_error(drive, [r.output for r in records], back)
            trace = run_on_drive(layer, drive)
            records.append(record(name, layer, trace.output, trace.state))
            x = trace.output
        out = NetworkOutput(network.readout(x), tuple(records))
        loss, penalty = objective.loss(out.logits, y), objective.penalty(out.records)
        return Outcome(out, loss, penalty, loss if penalty is None else loss + penalty)
