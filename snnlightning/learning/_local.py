"""One step of one layer with its derivatives, and what each neuron's state owes to its own parameters.

Rules that go forward in time need, at every step, how a neuron's next state and output depend on its state and its input.
Neurons do not touch each other but through weights, so these are numbers per neuron. They are taken from the neuron's own
definition by autograd, one step at a time: every neuron, reset and detachment comes out as backpropagation through time
would have it.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor

from ..typing import State
from ._network import LayerLike, coefficients_of

__all__ = [
    "Eligibility",
    "Parameters",
    "Step",
    "advanced",
    "contracted",
    "no_eligibility",
    "of_output",
    "parameters_in",
    "stepped",
]


class Parameters(NamedTuple):
    """What a layer multiplies with: values without a graph, and the learned coefficients [N] with theirs."""

    w_in: Tensor
    w_rec: Tensor | None
    bias: Tensor | None
    coefficients: dict[str, float | Tensor]
    learned: dict[str, Tensor]

    def pairs(self, layer: LayerLike, gradient: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(tensor with a graph, gradient) from columns [N, M] in the order of :func:`advanced`."""
        sizes = [self.w_in.shape[1], 0 if self.w_rec is None else self.w_rec.shape[1], int(self.bias is not None)]
        sizes += [1] * len(self.learned)
        w_in, w_rec, bias, *learned = gradient.split(sizes, dim=1)
        pairs = [(layer.w_in, w_in)]
        if layer.w_rec is not None:
            pairs.append((layer.w_rec, w_rec))
        if layer.bias is not None:
            pairs.append((layer.bias, bias.squeeze(1)))
        return pairs + [(value, g.squeeze(1)) for value, g in zip(self.learned.values(), learned, strict=True)]

    @property
    def columns(self) -> int:
        """M: incoming weights, bias and learned coefficients of one neuron."""
        own = 0 if self.w_rec is None else self.w_rec.shape[1]
        return self.w_in.shape[1] + own + int(self.bias is not None) + len(self.learned)


def parameters_in(layer: LayerLike) -> Parameters:
    """A layer's parameters, read once per batch."""
    neurons = layer.w_in.shape[0]
    given = coefficients_of(layer)
    learned = {
        name: value.expand(neurons)
        for name, value in given.items()
        if isinstance(value, Tensor) and value.requires_grad
    }
    fixed = {
        name: value.detach().to(layer.w_in) if isinstance(value, Tensor) else value for name, value in given.items()
    }
    return Parameters(
        layer.w_in.detach(),
        None if layer.w_rec is None else layer.w_rec.detach(),
        None if layer.bias is None else layer.bias.detach(),
        fixed,
        learned,
    )


class Step(NamedTuple):
    """One step of a layer; K is the number of state variables.

    ``output`` and ``sent`` (what went into w_rec; None in a feed-forward layer) are [B, N]; ``state`` is n + 1.
    ``by_state`` [K, K, B, N] is d state'_a / d state_b with the way through w_rec left out, ``by_drive`` [K, B, N] is
    d state'_a / d drive, ``output_by_state`` and ``sent_by_state`` [K, B, N]. ``by_learned`` [K, B, N, L],
    ``output_by_learned`` and ``sent_by_learned`` [B, N, L] are by the learned coefficients, one column each.
    """

    output: Tensor
    sent: Tensor | None
    state: State
    by_state: Tensor
    by_drive: Tensor
    output_by_state: Tensor
    sent_by_state: Tensor
    by_learned: Tensor
    output_by_learned: Tensor
    sent_by_learned: Tensor


class _Tap:
    """Stands in the place of w_rec: gives z V as a constant and keeps z, whose graph the caller wants."""

    def __init__(self, w_rec: Tensor) -> None:
        self.w_rec = w_rec
        self.sent: Tensor | None = None
        self.shape = w_rec.shape

    @property
    def mT(self) -> "_Tap":  # noqa: N802  (as tensors call it)
        return self

    def __rmatmul__(self, z: Tensor) -> Tensor:
        self.sent = z
        return z.detach() @ self.w_rec.mT


