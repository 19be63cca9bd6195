"""Steps of several optimizers at once are the steps that each of them takes by itself, to the last bit."""

from typing import Any

import pytest
import torch
from torch import nn

from snnlightning.training._stepping import is_usual, step_together

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def optimizers(device: str) -> list[torch.optim.Optimizer]:
    """As modules make them: decayed weights and others, a learning rate of its own each, a parameter without gradient."""
    found: list[torch.optim.Optimizer] = []
    for k in range(3):
        torch.manual_seed(k)
        weights = [nn.Parameter(torch.randn(7, 5 + k, device=device)), nn.Parameter(torch.randn(3, device=device))]
        unused = nn.Parameter(torch.randn(2, device=device))
        groups = [
            {"params": [*weights, unused], "weight_decay": 0.01 * (k % 2)},
            {"params": [nn.Parameter(torch.randn((), device=device))], "weight_decay": 0.0},
        ]
        found.append(torch.optim.Adam(groups, lr=0.003 * (k + 1), betas=(0.9, 0.98 if k == 2 else 0.999)))
    return found


def gradients(lot: list[torch.optim.Optimizer], step: int) -> None:
    for k, optimizer in enumerate(lot):
        torch.manual_seed(100 * step + k)
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = None if p.shape == (2,) else torch.randn(p.shape).to(p) * 10.0 ** (step - 3)


@pytest.mark.parametrize("device", DEVICES)
def test_steps_are_those_of_each_optimizer_by_itself(device: str) -> None:
    together, alone = optimizers(device), optimizers(device)
    for step in range(5):
        for lot in (together, alone):
            gradients(lot, step)
        step_together(together if step != 2 else together[1:])  # one may be behind the others
        for optimizer in alone if step != 2 else alone[1:]:
            optimizer.step()
    for mine, theirs in zip(together, alone, strict=True):
        for own, other in zip(mine.param_groups, theirs.param_groups, strict=True):
            for p, q in zip(own["params"], other["params"], strict=True):
                assert torch.equal(p, q)
                assert mine.state[p].keys() == theirs.state[q].keys()
                assert all(torch.equal(mine.state[p][name], theirs.state[q][name]) for name in mine.state[p])


@pytest.mark.parametrize(
    "changed",
    [{"amsgrad": True}, {"maximize": True}, {"fused": True}, {"foreach": True}, {"lr": torch.tensor(0.1)}],
    ids=lambda changed: next(iter(changed)),
)
def test_an_adam_with_options_does_its_own_step(changed: dict[str, Any]) -> None:
    weights = [nn.Parameter(torch.zeros(2))]
    assert is_usual(torch.optim.Adam(weights))
    assert not is_usual(torch.optim.Adam(weights, **changed))
    assert not is_usual(torch.optim.AdamW(weights))


def test_an_optimizer_that_somebody_watches_does_its_own_step() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(2))])
    optimizer.register_step_post_hook(lambda *arguments: None)
    assert not is_usual(optimizer)
