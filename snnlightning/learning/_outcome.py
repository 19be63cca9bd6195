"""What a rule is given to minimise, and what it hands back: an answer, values to log, and a scalar that holds the gradient."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..typing import LayerRecord, NetworkOutput

__all__ = ["Objective", "Outcome", "Update", "carrying", "holding", "of_counts"]


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a training minimises.

    Args:
        loss: (logits [B, C], target) -> scalar.
        penalty: records of all layers -> scalar, or None where nothing is penalised.
        of_trains: (output of the last layer [B, T, C], target) -> scalar, in the place of ``loss``; only backpropagation knows it.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    penalty: Callable[[Sequence[LayerRecord]], Tensor | None] = lambda records: None
    of_trains: Callable[[Tensor, Tensor], Tensor] | None = None


class Outcome(NamedTuple):
    """What a rule made of one batch.

    ``out`` holds logits and records (of a rule that keeps no sequences: last states, and spike counts as a sequence of one
    step); ``loss`` and ``penalty`` are values to log; ``total`` is the scalar whose ``backward()`` gives the rule's gradient,
    or None where the weights were updated already.
    """

    out: NetworkOutput
    loss: Tensor
    penalty: Tensor | None
    total: Tensor | None


Update = Callable[[Tensor], None]
"""Takes a scalar: zero gradients, backward, one step of the optimizer."""


class _Carrying(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, count: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[count:])
        return loss.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads = tuple(grad * g for g in ctx.saved_tensors)
        return (None, None, *grads, *(None for _ in grads))


def carrying(loss: Tensor, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """A scalar with the value of ``loss`` whose ``backward()`` adds ``gradients`` to ``parameters``.

    Example:
        >>> w = torch.ones(2, requires_grad=True)
        >>> (2.0 * carrying(torch.tensor(7.0), [w], [torch.tensor([1.0, 3.0])])).backward()
        >>> w.grad
        tensor([2., 6.])
    """
    scalar: Tensor = _Carrying.apply(loss.detach(), len(parameters), *parameters, *gradients)
    return scalar


def holding(loss: Tensor, pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """A scalar with the value of ``loss`` whose ``backward()`` sends each gradient through the graph of its tensor.

    For tensors that are computed from parameters, such as decays from time constants.

    Example:
        >>> tau = torch.tensor(2.0, requires_grad=True)
        >>> holding(torch.tensor(7.0), [(1.0 / tau, torch.tensor(8.0))]).backward()
        >>> tau.grad
        tensor(-2.)
    """
    form = torch.stack([(value * gradient).sum() for value, gradient in pairs]).sum()
    return loss.detach() + (form - form.detach())


def of_counts(objective: Objective, records: Sequence[LayerRecord]) -> tuple[Tensor | None, list[Tensor]]:
    """The penalty of records that hold spike counts as a sequence of one step, and its gradient by those counts [B, N]."""
    counts = [r.output.detach().requires_grad_() for r in records]
    with torch.enable_grad():
        penalty = objective.penalty([r._replace(output=c) for r, c in zip(records, counts, strict=True)])
    if penalty is None or not penalty.requires_grad:
        return (None if penalty is None else penalty.detach()), [torch.zeros_like(c[:, 0]) for c in counts]
    found = torch.autograd.grad(penalty, counts, allow_unused=True)
    return penalty.detach(), [
        torch.zeros_like(c[:, 0]) if g is None else g[:, 0] for c, g in zip(counts, found, strict=True)
    ]
