"""SuperSpike: the three-factor rule for target spike trains under the van Rossum distance."""

import dataclasses
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigurationError, ShapeError
from ..neurons.abstract import one_of
from ..units import positive
from ._feedback import random_weights, weights_of
from ._local import of_output
from ._network import NetworkLike, layers_of
from ._online import OnlineChain
from ._outcome import Objective, Outcome, Update
from ._rmaxprop import RMaxProp
from .abstract import AbstractRule

__all__ = ["SuperSpikeRule"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuperSpikeRule(AbstractRule):
    """dL/dW_ij = sum_n (eps * e_i)[n] (eps * [h(U_i) dU_i/dW_ij])[n];  L = 1/2 sum_n sum_k ((eps * (S_k - S*_k))[n])².

    eps[n] = exp(-n dt / tau_decay) - exp(-n dt / tau_rise); the error e_k = S_k - S*_k in the output layer, and
    e_i = sum_k B_ki (S_k - S*_k) in a hidden one. L is a mean over the batch and takes the place of the module's loss in
    training. dU_i/dW_ij is the neuron's own eligibility, for CubaLIF the double exponential of its inputs.

    Targets are spike trains S* [B, T, C]; class numbers [B] become trains in which the right class spikes every
    ``interval_ms``, from ``interval_ms`` on, and the others are silent. The optimizer is RMaxProp, unless the training names
    one. Memory does not grow with T: two filtered eligibilities per synapse and sample.

    Args:
        feedback: B. ``symmetric``: W_out (one hidden layer); ``random``: fixed, one [C, N] per hidden layer; ``uniform``: ones.
        seed: of B, where it is random.
        tau_rise_ms, tau_decay_ms: of eps, in ms, > 0 and not equal.
        interval_ms: between target spikes of the right class, >= dt.
        gamma: of RMaxProp: decay of the largest squared gradient per step, in [0, 1].

    Raises:
        ConfigurationError: no chain of plain layers, an output layer that does not spike, symmetric feedback to several layers.

    Gradient: that of BPTT in one layer without recurrence and with a detached reset; else an approximation.
    Source: Zenke & Ganguli 2018, eqs. 3.3, 3.5, 3.16. Differs: applied once per sequence; no heterosynaptic term (regularizers
    take its place).

    Example:
        >>> SuperSpikeRule(interval_ms=2.0).targets(torch.tensor([1]), steps=6, classes=2, dt_ms=1.0)[0, :, 1]
        tensor([0., 0., 1., 0., 1., 0.])
    """

    feedback: Literal["symmetric", "random", "uniform"] = "symmetric"
    seed: int = 0
    tau_rise_ms: float = 5.0
    tau_decay_ms: float = 10.0
    interval_ms: float = 5.0
    gamma: float = 0.98

    def __post_init__(self) -> None:
        one_of(self, "feedback", ("symmetric", "random", "uniform"))
        for name in ("tau_rise_ms", "tau_decay_ms", "interval_ms"):
            positive(f"SuperSpikeRule.{name}", getattr(self, name))
        if self.tau_rise_ms == self.tau_decay_ms:
            raise ConfigurationError(
                f"SuperSpikeRule.tau_rise_ms and tau_decay_ms are both {self.tau_rise_ms}, and their difference is no kernel; "
                "make them differ."
            )
        if not 0.0 <= self.gamma <= 1.0:
            raise ConfigurationError(f"SuperSpikeRule.gamma is {self.gamma}; it must be in [0, 1].")

    def check(self, network: nn.Module) -> None:
        layers = layers_of(network, "superspike")
        if not layers[-1].neuron.spiking:
            raise ConfigurationError(
                f"superspike trains output spikes, and the last layer is a {type(layers[-1].neuron).__name__} without them; "
                "use readout='spike_count' (a spiking last layer), or learning='eprop'."
            )
        if self.feedback == "symmetric" and len(layers) > 2:
            raise ConfigurationError(
                f"superspike's symmetric feedback is the output layer's weights and reaches one hidden layer; there are "
                f"{len(layers) - 1}. Use feedback='random' or 'uniform'."
            )
        if self.interval_ms < layers[-1].neuron.dt_ms:
            raise ConfigurationError(
                f"SuperSpikeRule.interval_ms is {self.interval_ms} and less than a step of dt_ms={layers[-1].neuron.dt_ms}."
            )

    def feedback_weights(self, network: nn.Module) -> nn.Module:
        if self.feedback == "symmetric":
            return nn.Module()
        *hidden, last = layers_of(network, "superspike")
        module = random_weights([(last.w_in.shape[0], layer.w_in.shape[0]) for layer in hidden], self.seed, last.w_in)
        if self.feedback == "uniform":
            for b in weights_of(module):
                b.fill_(1.0)
        return module

    def optimizer(self, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
        """RMaxProp."""
        return RMaxProp(groups, lr=learning_rate, gamma=self.gamma)

    def targets(self, y: Tensor, *, steps: int, classes: int, dt_ms: float) -> Tensor:
        """Target trains [B, T, C] for class numbers [B]; trains stay as they are."""
        if y.ndim == 3:
            if y.shape[1:] != (steps, classes):
                raise ShapeError(f"target trains are {list(y.shape)}; [B, {steps}, {classes}] is expected.")
            return y
        every = round(self.interval_ms / dt_ms)
        times = torch.arange(steps, device=y.device)
        spikes = (times % every == 0) & (times > 0)
        return spikes.view(1, -1, 1) * F.one_hot(y, classes).unsqueeze(1).to(torch.get_default_dtype())

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        layers = layers_of(network, "superspike")
        chain = OnlineChain(network, layers, x, objective, "superspike")
        dt_ms, classes = layers[-1].neuron.dt_ms, layers[-1].w_in.shape[0]
        targets = self.targets(y, steps=x.shape[1], classes=classes, dt_ms=dt_ms).to(chain.parameters[-1].w_in)
        back = weights_of(feedback) or [chain.parameters[-1].w_in] * (len(layers) - 1)
        decays = [math.exp(-dt_ms / tau) for tau in (self.tau_decay_ms, self.tau_rise_ms)]
        found = chain.zero_gradients()
        errors = [targets.new_zeros(()) for _ in decays]
        filtered = [[trace.new_zeros(()) for _ in decays] for trace in chain.traces]
        loss = targets.new_zeros(())
        for steps, target in zip(chain.steps(), targets.unbind(1), strict=True):
            errors = [decay * e + (steps[-1].output - target) for decay, e in zip(decays, errors, strict=True)]
            error = errors[0] - errors[1]
            loss = loss + 0.5 * error.square().sum() / len(error)
            for k, step in enumerate(steps):
                e = of_output(chain.traces[k], step)
                filtered[k] = [decay * f + e for decay, f in zip(decays, filtered[k], strict=True)]
                signal = error if k == len(steps) - 1 else error @ back[k]
                found[k] += torch.einsum("bi,bij->ij", signal / len(error), filtered[k][0] - filtered[k][1])
        assert chain.logits is not None
        return chain.outcome(chain.logits, loss, found)
