"""BPTT: backpropagation through time, the default."""

import dataclasses

from torch import Tensor, nn

from ._network import NetworkLike
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["BPTT"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BPTT(AbstractRule):
    """The gradient of loss + penalty through the whole sequence, with the surrogate's h for the step's derivative.

    delta_i[n] = h(v_i[n] - v_th) (sum_k W_ki delta_k[n] + sum_k V_ki delta_k[n+1]), in the order of the neuron's own
    equation. Works for any network. Memory grows with T.

    Source: Neftci, Mostafa & Zenke 2019, Box 2 and section III.

    Example:
        >>> BPTT().updates_within_sequence
        False
    """

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        out = network(x)
        if objective.of_trains is None:
            loss = objective.loss(out.logits, y)
        else:
            loss = objective.of_trains(out.records[-1].output, y)
        penalty = objective.penalty(out.records)
        return Outcome(out, loss, penalty, loss if penalty is None else loss + penalty)
