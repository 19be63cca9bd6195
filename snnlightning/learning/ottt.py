"""OTTT: online training through time; traces in time, backpropagation through the layers at one instant."""

import collections
import dataclasses

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from ._local import Eligibility, Step, contracted, parameters_in, stepped
from ._network import NetworkLike, layers_of
from ._online import OnlineChain, error_of, zero_state
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["OTTT"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OTTT(AbstractRule):
    """L = (1/T) sum_n loss(Y[n], y);  dL/dW_l = sum_n delta_l[n] a_l[n],  a[n+1] = decay a[n] + s_in[n],
    delta_l[n] = h(U_l[n]) W_{l+1}^T delta_{l+1}[n+1], and delta at the output the error of this step.

    The error goes down through the layers along one instant and never back in time; what time has to do with a weight is in
    the trace a = dU/dW of its neuron (the presynaptic one for a LIF with detached, subtracted reset). A spike of layer l at n
    moves layer l + 1 at n + 1, so an instant is a diagonal: layer l is one step behind the layer above it. Memory does not grow
    with T; it holds as many steps as there are layers.

    Args:
        update_each_step: whether the optimizer steps after every time step (OTTT_O), and not once per batch on the sum
            (OTTT_A). Lightning's gradient clipping and accumulation are then not available.

    Raises:
        ConfigurationError: no chain of plain layers; a neuron behind the first layer with a synaptic current, whose potential
            an input does not reach within a step.

    Gradient: that of BPTT in the last layer, without recurrence and with detached reset; an approximation below.
    Source: Xiao et al. 2022, NeurIPS, eqs. 4-9.

    Example:
        >>> OTTT().updates_within_sequence
        False
    """

    update_each_step: bool = False

    @property
    def updates_within_sequence(self) -> bool:
        return self.update_each_step

    def check(self, network: nn.Module) -> None:
        for k, layer in enumerate(layers_of(network, "ottt")):
            state = zero_state(layer, 1)
            step = stepped(layer, parameters_in(layer), torch.zeros_like(state[0]), state)
            if k and not step.by_drive[layer.neuron.state_names.index("v")].any():
                raise ConfigurationError(
                    f"ottt sends errors along one instant, and layer {k} is a {type(layer.neuron).__name__}, whose potential "
                    "an input reaches a step later, through the synaptic current; use LIF() (LI() at the output), or "
                    "learning='eprop'."
                )

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        layers, total = layers_of(network, "ottt"), x.shape[1]
        chain = OnlineChain(network, layers, x, objective, "ottt")
        recent: collections.deque[tuple[list[Step], list[Eligibility]]] = collections.deque(maxlen=len(layers))
        found, losses = chain.zero_gradients(), []
        for steps in chain.steps():
            recent.appendleft((steps, list(chain.traces)))
            loss, error = error_of(objective, steps[-1].output, y)
            losses.append(loss / total)
            _add(found, list(recent), error / total, [p.w_in for p in chain.parameters])
            if update is not None:
                update(chain.outcome_of_step(loss / total, found))
                chain.parameters = [parameters_in(layer) for layer in layers]
                found = chain.zero_gradients()
        assert chain.logits is not None
        outcome = chain.outcome(chain.logits, torch.stack(losses).sum(), found)
        if update is None:
            return outcome
        if outcome.penalty is not None and outcome.total is not None:
            update(outcome.total)
        return outcome._replace(total=None)


def _add(
    found: list[Tensor], recent: list[tuple[list[Step], list[Eligibility]]], signal: Tensor, w_in: list[Tensor]
) -> None:
    """Send the error of now down the diagonal: layer l as it was (last - l) steps ago; ``recent`` is newest first."""
    last = len(found) - 1
    for back, (steps, traces) in enumerate(recent):
        k = last - back
        if back:
            above, before = recent[back - 1][0][k + 1], steps[k + 1]
            signal = (signal * (above.output_by_state * before.by_drive).sum(dim=0)) @ w_in[k + 1]
        found[k] += contracted(signal, traces[k], steps[k])
