"""FluctuationDriven: weights that let the potential of a neuron fluctuate up to its threshold before anything is learned."""

import dataclasses
import math

import torch
from torch import Tensor

from ..errors import ConfigurationError
from ..typing import NeuronLike
from ..units import positive
from .abstract import AbstractInitializer

__all__ = ["FluctuationDriven"]


@dataclasses.dataclass(frozen=True)
class FluctuationDriven(AbstractInitializer):
    """w ~ Normal(mu_w, sigma_w), so that n Poisson inputs give the potential a mean mu_u and (v_th - mu_u) / xi as deviation.

    mu_w = mu_u / (n_total rate ε̄),  sigma_w² = share ((v_th - mu_u) / xi)² / (n rate ε̂) - mu_w²,  with ε̄ = Σ ε[k] dt and
    ε̂ = Σ ε[k]² dt of the potential ε that one spike through a weight of 1 makes, summed in the neuron's own steps over ten of
    its longest time constants. n is the number of inputs of the matrix that is filled.

    Args:
        neuron: whose potential it is; its constants may be lists. Time constants are finite.
        rate_hz: expected rate of each input in Hz, > 0.
        xi: how many standard deviations the threshold is above the mean, > 0.
        mu_u: mean potential, < v_th, in the unit of v.
        share: part of the variance that these weights make, in (0, 1]: 1 where they are alone; published are 0.9 for the
            input weights and 0.1 for the recurrent ones of a recurrent layer (``alpha`` there).
        sources: n_total, inputs of a neuron through all its weights; only the mean needs it. None: those of this matrix.

    Raises:
        ConfigurationError: numbers out of range; when a weight is filled: a mean that leaves no variance.

    Source: Rossbroich, Gygax & Zenke 2022, and stork's code (kernels in discrete time).
    differs: the potential is that of ``neuron`` in its own ordering, where stork has one; with ``ordering="stork"`` it is the same.

    Example:
        >>> from snnlightning.neurons import CubaLIF
        >>> neuron = CubaLIF(tau_mem_ms=20.0, tau_syn_ms=10.0, ordering="stork")
        >>> mean, deviation = FluctuationDriven(neuron, rate_hz=10.0).moments(100)
        >>> round(mean.item(), 6), round(deviation.item(), 6)
        (0.0, 0.73682)
    """

    neuron: NeuronLike
    rate_hz: float = 10.0
    xi: float = 1.0
    mu_u: float = 0.0
    share: float = 1.0
    sources: int | None = None

    def __post_init__(self) -> None:
        for name in ("rate_hz", "xi", "share"):
            positive(f"FluctuationDriven.{name}", getattr(self, name))
        if self.share > 1.0:
            raise ConfigurationError(f"FluctuationDriven.share is {self.share}; a part of the variance is at most 1.")
        if self.sources is not None:
            positive("FluctuationDriven.sources", self.sources)
        if not (self._thresholds() > self.mu_u).all():
            raise ConfigurationError(f"FluctuationDriven.mu_u is {self.mu_u}; a mean below the threshold is expected.")

    def __call__(self, weight: Tensor) -> Tensor:
        """Fill ``weight`` [N_post, N_pre], or a kernel [C_out, C_in, *K], in place and return it."""
        mean, deviation = (
            moment.to(weight).view(-1, *[1] * (weight.ndim - 1)) for moment in self.moments(weight.shape[1:].numel())
        )
        with torch.no_grad():
            return weight.normal_().mul_(deviation).add_(mean)

    def moments(self, inputs: int) -> tuple[Tensor, Tensor]:
        """mu_w and sigma_w for n inputs, [1] or [N] in float64."""
        if inputs == 0:
            return torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        area, square = self.kernel_integrals_s()
        mean = self.mu_u / ((self.sources or inputs) * self.rate_hz * area)
        aim = (self._thresholds() - self.mu_u) / self.xi
        variance = self.share * aim.square() / (inputs * self.rate_hz * square) - mean.square()
        if not (variance >= 0.0).all():
            raise ConfigurationError(
                f"FluctuationDriven: weights of {mean.max().item():g}, which give a mean of {self.mu_u:g}, fluctuate more than xi="
                f"{self.xi:g} allows; take a smaller |mu_u| or xi, or a higher rate_hz."
            )
        return mean.expand_as(variance), variance.sqrt()

    def kernel_integrals_s(self) -> tuple[Tensor, Tensor]:
        """ε̄ and ε̂ in seconds, [1] or [N] in float64."""
        coefficients = {
            name: torch.as_tensor(value, dtype=torch.float64) for name, value in self.neuron.coefficients().items()
        }
        count = max((value.numel() for value in coefficients.values()), default=1)
        slowest = max((float(v.max()) for name, v in coefficients.items() if name.startswith("decay_")), default=1.0)
        if slowest >= 1.0:
            raise ConfigurationError(
                f"{type(self.neuron).__name__} never forgets a spike (a decay is 1), so its fluctuations have no bound; use "
                "ScaledNormal."
            )
        steps = max(2, math.ceil(10.0 / -math.log(slowest) - 1e-9))
        impulse = torch.zeros(1, steps + 1, count, dtype=torch.float64)
        impulse[:, 0] = 1.0
        state = tuple(torch.zeros(1, count, dtype=torch.float64) for _ in self.neuron.state_names)
        spike = torch.zeros_like if self.neuron.spiking else None
        trace = self.neuron.run(impulse, None, state, spike, coefficients, True)
        assert trace.potentials is not None
        kernel, dt_s = trace.potentials[0], float(getattr(self.neuron, "dt_ms", 1.0)) / 1000.0
        return kernel.sum(dim=0) * dt_s, kernel.square().sum(dim=0) * dt_s

    def _thresholds(self) -> Tensor:
        """[1] or [N]; of a neuron without threshold 1, the scale of those before it."""
        return torch.as_tensor(getattr(self.neuron, "v_th", 1.0), dtype=torch.float64).view(-1)
