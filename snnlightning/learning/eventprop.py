"""EventProp: exact spike times in continuous time and their exact gradient; no surrogate."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigurationError
from ..events import Events, dense
from ..firing import AbstractFiring
from ..neurons import CubaLI, CubaLIF
from ..typing import ConnectionKind, LayerRecord, NetworkOutput
from ._network import LayerLike, NetworkLike, layers_of
from ._outcome import Objective, Outcome, Update
from ._spike_times import Membrane, Spikes, kernel, spike_times
from ._timed import binned, timed_record
from .abstract import AbstractRule

__all__ = ["EventProp"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventProp(AbstractRule):
    """tau_m dV/dt = -V + I, tau_s dI/dt = -I, V -> 0 at v_th; dL/dw_ji = -tau_s sum over spikes of i of lambda_I,j.

    Inputs at step n are spikes at n dt; from there on time is continuous. A leaky output is its exact potential at the steps n dt,
    and goes through the network's readout and loss as ever; a spiking output answers -t / tau_syn with its first spike (the end
    of the sequence, where there is none), whatever the readout. Training and evaluation both run these dynamics: they are the
    limit of small dt of ``CubaLIF(ordering="stork", reset="zero")``, of the same weights. Records hold spikes in bins of dt. The
    backward pass keeps arrivals and spikes and no potentials; the inputs of a step are one arrival, and a leaky output is read at
    every step, so that memory grows with T and with spikes.

    Neurons that do not spike get no gradient; start with weights that make them. Penalties on spike counts act as in the
    paper's implementation, by lambda_V -= dL/dcount at each spike.

    Args:
        max_spikes: of one sample in one layer, >= 1; more are an error (weights that exploded).

    Raises:
        ConfigurationError: neurons other than CubaLIF(ordering="stork", reset="zero") with two different time constants that are
            one number each and not learned; an output other than these or CubaLI(ordering="stork"); a bias.

    The layer's ``backend`` says how events are found: compiled loops (extra ``fast``) or torch, to the same numbers.

    Gradient: exact, but that of penalties. Agrees with central differences (tests).
    Source: Wunderlich & Pehle 2021, Sci. Rep. 11:12829, Table 1; Nowotny, Turner & Knight 2022 (rates).

    Example:
        >>> EventProp().max_spikes
        10000
    """

    max_spikes: int = 10_000

    def __post_init__(self) -> None:
        if isinstance(self.max_spikes, bool) or not isinstance(self.max_spikes, int) or self.max_spikes < 1:
            raise ConfigurationError(
                f"EventProp.max_spikes is {self.max_spikes!r}; a whole number of at least 1 is expected."
            )

    def check(self, network: nn.Module) -> None:
        layers = layers_of(network, "eventprop")
        for k, layer in enumerate(layers):
            last = k == len(layers) - 1
            if (reason := _not_continuous(layer, last)) is not None:
                way = "CubaLI(ordering='stork') at the output, " if last else ""
                raise ConfigurationError(
                    f"eventprop cannot train layer {k}: {reason}; use CubaLIF(ordering='stork', reset='zero'), {way}or "
                    "learning='bptt'."
                )

    def run(self, network: nn.Module, x: Tensor | Events) -> NetworkOutput:
        return self._run(network, dense(x))

    def step(
        self,
        network: NetworkLike,
        feedback: nn.Module,
        x: Tensor,
        y: Tensor,
        objective: Objective,
        update: Update | None = None,
    ) -> Outcome:
        out = self._run(network, x)
        loss, penalty = objective.loss(out.logits, y), objective.penalty(out.records)
        return Outcome(out, loss, penalty, loss if penalty is None else loss + penalty)

    def _run(self, network: Any, x: Tensor) -> NetworkOutput:
        layers: list[LayerLike] = layers_of(network, "eventprop")
        steps, dt_ms, like = x.shape[1], layers[0].neuron.dt_ms, layers[0].w_in
        end_ms = steps * dt_ms
        grid = dt_ms * torch.arange(steps, dtype=torch.float64, device=x.device)
        # From here on in double precision: a time is the sum of many small ones.
        sent, arrivals, sources = x.double(), grid.expand(len(x), -1), None
        records: list[LayerRecord] = []
        for k, (name, layer) in enumerate(zip(network.names, layers, strict=True)):
            kind: ConnectionKind = "input" if k == 0 else "readout" if k == len(layers) - 1 else "feedforward"
            w_in = layer.w_in.double()
            jumps = sent @ w_in.mT if sources is None else _columns(w_in, sources)
            membrane = _membrane(layer)
            n = layer.w_in.shape[0]
            if layer.neuron.spiking:
                w_rec = None if layer.w_rec is None else layer.w_rec.double()
                sources = spike_times(
                    arrivals, jumps, w_rec, membrane, end_ms, most=self.max_spikes, backend=layer.backend
                )
                arrivals = sources.times
                output = binned(arrivals.detach(), sources.neurons, n, steps, dt_ms)
                # The counts carry the penalty's gradient; the bins of a neuron share its count evenly.
                output = output + (sources.counts - sources.counts.detach()).unsqueeze(1) / steps
            else:
                lags = grid.view(1, -1, 1) - _finite(arrivals, end_ms).unsqueeze(1)
                output = torch.bmm(kernel(membrane, lags), jumps)
            records.append(timed_record(name, layer, kind, sent.to(like), output.to(like), ()))
            sent = output
        if sources is not None and layers[-1].neuron.spiking:
            logits = -_first(sources, layers[-1].w_in.shape[0], end_ms) / layers[-1].neuron.tau_syn_ms
        else:
            logits = network.readout(sent)
        return NetworkOutput(logits.to(like), tuple(records))


def _not_continuous(layer: LayerLike, last: bool) -> str | None:  # noqa: PLR0911  (a reason each)
    neuron = layer.neuron
    allowed = (CubaLIF, CubaLI) if last else (CubaLIF,)
    if not isinstance(neuron, allowed):
        return f"a {type(neuron).__name__} has no continuous time here"
    if neuron.ordering != "stork":
        return f"ordering={neuron.ordering!r} is another scaling of the current than that of continuous time"
    if isinstance(neuron, CubaLIF) and (neuron.reset != "zero" or neuron.refractory_steps):
        return "a spike takes V to 0 here, without refractory period"
    if isinstance(layer.surrogate, AbstractFiring):
        return f"its spikes are those of {type(layer.surrogate).__name__}, and no crossings of a threshold"
    taus = (neuron.tau_mem_ms, neuron.tau_syn_ms)
    if neuron.learned or not all(isinstance(value, float) for value in (*taus, getattr(neuron, "v_th", 1.0))):
        return "time constants and threshold are one number for the layer, and fixed"
    if taus[0] == taus[1] or float("inf") in taus:
        return f"time constants are finite and differ, and they are {taus[0]} and {taus[1]} ms"
    return "it has a bias, and between events nothing comes in" if layer.bias is not None else None


def _membrane(layer: LayerLike) -> Membrane:
    neuron = layer.neuron
    return Membrane(neuron.tau_mem_ms, neuron.tau_syn_ms, getattr(neuron, "v_th", 1.0))


def _columns(w_in: Tensor, spikes: Spikes) -> Tensor:
    """What every spike adds to the currents of the next layer, [B, S, N]."""
    return w_in.mT[spikes.neurons] * spikes.times.isfinite().unsqueeze(-1)


def _finite(times: Tensor, end_ms: float) -> Tensor:
    """Times, with those that never came put at the end, where they do nothing."""
    return torch.where(times.isfinite(), times, end_ms)


def _first(spikes: Spikes, features: int, end_ms: float) -> Tensor:
    """The first spike of every neuron in ms, [B, N]; the end for one that has none."""
    own = spikes.neurons.unsqueeze(-1) == torch.arange(features, device=spikes.neurons.device)
    times = torch.where(own & spikes.times.isfinite().unsqueeze(-1), spikes.times.unsqueeze(-1), end_ms)
    end = times.new_full((len(times), 1, features), end_ms)
    return torch.cat([times, end], dim=1).min(dim=1).values