def stepped(layer: LayerLike, parameters: Parameters, drive: Tensor, state: State) -> Step:
    """One step from ``state`` n (K times [B, N]) with W x + bias [B, N], by the neuron's own definition."""
    with torch.enable_grad():
        leaves = [s.detach().requires_grad_() for s in state]
        d = drive.detach().requires_grad_()
        learned = {
            name: cast(Tensor, parameters.coefficients[name]).expand_as(drive).clone().requires_grad_()
            for name in parameters.learned
        }
        tap = None if parameters.w_rec is None else _Tap(parameters.w_rec)
        trace = layer.neuron.run(
            d.unsqueeze(-2), tap, tuple(leaves), layer.surrogate, {**parameters.coefficients, **learned}, False
        )
        output = trace.output.squeeze(-2)
        sent = None if tap is None else tap.sent
        inputs = [*leaves, d, *learned.values()]
        rows = [_row(value, inputs) for value in (*trace.state, output)]
        sent_row = [torch.zeros_like(d)] * len(inputs) if sent is None else _row(sent, inputs)
    k = len(leaves)
    states, out = rows[:-1], rows[-1]
    nothing = d.new_zeros(*d.shape, 0)
    return Step(
        output.detach(),
        None if sent is None else sent.detach(),
        tuple(s.detach() for s in trace.state),
        torch.stack([torch.stack(row[:k]) for row in states]),
        torch.stack([row[k] for row in states]),
        torch.stack(out[:k]),
        torch.stack(sent_row[:k]),
        torch.stack([torch.stack(row[k + 1 :], -1) if learned else nothing for row in states]),
        torch.stack(out[k + 1 :], -1) if learned else nothing,
        torch.stack(sent_row[k + 1 :], -1) if learned else nothing,
    )


def _row(value: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """d value / d input for every input; values of different neurons and samples do not depend on each other's."""
    if not value.requires_grad:
        return [torch.zeros_like(i) for i in inputs]
    found = torch.autograd.grad(value.sum(), inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(i) if g is None else g for g, i in zip(found, inputs, strict=True)]


Eligibility = Tensor
"""d state_a[b, i] / d parameter (i, j), [K, B, N, M]; [K, B, 1, M] as long as it is the same for all neurons.

That it is the same is no approximation: with one time constant and a detached, subtracted reset a neuron's state is a
linear filter of its input, and the trace is the presynaptic one.
"""


def no_eligibility(layer: LayerLike, parameters: Parameters, batch: int) -> Eligibility:
    """What a state of zeros owes to the parameters: nothing."""
    return layer.w_in.new_zeros(len(layer.neuron.state_names), batch, 1, parameters.columns)


def advanced(eligibility: Eligibility, step: Step, x: Tensor, parameters: Parameters) -> Eligibility:
    """E_a' = sum_b (d state'_a / d state_b) E_b + (d state'_a / d drive) [x, sent, 1], and the coefficients' own columns.

    Spikes that come back through w_rec are taken as constants here.
    """
    columns = [x] if step.sent is None else [x, step.sent]
    if parameters.bias is not None:
        columns.append(x.new_ones(x.shape[0], 1))
    arrived = torch.cat(columns, dim=-1)
    by_state, by_drive = step.by_state, step.by_drive
    if eligibility.shape[2] == 1 and not parameters.learned and _same(by_state) and _same(by_drive):
        by_state, by_drive = by_state[..., :1], by_drive[..., :1]
    direct = by_drive.unsqueeze(-1) * arrived.unsqueeze(-2)
    if parameters.learned:
        direct = torch.cat([direct, step.by_learned], dim=-1)
    return (by_state.unsqueeze(-1) * eligibility).sum(dim=1) + direct


def _same(derivative: Tensor) -> bool:
    return bool((derivative == derivative[..., :1]).all())


def of_output(eligibility: Eligibility, step: Step) -> Tensor:
    """d output[b, i] / d parameter (i, j), [B, N, M]."""
    found = (step.output_by_state.unsqueeze(-1) * eligibility).sum(dim=0)
    if not step.output_by_learned.shape[-1]:
        return found
    weights = found.shape[-1] - step.output_by_learned.shape[-1]
    return torch.cat([found[..., :weights], found[..., weights:] + step.output_by_learned], dim=-1)


def contracted(signal: Tensor, eligibility: Eligibility, step: Step) -> Tensor:
    """sum_b signal[b, i] d output[b, i] / d parameter (i, j), [N, M], without the tensor over samples where E is shared."""
    if eligibility.shape[2] > 1 or step.output_by_learned.shape[-1]:
        return torch.einsum("bi,bij->ij", signal, of_output(eligibility, step))
    return (signal * step.output_by_state).mT.matmul(eligibility.squeeze(2)).sum(dim=0)
