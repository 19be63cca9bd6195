"""What every rule of credit assignment is: it sees one batch and says which gradient the weights get.

A rule is a frozen record of numbers and words. What it keeps between batches (feedback weights) lives in a module that
:meth:`AbstractRule.feedback_weights` makes once; the training module owns it, so that it moves, is saved and is optimised with
everything else.

A rule never writes ``.grad``. It returns a scalar whose value is the loss and whose ``backward()`` gives its gradient: the
graph itself where the rule is a graph, else ``carrying``. So gradient clipping and accumulation, mixed precision and
several processes work as they do for backpropagation.
"""

import abc
import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from ..events import Events
from ..typing import NetworkOutput
from ._network import NetworkLike
from ._outcome import Objective, Outcome, Update

__all__ = ["AbstractRule"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractRule(abc.ABC):
    """One way of assigning credit; see the folder's files for what there is."""

    @property
    def updates_within_sequence(self) -> bool:
        """Whether the optimizer steps inside a sequence, so that Lightning's automatic optimisation is off."""
        return False

    def check(self, network: nn.Module) -> None:  # noqa: B027  (a rule that trains every network has nothing to say)
        """Refuse a network that this rule cannot train.

        Raises:
            ConfigurationError: with the reason and the nearest way out.
        """

    def feedback_weights(self, network: nn.Module) -> nn.Module:
        """What the rule keeps between batches, as parameters (trained) and buffers (fixed); empty for most."""
        return nn.Module()

    def run(self, network: nn.Module, x: Tensor | Events) -> NetworkOutput:
        """What the network answers when it is evaluated; only rules with dynamics of their own replace it."""
        out: NetworkOutput = network(x)
        return out

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """The optimizer that is used when nobody asks for another one: Adam."""
        return torch.optim.Adam(groups, lr=learning_rate)

    @abc.abstractmethod
    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        """The rule on one batch.

        Args:
            network: what :meth:`check` accepted.
            feedback: what :meth:`feedback_weights` made.
            x: input [B, T, N_in]; dense, but for rules that only hand it to the network.
            y: target, as the loss takes it.
            objective: loss and penalty.
            update: steps the optimizer; given to rules that update within a sequence.
        """
