"""What every node around compiled loops does: the product before the loop, and the gradients behind it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .recursion import Recursion

__all__ = ["coefficient_gradients", "drive_of", "refuse_second_derivative"]


def drive_of(x: Tensor, w_in: Tensor | None, bias: Tensor | None) -> Tensor:
    """W x + bias, [B, T, N] or [K, B, T, N]; without weights x is the drive already."""
    if w_in is not None and w_in.ndim == 2:
        return F.linear(x, w_in, bias)
    if w_in is not None:
        rows = x.flatten(-3, -2) @ w_in.mT
        x = rows.unflatten(-2, x.shape[-3:-1])
    return x if bias is None else x + (bias if bias.ndim == 1 else bias[:, None, None])


def coefficient_gradients(
    recursions: Sequence[Recursion], has_members: bool, rows: Tensor | None, given: Sequence[Tensor | None], wants: Sequence[bool]
) -> list[Tensor | None]:  # fmt: skip
    """Of the learnable coefficients, each in its own shape, from those of a recursion's rows.

    Args:
        recursions: one per member; numbers that are no coefficients (AdLIF's q) differ between them.
        has_members: whether the coefficients may have a member axis.
        rows: [K, C, N], summed over samples and time; None when nobody asks.
        given: the coefficients as they came, None where one is a number.
        wants: which of them want a gradient.
    """
    names = recursions[0].learnable
    if rows is None:
        return [None] * len(names)
    each = [recursion.shares(own.unbind(0)) for recursion, own in zip(recursions, rows, strict=True)]
    found: list[Tensor | None] = []
    for name, tensor, wanted in zip(names, given, wants, strict=False):
        if not wanted or tensor is None:
            found.append(None)
            continue
        grad = torch.stack([shares[name] for shares in each]) if has_members else each[0][name]
        found.append(grad.sum_to_size(tensor.shape).to(tensor.dtype))
    return found


def refuse_second_derivative(grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """The same gradients, and an error for whoever differentiates them: with create_graph=True it would be lost in silence."""
    if not torch.is_grad_enabled():
        return grads
    anchor = torch.zeros((), requires_grad=True)
    return tuple(g if g is None else _NoSecondDerivative.apply(g.detach(), anchor) for g in grads)


class _NoSecondDerivative(torch.autograd.Function):
    """A gradient that cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, anchor: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError(
            "a compiled backend has no second derivative (its gradients cannot be differentiated again); "
            "use backend='reference'."
        )
