"""Delays over time: a sequence with what came before it, taken back by whole steps or spread by a Gaussian kernel.

A delay of d steps: what is sent at n arrives at n + d. With D the longest delay, ``past`` [B, D, N_in] is what was sent in the
D steps before the sequence (zeros at first), and past and sequence together are [B, D + T, N_in].
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["at_whole_steps", "gaussian", "inside", "spread_per_axon", "spread_per_synapse"]

_WIDENED = 0.27
"""What DCLS adds to sigma, so that a kernel always reaches its neighbours."""


def gaussian(position: Tensor, sigma: float, longest: int) -> Tensor:
    """k[..., d] = exp(-½ ((d - c) / (σ + 0.27))²), d = 0..D, divided by its sum over d.

    Args:
        position: c [...], in steps, in [0, D].
        sigma: σ >= 0, in steps.
        longest: D.

    Returns:
        [..., D + 1].

    Source: Khalfaoui-Hassani, Pellegrini & Masquelier 2023 (DCLS, version ``gauss``), as Hammouamri et al. 2024 use it;
    differs: no 1e-7 in the sum, which is never small for positions inside.

    Example:
        >>> gaussian(torch.tensor([1.0]), 0.23, 2)  # sigma 0.5 in effect
        tensor([[0.1065, 0.7870, 0.1065]])
    """
    steps = torch.arange(longest + 1, dtype=position.dtype, device=position.device)
    return torch.softmax(-0.5 * ((steps - position.unsqueeze(-1)) / (sigma + _WIDENED)).square(), dim=-1)


def at_whole_steps(sent: Tensor, steps: Tensor, length: int) -> Tensor:
    """Each neuron's train taken back by its own delay, [B, T, N_in].

    Args:
        sent: past and sequence, [B, D + T, N_in].
        steps: [N_in], whole, in [0, D].
        length: T.
    """
    longest = sent.shape[1] - length
    at = torch.arange(length, device=sent.device).unsqueeze(1) + (longest - steps.to(torch.int64))
    return sent.gather(1, at.expand(sent.shape[0], -1, -1))


def spread_per_axon(sent: Tensor, kernel: Tensor) -> Tensor:
    """Each neuron's train through its own kernel [N_in, D + 1]: [B, D + T, N_in] to [B, T, N_in]."""
    if sent.shape[1] < kernel.shape[-1]:
        return sent[:, :0]
    out: Tensor = F.conv1d(sent.mT, kernel.flip(-1).unsqueeze(1), groups=sent.shape[2])
    return out.mT


def spread_per_synapse(sent: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """The drive through one kernel per synapse [N, N_in, D + 1], weights in it: [B, D + T, N_in] to [B, T, N]."""
    if sent.shape[1] < kernel.shape[-1]:  # no steps, which a convolution refuses
        return sent.new_zeros(sent.shape[0], 0, kernel.shape[0])
    out: Tensor = F.conv1d(sent.mT, kernel.flip(-1), bias)
    return out.mT


def inside(position: Tensor, longest: int) -> Tensor:
    """Positions clamped to [0, D]; outside, only a gradient that leads back passes.

    With the gradient of ``clamp`` a position that once left would stay outside forever.

    Example:
        >>> c = torch.tensor([-1.0, 9.0], requires_grad=True)
        >>> inside(c, 4).sum().backward()  # descent: both go down
        >>> c.grad
        tensor([0., 1.])
    """
    clamped: Tensor = _Inside.apply(position, longest)
    return clamped


class _Inside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, position: Tensor, longest: int) -> Tensor:
        ctx.save_for_backward(position)
        ctx.longest = longest
        return position.clamp(0.0, longest)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (position,), (gradient,) = ctx.saved_tensors, gradients
        # A step of descent goes against the gradient.
        leads_out = ((position < 0.0) & (gradient > 0.0)) | ((position > ctx.longest) & (gradient < 0.0))
        return gradient.masked_fill(leads_out, 0.0), None
