"""Steps of several optimizers at once, each with the numbers of its own ``step()``.

An optimizer takes a dozen small operations per parameter, which cost what they do in Python, and on a GPU a launch each; here they are
made on lists of all parameters. Those of ``torch.optim.Adam`` as it is by default are known; any other optimizer does its own step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["is_usual", "step_together"]

_UNUSUAL = ("amsgrad", "maximize", "capturable", "differentiable", "fused", "foreach", "decoupled_weight_decay")


def step_together(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """``optimizer.step()`` of each.

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)

    with g = grad + weight_decay w, operation by operation as torch orders them, so that they round alike.

    Args:
        optimizers: whose parameters have their gradients; :func:`is_usual` holds for all of them.

    Source: Kingma & Ba 2015, algorithm 1; torch 2.13, ``torch.optim.adam``.
    """
    lots: dict[tuple[float, float, float, float], list[tuple[torch.optim.Optimizer, dict[str, object]]]] = {}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            key = (*group["betas"], group["eps"], group["weight_decay"])
            lots.setdefault(key, []).append((optimizer, group))
    with torch.no_grad():
        for (beta1, beta2, eps, weight_decay), lot in lots.items():
            _step(lot, beta1, beta2, eps, weight_decay)


def is_usual(optimizer: torch.optim.Optimizer) -> bool:
    """Whether it is an Adam without options, and nobody waits for its step."""
    if type(optimizer) is not torch.optim.Adam or "step" in vars(optimizer):
        return False
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return False
    return all(
        not any(group.get(name) for name in _UNUSUAL)
        and all(isinstance(number, float | int) for number in (group["lr"], *group["betas"]))
        and all(not p.is_complex() for p in group["params"])
        for group in optimizer.param_groups
    )


def _step(
    lot: Sequence[tuple[torch.optim.Optimizer, dict[str, object]]],
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> None:
    """One step of parameter groups that differ in their learning rates only."""
    weights: list[Tensor] = []
    grads: list[Tensor] = []
    means: list[Tensor] = []
    squares: list[Tensor] = []
    steps: list[Tensor] = []
    rates: list[float] = []
    for optimizer, group in lot:
        optimizer._init_group(group, weights, grads, means, squares, [], steps)  # type: ignore[attr-defined]
        rates += [group["lr"]] * (len(weights) - len(rates))  # type: ignore[list-item]
    if not weights:
        return
    torch._foreach_add_(steps, torch.tensor(1.0), alpha=1.0)
    done = [float(step) for step in steps]
    given = grads if weight_decay == 0 else list(torch._foreach_add(grads, weights, alpha=weight_decay))
    torch._foreach_lerp_(means, given, 1 - beta1)
    torch._foreach_mul_(squares, beta2)
    torch._foreach_addcmul_(squares, given, given, 1 - beta2)
    scale = torch._foreach_sqrt(squares)
    torch._foreach_div_(scale, [(1 - beta2**n) ** 0.5 for n in done])
    torch._foreach_add_(scale, eps)
    torch._foreach_addcdiv_(
        weights, means, scale, [-(rate / (1 - beta1**n)) for rate, n in zip(rates, done, strict=True)]
    )
