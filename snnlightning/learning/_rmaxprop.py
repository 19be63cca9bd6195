"""RMaxProp: the optimizer of SuperSpike, a step normalised by a decaying maximum of squared gradients."""

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..errors import ConfigurationError
from ..units import positive

__all__ = ["RMaxProp"]


class RMaxProp(Optimizer):
    """v <- max(gamma v, g²);  w <- w - lr g / (√v + eps), each weight for itself.

    Args:
        params: parameters or groups of them.
        lr: learning rate, > 0; the first step of a weight is as long.
        gamma: decay of the maximum per step, in [0, 1].
        eps: added to the root, > 0.
        weight_decay: adds ``weight_decay * w`` to g, >= 0.

    Source: Zenke & Ganguli 2018, section 3.4.

    Example:
        >>> w = torch.nn.Parameter(torch.zeros(2))
        >>> w.grad = torch.tensor([0.5, -8.0])
        >>> RMaxProp([w], lr=0.25).step()
        >>> w.data
        tensor([-0.2500,  0.2500])
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        gamma: float = 0.98,
        eps: float = 1e-12,
        weight_decay: float = 0.0,
    ) -> None:
        positive("lr", lr), positive("eps", eps)
        if not 0.0 <= gamma <= 1.0:
            raise ConfigurationError(f"RMaxProp.gamma is {gamma}; it must be in [0, 1].")
        if not 0.0 <= weight_decay < math.inf:
            raise ConfigurationError(f"weight_decay is {weight_decay}; it must be 0 or greater, and finite.")
        super().__init__(params, {"lr": lr, "gamma": gamma, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is None:
                    continue
                gradient = w.grad + group["weight_decay"] * w
                state = self.state[w]
                before = cast(Tensor, state.get("v", torch.zeros_like(w)))
                state["v"] = torch.maximum(group["gamma"] * before, gradient.square())
                w.sub_(group["lr"] * gradient / (state["v"].sqrt() + group["eps"]))
        return loss
