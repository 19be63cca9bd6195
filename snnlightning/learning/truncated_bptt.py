"""Truncated BPTT: backpropagation through a window, the state carried on without its past."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from ..typing import LayerRecord, NetworkOutput
from ._network import NetworkLike, parameters_of
from ._outcome import Objective, Outcome, Update, carrying
from ._readout import check_readout, combined
from .abstract import AbstractRule

__all__ = ["TruncatedBPTT"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TruncatedBPTT(AbstractRule):
    """L = sum_c (T_c / T) [loss(readout(window c), y) + penalty(window c)]; each window starts from the state that the one
    before it ended in, detached.

    With ``steps`` >= T this is BPTT. Memory grows with ``steps``, not with T. Regularizers see each window as a sequence of
    its own, so a bound in spikes is one in spikes per window.

    Args:
        steps: length K of a window, >= 1; the last one may be shorter.
        update_each_window: whether the optimizer steps after every window, and not once per batch on the sum. Lightning's
            gradient clipping and accumulation are then not available.

    Raises:
        ConfigurationError: a readout that cannot be put together from windows.

    Gradient: exact within a window, zero from one window to an earlier one.
    Source: Neftci, Mostafa & Zenke 2019, section III; Williams & Peng 1990.

    Example:
        >>> TruncatedBPTT(steps=25).update_each_window
        False
    """

    steps: int
    update_each_window: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ConfigurationError(
                f"TruncatedBPTT.steps is {self.steps!r}; a whole number of at least 1 is expected."
            )

    @property
    def updates_within_sequence(self) -> bool:
        return self.update_each_window

    def check(self, network: nn.Module) -> None:
        check_readout(getattr(network, "readout", None), "truncated_bptt")

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        parameters, total = parameters_of(network), x.shape[1]
        gradients = [torch.zeros_like(p) for p in parameters]
        # A window is a piece of a longer sequence, which delays longer than the window need to know.
        start = getattr(network, "initial_states", None)
        states: Any = start(x.shape[0]) if start is not None and total > self.steps else None
        logits: Tensor | None = None
        loss, penalty = x.new_zeros(()), None
        records: tuple[LayerRecord, ...] = ()
        for window in x.split(self.steps, dim=1):
            share = window.shape[1] / total
            out = network(window, states)
            part = share * objective.loss(out.logits, y)
            extra = objective.penalty(out.records)
            objective_of_window = part if extra is None else part + share * extra
            if update is not None:
                update(objective_of_window)
            else:
                found = torch.autograd.grad(objective_of_window, parameters, allow_unused=True)
                gradients = [g if new is None else g + new for g, new in zip(gradients, found, strict=True)]
            states = [tuple(variable.detach() for variable in state) for state in out.states]
            logits = combined(network.readout, logits, out.logits.detach(), window.shape[1], total)
            loss = loss + part.detach()
            if extra is not None:
                penalty = share * extra.detach() + (0.0 if penalty is None else penalty)
            records = tuple(r._replace(output=r.output.detach(), connections=()) for r in out.records)
        if logits is None:
            raise ConfigurationError("truncated_bptt got a sequence of no steps; T >= 1 is expected.")
        value = loss if penalty is None else loss + penalty
        carried = None if update is not None else carrying(value, parameters, gradients)
        return Outcome(NetworkOutput(logits, records), loss, penalty, carried)
