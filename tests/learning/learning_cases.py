"""Small networks in float64 with spikes in every layer, and the gradient that a rule gives them."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from snnlightning.initializers import ScaledNormal
from snnlightning.layers import SpikingLayer, SpikingNetwork
from snnlightning.learning import AbstractRule
from snnlightning.learning._outcome import Objective, Outcome
from snnlightning.losses import CrossEntropy
from snnlightning.neurons import LI, LIF
from snnlightning.readouts import MeanOverTime
from snnlightning.surrogates import SuperSpike

__all__ = ["batch", "gradients", "network", "step"]


def network(
    sizes: tuple[int, ...] = (5, 6, 3),
    *,
    neuron: Any = None,
    last: Any = None,
    readout: Any = None,
    recurrent: bool = True,
    bias: bool = False,
    surrogate: Any = None,
    seed: int = 0,
    gain: float = 4.0,
) -> SpikingNetwork:
    """x -> hidden layers -> output layer, in float64."""
    torch.manual_seed(seed)
    neuron = neuron or LIF(tau_mem_ms=4.0)
    last = last or LI(tau_mem_ms=5.0)
    surrogate = surrogate or SuperSpike(slope=2.0)
    hidden = [
        SpikingLayer(
            a, b, neuron=neuron, surrogate=surrogate, recurrent=recurrent, bias=bias, initializer=ScaledNormal(gain)
        )
        for a, b in itertools.pairwise(sizes[:-1])
    ]
    out = SpikingLayer(
        sizes[-2], sizes[-1], neuron=last, surrogate=surrogate if last.spiking else None, initializer=ScaledNormal(gain)
    )
    net = SpikingNetwork([*hidden, out], readout or MeanOverTime()).double()
    if bias:
        for layer in hidden:
            nn.init.normal_(layer.bias, std=0.2)
    return net


def batch(
    features: int = 5, classes: int = 3, *, samples: int = 4, steps: int = 20, seed: int = 1
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(samples, steps, features, generator=generator) < 0.4).double()
    return x, torch.randint(classes, (samples,), generator=generator)


def step(rule: AbstractRule, net: SpikingNetwork, x: Tensor, y: Tensor, **objective: Any) -> Outcome:
    """The rule on one batch, with feedback of its own."""
    rule.check(net)
    return rule.step(net, rule.feedback_weights(net).to(x), x, y, Objective(**{"loss": CrossEntropy()} | objective))


def gradients(
    rule: AbstractRule, net: SpikingNetwork, x: Tensor, y: Tensor, feedback: nn.Module | None = None, **objective: Any
) -> dict[str, Tensor]:
    """What the rule leaves in ``.grad``, by name."""
    rule.check(net)
    net.zero_grad()
    feedback = rule.feedback_weights(net).to(x) if feedback is None else feedback
    outcome = rule.step(net, feedback, x, y, Objective(**{"loss": CrossEntropy()} | objective))
    assert outcome.total is not None
    outcome.total.backward()
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    return found
