"""RTRL: real-time recurrent learning, the exact gradient carried forward in time. For small networks."""

import dataclasses
import itertools
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from ._local import Parameters, Step
from ._network import LayerLike, NetworkLike, layers_of
from ._online import OnlineChain, error_of
from ._outcome import Objective, Outcome, Update, of_counts
from ._readout import check_readout, tangent
from .abstract import AbstractRule

__all__ = ["RTRL"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RTRL(AbstractRule):
    """P[n+1] = J[n] P[n] + dF/dtheta, P = d state / d theta of all layers; dL/dtheta = sum_n (dL/dy[n]) (dy[n]/d state) P[n].

    J holds everything that BPTT's graph holds: decays, the reset where it is attached, recurrent weights, the layers below.
    The gradient is that of BPTT to rounding, for every neuron and both resets. Memory does not grow with T, but is
    (variables of a neuron) x (parameters) x batch x neurons, O(N³) in a recurrent layer of N.

    Args:
        max_elements: refuse networks and batches whose P is larger, >= 1; 2.5e8 are 1 GB in single precision.

    Raises:
        ConfigurationError: no chain of plain layers; a readout that does not go step by step; P too large.

    Gradient: that of BPTT, with the same surrogate.
    Source: Williams & Zipser 1989; Neftci, Mostafa & Zenke 2019, section III.

    Example:
        >>> RTRL().max_elements
        250000000
    """

    max_elements: int = 250_000_000

    def __post_init__(self) -> None:
        if isinstance(self.max_elements, bool) or not isinstance(self.max_elements, int) or self.max_elements < 1:
            raise ConfigurationError(
                f"RTRL.max_elements is {self.max_elements!r}; a whole number of at least 1 is expected."
            )

    def check(self, network: nn.Module) -> None:
        self._size(layers_of(network, "rtrl"), 1)
        check_readout(getattr(network, "readout", None), "rtrl")

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        layers, readout = layers_of(network, "rtrl"), network.readout
        batch, total = x.shape[:2]
        self._size(layers, batch)
        chain = OnlineChain(network, layers, x, objective, "rtrl", eligible=False)
        sizes = [p.w_in.shape[0] * p.columns for p in chain.parameters]
        # P of a layer has rows for the parameters of the layers below it, and then for its own.
        influence = [
            torch.stack([s.new_zeros(rows, *s.shape) for s in state])
            for rows, state in zip(itertools.accumulate(sizes), chain.states, strict=True)
        ]
        of_counted = [torch.zeros_like(p[0]) for p in influence]
        of_logits = torch.zeros_like(influence[-1][0])
        for n, steps in enumerate(chain.steps()):
            z, below = x[:, n], None
            for k, (p, step) in enumerate(zip(chain.parameters, steps, strict=True)):
                moved = (step.output_by_state.unsqueeze(1) * influence[k]).sum(dim=0)
                _by_learned(moved, p, step.output_by_learned)
                influence[k] = _next(influence[k], step, p, z, below)
                of_counted[k] += moved
                z, below = step.output, moved
            of_logits = tangent(readout, of_logits, chain.logits, z, cast(Tensor, below), total)
        logits = cast(Tensor, chain.logits)
        loss, error = error_of(objective, logits, y)
        flat = (of_logits * error).sum(dim=(1, 2))
        for g, t in zip(of_counts(objective, chain.records())[1], of_counted, strict=True):
            flat[: t.shape[0]] += (t * g).sum(dim=(1, 2))
        gradients = [
            g.view(p.w_in.shape[0], p.columns) for g, p in zip(flat.split(sizes), chain.parameters, strict=True)
        ]
        return chain.outcome(logits, loss, gradients)

    def _size(self, layers: list[LayerLike], batch: int) -> None:
        rows = size = 0
        for layer in layers:
            neurons = layer.w_in.shape[0]
            rows += sum(w.numel() for w in (layer.w_in, layer.w_rec, layer.bias) if w is not None)
            size += (len(layer.neuron.state_names) + 1) * rows * batch * neurons
        if size > self.max_elements:
            raise ConfigurationError(
                f"rtrl would keep {size:.2g} numbers for {rows} parameters and a batch of {batch}, and max_elements is "
                f"{self.max_elements:.2g}; use a smaller batch or network, or learning='eprop', which drops what grows."
            )


def _next(influence: Tensor, step: Step, parameters: Parameters, x: Tensor, below: Tensor | None) -> Tensor:
    """P of a layer one step on: [K, P, B, N]."""
    driven = influence.new_zeros(influence.shape[1:])
    if below is not None:
        driven[: below.shape[0]] = below @ parameters.w_in.mT
    arrived = [x]
    if step.sent is not None:
        assert parameters.w_rec is not None
        of_sent = (step.sent_by_state.unsqueeze(1) * influence).sum(dim=0)
        _by_learned(of_sent, parameters, step.sent_by_learned)
        driven += of_sent @ parameters.w_rec.mT
        arrived.append(step.sent)
    if parameters.bias is not None:
        arrived.append(x.new_ones(x.shape[0], 1))
    direct = torch.cat(arrived, dim=-1)
    _diagonal(driven, parameters)[: direct.shape[1]] += direct.mT.unsqueeze(-1)
    found = (step.by_state.unsqueeze(2) * influence.unsqueeze(0)).sum(dim=1) + step.by_drive.unsqueeze(1) * driven
    for of_variable, by_learned in zip(found, step.by_learned, strict=True):
        _by_learned(of_variable, parameters, by_learned)
    return found


def _diagonal(rows: Tensor, parameters: Parameters) -> Tensor:
    """The rows of a layer's own parameters where the parameter belongs to the neuron itself: a view [M, B, N]."""
    neurons, columns = parameters.w_in.shape[0], parameters.columns
    own = rows[rows.shape[0] - neurons * columns :].view(neurons, columns, *rows.shape[1:])
    return own.diagonal(dim1=0, dim2=3)


def _by_learned(rows: Tensor, parameters: Parameters, by_learned: Tensor) -> None:
    """Add what learned coefficients [B, N, L] do directly."""
    if parameters.learned:
        _diagonal(rows, parameters)[-by_learned.shape[-1] :] += by_learned.permute(2, 0, 1)
