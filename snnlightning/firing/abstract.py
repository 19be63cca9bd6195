"""What every way of firing is: a frozen record that makes the output of a neuron from x = v - v_th.

The seed paper smooths the step in four ways; here are the two that keep the dynamics of any neuron: escape noise (III-A,
probabilistic models) and a soft nonlinearity. A layer takes one where it takes a surrogate, with every neuron; compiled
loops and NIR know the step alone and say so.
"""

import abc
import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..typing import SpikeFunction
from ..units import positive

__all__ = ["AbstractEscape", "AbstractFiring"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractFiring(abc.ABC):
    """Output S for x = v - v_th, of the same shape and dtype."""

    binary: ClassVar[bool]
    """Whether the output is 0 or 1; what is graded costs multiplications downstream, and is counted so."""

    @abc.abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """What the neuron sends for x = v - v_th."""

    def _positive(self, *names: str) -> None:
        for name in names:
            value = float(positive(f"{type(self).__name__}.{name}", getattr(self, name)))
            if not math.isfinite(value):
                raise ConfigurationError(f"{type(self).__name__}.{name} is {value}; a finite number is expected.")
            object.__setattr__(self, name, value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractEscape(AbstractFiring):
    """S ~ Bernoulli(p(x)), drawn anew in every step for every neuron and sample.

    Noise comes from torch's default generator, as dropout's does: ``torch.manual_seed`` (Lightning's ``seed_everything``)
    makes a run repeatable, and a run of T1 and then of T2 steps draws what a run of T1 + T2 steps draws. Which noise a sample
    gets depends on its place in the batch, so there is no noise to switch off in ``eval()``: it is the model.

    Args:
        surrogate: h(x) in the backward pass where it should not be the derivative of p: a surrogate of
            :mod:`snnlightning.surrogates`, or any function whose gradient is wanted.

    Gradient: dS/dx := p'(x), the straight-through estimator; for one neuron it is the exact derivative of the expected
    output, through spikes in depth or time it is a surrogate (Gygax & Zenke 2024). Or that of ``surrogate``. For the gradient
    of a likelihood see ``log_likelihood``.
    NaN: x = NaN gives NaN, not silence.
    """

    surrogate: SpikeFunction | None = None

    binary: ClassVar[bool] = True

    def __call__(self, x: Tensor) -> Tensor:
        p = self.probability(x)
        spikes = (torch.rand_like(p, requires_grad=False) < p.detach()).to(x.dtype)
        through = p if self.surrogate is None else self.surrogate(x)
        return spikes + (through - through.detach())  # the bracket is 0

    @abc.abstractmethod
    def probability(self, x: Tensor) -> Tensor:
        """p(x), of a spike in one step."""

    @abc.abstractmethod
    def log_likelihood(self, x: Tensor, spikes: Tensor) -> Tensor:
        """log p(x) where ``spikes`` is 1 and log(1 - p(x)) where it is 0, elementwise; higher is better.

        The sum over steps is the log-likelihood of a spike train, if x are the potentials of a neuron that was reset by this
        train (Pfister et al. 2006); its gradient is exact.
        """
