"""DECOLLE: deep continuous local learning; every layer answers at every step, and learns from that answer alone."""

import dataclasses

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from ._feedback import random_weights, weights_of
from ._local import Eligibility, Parameters, Step, contracted
from ._network import LayerLike, NetworkLike, layers_of
from ._online import OnlineChain, error_of
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["DECOLLE"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DECOLLE(AbstractRule):
    """L = sum_l (1 / T') sum_n loss(G_l S_l[n], y);  dL_l/dW_ij = sum_n (sum_k G_ki err_k[n]) h(U_i[n]) P_ij[n].

    G_l [C, N_l] is fixed and random, err the gradient of the loss by a layer's answer at this step, P_ij = dU_i/dW_ij the
    neuron's own eligibility (for CubaLIF with a detached, subtracted reset, the trace of input j). Nothing passes from layer to
    layer, nor from one step's error to an earlier step. The output layer answers for itself: its potential (or spikes) at n.
    Memory does not grow with T. The loss that is logged is that of the output.

    With ``membrane_penalty`` lambda, each hidden layer also gets lambda [mean relu(u + 0.01) + 0.003 relu(mean(0.1 -
    sigmoid(u)))] at every step, u = v - v_th: potentials stay low, and not all of them far below threshold.

    Args:
        seed: of G.
        burn_in: steps at the beginning without loss, >= 0 and less than T; T' = T - burn_in.
        membrane_penalty: lambda >= 0.

    Raises:
        ConfigurationError: no chain of plain layers, a sequence that is over before the loss begins.

    Source: Kaiser, Mostafa & Neftci 2020, Front. Neurosci. 14:424, eqs. 1-10. Differs: the neuron is the network's own, its
    reset in place of the paper's refractory trace.

    Example:
        >>> DECOLLE(burn_in=10).membrane_penalty
        0.0
    """

    seed: int = 0
    burn_in: int = 0
    membrane_penalty: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.burn_in, bool) or not isinstance(self.burn_in, int) or self.burn_in < 0:
            raise ConfigurationError(f"DECOLLE.burn_in is {self.burn_in!r}; a whole number of at least 0 is expected.")
        if not 0.0 <= self.membrane_penalty < float("inf"):
            raise ConfigurationError(f"DECOLLE.membrane_penalty is {self.membrane_penalty}; it must be 0 or greater.")

    def check(self, network: nn.Module) -> None:
        layers_of(network, "decolle")

    def feedback_weights(self, network: nn.Module) -> nn.Module:
        *hidden, last = layers_of(network, "decolle")
        shapes = [(last.w_in.shape[0], layer.w_in.shape[0]) for layer in hidden]
        return random_weights(shapes, self.seed, last.w_in)

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        layers, classifiers = layers_of(network, "decolle"), weights_of(feedback)
        if x.shape[1] <= self.burn_in:
            raise ConfigurationError(
                f"DECOLLE.burn_in is {self.burn_in} and the sequence has {x.shape[1]} steps; use less, or longer sequences."
            )
        chain = OnlineChain(network, layers, x, objective, "decolle")
        found, share = chain.zero_gradients(), 1.0 / (x.shape[1] - self.burn_in)
        loss = chain.parameters[-1].w_in.new_zeros(())
        for n, steps in enumerate(chain.steps()):
            if n < self.burn_in:
                continue
            for k, step in enumerate(steps):
                answer = step.output if k == len(classifiers) else step.output @ classifiers[k].mT
                of_step, error = error_of(objective, answer, y)
                if k == len(classifiers):
                    loss = loss + share * of_step
                else:
                    error = error @ classifiers[k]
                    if self.membrane_penalty:
                        found[k] += share * self._membrane(
                            layers[k], chain.parameters[k], chain.states[k], chain.traces[k], step
                        )
                found[k] += contracted(share * error, chain.traces[k], step)
        assert chain.logits is not None
        return chain.outcome(chain.logits, loss, found)

    def _membrane(
        self,
        layer: LayerLike,
        parameters: Parameters,
        state: tuple[Tensor, ...],
        trace: Eligibility,
        step: Step,
    ) -> Tensor:
        """The gradient [N, M] of the penalty on potentials at one step."""
        at = layer.neuron.variables.index("v")
        with torch.enable_grad():
            v = state[at].detach().requires_grad_()
            u = v - layer.neuron.base_threshold(parameters.coefficients)
            penalty = (u + 0.01).relu().mean() + 3e-3 * (0.1 - u.sigmoid()).mean().relu()
            (signal,) = torch.autograd.grad(self.membrane_penalty * penalty, v)
        of_v = torch.zeros_like(step.output_by_state)
        of_v[at] = 1.0
        as_output = step._replace(output_by_state=of_v, output_by_learned=torch.zeros_like(step.output_by_learned))
        return contracted(signal, trace, as_output)
