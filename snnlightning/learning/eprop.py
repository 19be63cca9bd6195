"""e-prop: eligibility traces go forward in time, a learning signal says what they are worth."""

import dataclasses
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from ..neurons.abstract import one_of
from ..readouts import LastStep, MeanOverTime, SpikeCount
from ._feedback import random_weights, weights_of
from ._local import Step, contracted, of_output
from ._network import LayerLike, NetworkLike, layers_of
from ._online import OnlineChain, error_of
from ._outcome import Objective, Outcome, Update
from .abstract import AbstractRule

__all__ = ["EProp"]

_LINEAR = (LastStep, MeanOverTime, SpikeCount)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EProp(AbstractRule):
    """dL/dW_ij = sum_n L_i[n] F(e_ij)[n],  e_ij[n] = dz_i[n]/ds_i[n] eps_ij[n],  L_i[n] = sum_k B_ki dL/dY_k[n].

    eps_ij[n+1] = (ds_i[n+1]/ds_i[n]) eps_ij[n] + ds_i[n+1]/dW_ij, s_i the state of neuron i; spikes that travel through
    recurrent weights are constants. The derivatives are those of the neuron's own definition, so that an ALIF has the vector
    of eligibilities of the paper, and a reset counts where the neuron has it attached. F is the filter of the leaky readout
    that spikes pass on their way to Y. The output layer learns from dL/dY. With one hidden layer, B = W_out and no
    recurrence this is BPTT exactly; with recurrence, BPTT with ``detach_recurrent=True``.

    Memory does not grow with T: an eligibility per synapse and sample (per input and sample, as long as all neurons of a layer
    share it) and its filtered one.

    Args:
        feedback: B. ``symmetric``: W_out (one hidden layer); ``random``: fixed, for every hidden layer one [C, N]; ``adaptive``:
            starts random and gets the gradient that W_out gets (with ``weight_decay`` > 0 the two converge).
        seed: of B, where it is random.
        loss_at: ``end``: the loss of the readout over the whole sequence, as BPTT has it; errors are known at the end and
            meet traces summed over time. ``each_step``: L = (1/T) sum_n loss(Y[n], y), errors meet traces at once.

    Raises:
        ConfigurationError: no chain of plain layers with a hidden one, an output layer that spikes or leaks differently per
            class, a readout that is not linear in time (with ``loss_at="end"``), symmetric feedback to several layers.

    Gradient: an approximation but for the cases above.
    Source: Bellec et al. 2020, Nature Communications 11:3625, eqs. 1-5, 13, 24, 28; adaptive: methods, "adaptive e-prop".

    Example:
        >>> EProp(feedback="random", seed=1)
        EProp(feedback='random', seed=1, loss_at='end')
    """

    feedback: Literal["symmetric", "random", "adaptive"] = "symmetric"
    seed: int = 0
    loss_at: Literal["end", "each_step"] = "end"

    def __post_init__(self) -> None:
        one_of(self, "feedback", ("symmetric", "random", "adaptive"))
        one_of(self, "loss_at", ("end", "each_step"))

    def check(self, network: nn.Module) -> None:
        layers = layers_of(network, "eprop")
        if len(layers) < 2:
            raise ConfigurationError("eprop needs a hidden layer and a leaky output layer; use learning='bptt'.")
        if layers[-1].neuron.spiking:
            raise ConfigurationError(
                f"eprop filters traces by a leaky output layer, and the last layer is a {type(layers[-1].neuron).__name__} "
                "that spikes; use LI() or CubaLI() there, or learning='superspike'."
            )
        if (
            not all(isinstance(tau, float) for tau in _constants(layers[-1]))
            or layers[-1].neuron.learn_tau == "per_neuron"
        ):
            raise ConfigurationError(
                "eprop has one filter for all classes, and the output layer has a time constant for each; use one number."
            )
        readout = getattr(network, "readout", None)
        if self.loss_at == "end" and type(readout) not in _LINEAR:
            raise ConfigurationError(
                f"eprop sums traces over time for a readout that is linear in it (mean_over_time, last_step, spike_count); "
                f"it is {type(readout).__name__}. Use one of these, or loss_at='each_step'."
            )
        if self.feedback == "symmetric" and len(layers) > 2:
            raise ConfigurationError(
                f"eprop's symmetric feedback is the output layer's weights and reaches one hidden layer; there are "
                f"{len(layers) - 1}. Use feedback='random', feedback='adaptive', or learning='rtrl'."
            )

    def feedback_weights(self, network: nn.Module) -> nn.Module:
        if self.feedback == "symmetric":
            return nn.Module()
        *hidden, last = layers_of(network, "eprop")
        if self.feedback == "adaptive" and any(layer.w_in.shape[0] != last.w_in.shape[1] for layer in hidden):
            raise ConfigurationError(
                "eprop's adaptive feedback follows the output layer's weights, so that every hidden layer has as many neurons "
                "as the last one; make them equal, or use feedback='random'."
            )
        shapes = [(last.w_in.shape[0], layer.w_in.shape[0]) for layer in hidden]
        return random_weights(shapes, self.seed, last.w_in, trained=self.feedback == "adaptive")

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        layers = layers_of(network, "eprop")
        chain = OnlineChain(network, layers, x, objective, "eprop")
        adaptive = weights_of(feedback)
        back = [b.detach() for b in adaptive] or [chain.parameters[-1].w_in]
        found = chain.zero_gradients()
        end = (self._at_the_end if self.loss_at == "end" else self._at_each_step)(chain, back, found, y)
        extra = zip(adaptive, [found[-1][:, : b.shape[1]] for b in adaptive], strict=True)
        return chain.outcome(*end, found, extra if self.feedback == "adaptive" else ())

    @staticmethod
    def _at_each_step(chain: OnlineChain, back: list[Tensor], found: list[Tensor], y: Tensor) -> tuple[Tensor, Tensor]:
        """Errors meet traces at once; returns logits and loss, and adds to the gradients."""
        filtered: list[Tensor | None] = [None] * len(back)
        losses, total = [], chain.x.shape[1]
        for steps in chain.steps():
            loss, error = error_of(chain.objective, steps[-1].output, y)
            losses.append(loss / total)
            error = error / total
            found[-1] += contracted(error, chain.traces[-1], steps[-1])
            for k, b in enumerate(back):
                passed, filtered[k] = _through_readout(filtered[k], of_output(chain.traces[k], steps[k]), steps[-1])
                found[k] += torch.einsum("bi,bij->ij", error @ b, passed)
        return cast(Tensor, chain.logits), torch.stack(losses).sum()

    @staticmethod
    def _at_the_end(chain: OnlineChain, back: list[Tensor], found: list[Tensor], y: Tensor) -> tuple[Tensor, Tensor]:
        """Traces are weighted over time as the readout weighs steps, and meet the error that is known at the end."""
        filtered: list[Tensor | None] = [None] * len(back)
        summed: list[Tensor | None] = [None] * len(found)
        for steps in chain.steps():
            traces = [of_output(trace, step) for trace, step in zip(chain.traces, steps, strict=True)]
            for k in range(len(back)):
                traces[k], filtered[k] = _through_readout(filtered[k], traces[k], steps[-1])
            for k, trace in enumerate(traces):
                summed[k] = _weighted(summed[k], trace, chain.readout, chain.x.shape[1])
        logits = cast(Tensor, chain.logits)
        loss, error = error_of(chain.objective, logits, y)
        for k, signal in enumerate([*(error @ b for b in back), error]):
            found[k] += torch.einsum("bi,bij->ij", signal, cast(Tensor, summed[k]))
        return logits, loss


def _weighted(before: Tensor | None, trace: Tensor, readout: object, total: int) -> Tensor:
    share = trace / total if isinstance(readout, MeanOverTime) else trace
    return share if before is None or isinstance(readout, LastStep) else before + share


def _constants(layer: LayerLike) -> list[object]:
    return [getattr(layer.neuron, name) for name in layer.neuron.time_constants]


def _through_readout(filtered: Tensor | None, trace: Tensor, step: Step) -> tuple[Tensor, Tensor]:
    """F(e): what the leaky output layer makes of a trace [B, N, M], read before the update; and its state [K, B, N, M]."""
    by_state, by_drive = step.by_state[:, :, 0, 0], step.by_drive[:, 0, 0]
    if filtered is None:
        filtered = trace.new_zeros(len(by_drive), *trace.shape)
    passed = torch.tensordot(step.output_by_state[:, 0, 0], filtered, dims=1)
    return passed, torch.tensordot(by_state, filtered, dims=1) + by_drive.view(-1, 1, 1, 1) * trace
