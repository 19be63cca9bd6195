"""Feedback alignment: the error comes down through fixed random weights."""

import dataclasses

from torch import Tensor, nn

from ..errors import ConfigurationError
from ..typing import LayerRecord, NetworkOutput
from ._feedback import linear_with_feedback, random_weights, weights_of
from ._network import NetworkLike, drive_of, layers_of, record, run_on_drive
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["FeedbackAlignment"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeedbackAlignment(AbstractRule):
    """delta_l = h(v_l - v_th) (B_lᵀ delta_{l+1}), B_l [N_{l+1}, N_l] fixed and random where backpropagation has W_{l+1}.

    Time is as in BPTT: decays, reset and the recurrent weights V carry the error back in time as they are.

    Args:
        seed: of B.

    Raises:
        ConfigurationError: a network that is no chain of plain layers, or one layer alone.

    Source: Lillicrap et al. 2016; Neftci, Mostafa & Zenke 2019, section IV-A.

    Example:
        >>> FeedbackAlignment(seed=3)
        FeedbackAlignment(seed=3)
    """

    seed: int = 0

    def check(self, network: nn.Module) -> None:
        if len(layers_of(network, "feedback_alignment")) < 2:
            raise ConfigurationError("feedback_alignment needs a hidden layer to send errors to; use learning='bptt'.")

    def feedback_weights(self, network: nn.Module) -> nn.Module:
        layers = layers_of(network, "feedback_alignment")
        shapes = [(layer.w_in.shape[0], layer.w_in.shape[1]) for layer in layers[1:]]
        return random_weights(shapes, self.seed, layers[0].w_in)

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        layers, back = layers_of(network, "feedback_alignment"), weights_of(feedback)
        records: list[LayerRecord] = []
        for k, (name, layer) in enumerate(zip(network.names, layers, strict=True)):
            if k == 0:
                drive = drive_of(layer, x)
            else:
                drive = linear_with_feedback(x, layer.w_in, back[k - 1]).to(layer.w_in.dtype)
                drive = drive if layer.bias is None else drive + layer.bias
            trace = run_on_drive(layer, drive)
            records.append(record(name, layer, trace.output, trace.state))
            x = trace.output
        out = NetworkOutput(network.readout(x), tuple(records))
        loss, penalty = objective.loss(out.logits, y), objective.penalty(out.records)
        return Outcome(out, loss, penalty, loss if penalty is None else loss + penalty)
