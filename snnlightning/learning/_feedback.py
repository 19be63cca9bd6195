"""Feedback weights: what stands in for a transpose, where the error goes backward."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["linear_with_feedback", "random_weights", "sends_error", "weights_of"]


def random_weights(shapes: Iterable[tuple[int, int]], seed: int, like: Tensor, *, trained: bool = False) -> nn.Module:
    """``b_0``, ``b_1``, ... of the given shapes [N_post, N_pre], normal with standard deviation 1/√N_post.

    Args:
        shapes: one per matrix.
        seed: of a generator of their own, so that nothing else that is drawn changes.
        like: gives dtype and device.
        trained: parameters, or fixed buffers; both are saved with the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    module = nn.Module()
    for k, (post, pre) in enumerate(shapes):
        b = (torch.randn(post, pre, generator=generator, dtype=torch.float64) / post**0.5).to(like)
        if trained:
            module.register_parameter(f"b_{k}", nn.Parameter(b))
        else:
            module.register_buffer(f"b_{k}", b)
    return module


def weights_of(feedback: nn.Module) -> list[Tensor]:
    """``b_0``, ``b_1``, ... in order."""
    named = dict([*feedback.named_buffers(), *feedback.named_parameters()])
    return [named[f"b_{k}"] for k in range(len(named))]


class _LinearWithFeedback(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(x, b)
        return x @ w.mT

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, b = ctx.saved_tensors
        grad = grad.to(b.dtype)  # half, where autocast made the product so
        return grad @ b, torch.einsum("...i,...j->ij", grad, x.to(b.dtype)), None


def linear_with_feedback(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x Wᵀ forward; backward the error reaches x through B in W's place (both [N_post, N_pre]), and W gets its own gradient."""
    product: Tensor = _LinearWithFeedback.apply(x, w, b)
    return product


class _SendsError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drive: Tensor, count: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[count:])
        return drive.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        errors = tuple(grad @ b for b in ctx.saved_tensors)
        return (grad, None, *errors, *(None for _ in errors))


def sends_error(drive: Tensor, receivers: list[Tensor], feedback: list[Tensor]) -> Tensor:
    """``drive`` forward; backward its error goes on as it is, and to each receiver [B, T, N_l] through B_l [N, N_l]."""
    sent: Tensor = _SendsError.apply(drive, len(receivers), *receivers, *feedback)
    return sent
