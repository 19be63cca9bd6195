"""A chain of layers that goes through a sequence one step at a time and keeps no step: what rules that learn online share."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..readouts import AbstractReadout
from ..typing import LayerRecord, NetworkOutput, State
from ._local import Eligibility, Parameters, Step, advanced, no_eligibility, of_output, parameters_in, stepped
from ._network import LayerLike, NetworkLike, drive_of, record
from ._outcome import Objective, Outcome, holding, of_counts
from ._readout import combined

__all__ = ["OnlineChain", "error_of", "zero_state"]


class OnlineChain:
    """The layers of a network with their states and spike counts, and with eligibilities where a rule wants them.

    Args:
        network: a chain of plain layers.
        layers: these layers.
        x: input [B, T, N_in].
        objective: of the training; eligibilities are summed over time only where it has a penalty on counts.
        rule: its name, for messages.
        eligible: whether eligibilities are kept.

    It lives as long as one batch.
    """

    def __init__(
        self,
        network: NetworkLike,
        layers: list[LayerLike],
        x: Tensor,
        objective: Objective,
        rule: str,
        *,
        eligible: bool = True,
    ) -> None:
        if not x.shape[1]:
            raise ConfigurationError(f"{rule} got a sequence of no steps; T >= 1 is expected.")
        self.names, self.readout = network.names, cast(AbstractReadout, network.readout)
        self.layers, self.x, self.objective = layers, x, objective
        self.parameters: list[Parameters] = [parameters_in(layer) for layer in layers]
        self.states: list[State] = [zero_state(layer, x.shape[0]) for layer in layers]
        self.counts = [torch.zeros_like(state[0]) for state in self.states]
        self.logits: Tensor | None = None
        self.traces: list[Eligibility] = []
        self.active: list[Tensor] = []
        if eligible:
            pairs = list(zip(layers, self.parameters, strict=True))
            self.traces = [no_eligibility(layer, p, x.shape[0]) for layer, p in pairs]
            if of_counts(objective, self.records())[0] is not None:
                self.active = [trace.new_zeros(()) for trace in self.traces]

    def zero_gradients(self) -> list[Tensor]:
        """[N, M] per layer, M as :class:`~snnlightning.learning._local.Parameters` counts columns."""
        return [p.w_in.new_zeros(p.w_in.shape[0], p.columns) for p in self.parameters]

    def steps(self) -> Iterator[list[Step]]:
        """What every layer does at n = 0, 1, ...; ``traces`` are those of n until the next one is asked for.

        ``logits`` are the readout of everything before n.
        """
        total = self.x.shape[1]
        for now in self.x.unbind(1):
            x, steps = now, []
            for layer, p, state in zip(self.layers, self.parameters, self.states, strict=True):
                steps.append(stepped(layer, p, drive_of(layer, x).detach(), state))
                x = steps[-1].output
            yield steps
            inputs = [now, *(step.output for step in steps)]
            for k, step in enumerate(steps):
                if self.active:
                    self.active[k] = self.active[k] + of_output(self.traces[k], step)
                if self.traces:
                    self.traces[k] = advanced(self.traces[k], step, inputs[k], self.parameters[k])
                self.states[k], self.counts[k] = step.state, self.counts[k] + step.output
            self.logits = combined(self.readout, self.logits, self.readout(inputs[-1].unsqueeze(1)), 1, total)

    def records(self) -> tuple[LayerRecord, ...]:
        """Last states, and spike counts as a sequence of one step."""
        stages = zip(self.names, self.layers, self.counts, self.states, strict=True)
        return tuple(record(name, layer, c.unsqueeze(1), state) for name, layer, c, state in stages)

    def outcome_of_step(self, loss: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """A scalar with the value of ``loss`` whose ``backward()`` gives these gradients [N, M] per layer."""
        stages = zip(self.layers, self.parameters, gradients, strict=True)
        return holding(loss, [pair for layer, p, gradient in stages for pair in p.pairs(layer, gradient)])

    def outcome(
        self, logits: Tensor, loss: Tensor, gradients: Sequence[Tensor], extra: Iterable[tuple[Tensor, Tensor]] = ()
    ) -> Outcome:
        """What a rule hands back: these gradients, and those of the penalty on spike counts where there is one.

        Args:
            logits: the answer [B, C].
            loss: its value.
            gradients: [N, M] per layer.
            extra: further (tensor, gradient).
        """
        records = self.records()
        penalty, by_counts = of_counts(self.objective, records)
        pairs = list(extra)
        for k, (layer, p) in enumerate(zip(self.layers, self.parameters, strict=True)):
            gradient = gradients[k]
            if self.active and by_counts[k].any():
                gradient = gradient + torch.einsum("bi,bij->ij", by_counts[k], self.active[k])
            pairs += p.pairs(layer, gradient)
        value = loss if penalty is None else loss + penalty
        return Outcome(NetworkOutput(logits, records), loss, penalty, holding(value, pairs))


def error_of(objective: Objective, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient by the logits [B, C]."""
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        loss = objective.loss(leaf, y)
        (error,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), error


def zero_state(layer: LayerLike, batch: int) -> State:
    """All variables 0, [B, N] each."""
    names = cast(tuple[str, ...], layer.neuron.state_names)
    return tuple(layer.w_in.new_zeros(batch, layer.w_in.shape[0]) for _ in names)
