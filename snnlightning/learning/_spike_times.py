"""Exact spike times of a layer of current-based LIF neurons in continuous time, and their exact gradient (EventProp).

    tau_m dV/dt = -V + I,   tau_s dI/dt = -I;   an arrival e makes I jump by J_e [N];   V >= v_th: a spike, V -> 0.

Between two events V is a sum of two exponentials, so spike times are found to machine precision and nothing is discretised.
Samples have clocks of their own: one round takes every sample to its own next event.
"""

import importlib
import importlib.util
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigurationError, require

__all__ = ["Membrane", "Spikes", "kernel", "next_crossing", "spike_times"]

_GRAZE = 1e-12
"""A maximum this close above threshold (relative) is no spike: dV/dt is 0 to rounding, and no gradient could be given."""


class Membrane(NamedTuple):
    """Time constants in ms and the threshold of a layer; tau_mem != tau_syn."""

    tau_mem_ms: float
    tau_syn_ms: float
    v_th: float

    @property
    def ratio(self) -> float:
        """k = tau_syn / (tau_mem - tau_syn): V(t) = (V + k I) exp(-t / tau_mem) - k I exp(-t / tau_syn)."""
        return self.tau_syn_ms / (self.tau_mem_ms - self.tau_syn_ms)


class Spikes(NamedTuple):
    """Spikes in the order of time: ``times`` [B, S] in ms (inf where a sample has fewer), ``neurons`` [B, S], and
    ``counts`` [B, N] per neuron."""

    times: Tensor
    neurons: Tensor
    counts: Tensor


def kernel(membrane: Membrane, lag_ms: Tensor) -> Tensor:
    """V at a time after an arrival of weight 1, 0 before it; differentiable.

    Example:
        >>> kernel(Membrane(20.0, 10.0, 1.0), torch.tensor([-1.0, 0.0, 20.0 * math.log(2.0)]))
        tensor([0.0000, 0.0000, 0.2500])
    """
    lag = lag_ms.clamp_min(0.0)
    return membrane.ratio * (torch.exp(-lag / membrane.tau_mem_ms) - torch.exp(-lag / membrane.tau_syn_ms))


def _passed(membrane: Membrane, v: Tensor, i: Tensor, ms: Tensor) -> tuple[Tensor, Tensor]:
    """V and I after a time without events."""
    slow, fast = torch.exp(-ms / membrane.tau_mem_ms), torch.exp(-ms / membrane.tau_syn_ms)
    return v * slow + membrane.ratio * i * (slow - fast), i * fast


def next_crossing(membrane: Membrane, v: Tensor, i: Tensor) -> Tensor:
    """Time in ms until V rises to the threshold, for every neuron; inf where it never does.

    V has one maximum at most, and is concave up to there, so that Newton's method from the left meets the crossing from below
    and never steps over it.
    """
    tau_m, tau_s, v_th = membrane
    k = membrane.ratio
    a, b = v + k * i, k * i
    share = b * tau_m / (a * tau_s)
    peak = torch.log(share.clamp_min(1e-300)) / (1.0 / tau_s - 1.0 / tau_m)
    rises = (i > v) & (share > 0.0) & (peak > 0.0)
    peak = torch.where(rises, peak, 0.0)
    rises &= a * torch.exp(-peak / tau_m) - b * torch.exp(-peak / tau_s) > v_th * (1.0 + _GRAZE)
    when = torch.full_like(v, math.inf)
    if rises.any():
        when[rises] = _newton(a[rises], b[rises], peak[rises], membrane)
    return torch.where(v >= v_th, 0.0, when)


def _newton(a: Tensor, b: Tensor, peak: Tensor, membrane: Membrane) -> Tensor:
    tau_m, tau_s, v_th = membrane
    t = torch.zeros_like(a)
    for _ in range(100):  # quadratic but at a grazing maximum, where every step halves the rest
        slow, fast = a * torch.exp(-t / tau_m), b * torch.exp(-t / tau_s)
        rate = fast / tau_s - slow / tau_m
        step = torch.where(rate > 0.0, (v_th - slow + fast) / rate, 0.0)
        t = torch.minimum((t + step).clamp_min(0.0), peak)
        if not bool((step > 1e-13 * (1.0 + t)).any()):  # the next step would be its square
            break
    return t


class _Event(NamedTuple):
    """One event of every sample that has one left: when, whether it is a spike, and its number."""

    time: Tensor
    is_spike: Tensor
    is_arrival: Tensor
    number: Tensor
    neuron: Tensor
    rate: Tensor


class _SpikeTimes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        arrivals: Tensor,
        jumps: Tensor,
        w_rec: Tensor | None,
        membrane: Membrane,
        end_ms: float,
        most: int,
        fused: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        simulate = _simulate_fused if fused else _simulate
        events, times, neurons, counts = simulate(arrivals, jumps, w_rec, membrane, end_ms, most)
        ctx.events, ctx.membrane, ctx.end_ms = events, membrane, end_ms
        ctx.save_for_backward(arrivals, jumps, *(() if w_rec is None else (w_rec,)))
        ctx.mark_non_differentiable(neurons)
        return times, neurons, counts

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, by_times: Tensor, _: Tensor, by_counts: Tensor) -> tuple[Tensor | None, ...]:
        arrivals, jumps, *own = ctx.saved_tensors
        w_rec = own[0] if own else None
        adjoint = _adjoint if isinstance(ctx.events, list) else _adjoint_fused
        found = adjoint(ctx.events, arrivals, jumps, w_rec, by_times, by_counts, ctx.membrane, ctx.end_ms)
        return (*found, None, None, None, None)


def spike_times(
    arrivals: Tensor,
    jumps: Tensor,
    w_rec: Tensor | None,
    membrane: Membrane,
    end_ms: float,
    *,
    most: int = 10_000,
    backend: str = "auto",
) -> Spikes:
    """What a layer answers to arrivals at ``arrivals`` [B, E] ms (sorted; inf: none) that add ``jumps`` [B, E, N] to I.

    Args:
        w_rec: what the layer's own spikes add, [N, N], or None.
        end_ms: nothing after this time counts.
        most: spikes of a sample that are not believed any more.
        backend: ``reference`` or ``numba`` (double precision on the CPU); ``auto`` takes Numba where it can.

    Gradient: exact, of times by arrivals, jumps and w_rec (EventProp). A count has the gradient lambda_V -= dL/dcount at each of
    its spikes, with which the paper's implementation holds rates; it is none of a function, since counts are steps.

    Raises:
        ConfigurationError: more than ``most`` spikes in a sample, or a backend that cannot do this.

    Example:
        >>> arrivals, w = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[[5.0]]], dtype=torch.float64)
        >>> round(spike_times(arrivals, w, None, Membrane(20.0, 10.0, 1.0), 50.0).times[0, 0].item(), 9)
        6.470142623
    """
    plain = jumps.device.type == "cpu" and jumps.dtype == torch.float64
    if backend == "numba":
        require("numba", "fast", "backend='numba'")
        if not plain:
            raise ConfigurationError(
                f"the compiled loops take float64 on the CPU, and jumps are {jumps.dtype} on {jumps.device.type}; use "
                "backend='auto'."
            )
    fused = plain and (backend == "numba" or (backend == "auto" and importlib.util.find_spec("numba") is not None))
    times, neurons, counts = _SpikeTimes.apply(arrivals, jumps, w_rec, membrane, end_ms, most, fused)
    return Spikes(times, neurons, counts)


class _Log(NamedTuple):
    """What the compiled forward pass leaves for the backward one; [B, S] but ``spiked`` [B]."""

    times: Any
    neurons: Any
    rates: Any
    taken: Any
    spiked: Any


def _simulate_fused(
    arrivals: Tensor, jumps: Tensor, w_rec: Tensor | None, membrane: Membrane, end_ms: float, most: int
) -> tuple[_Log, Tensor, Tensor, Tensor]:
    kernels: Any = importlib.import_module("snnlightning.learning._spike_times__numba")
    run, batch, room = kernels.simulate.of("float64"), len(jumps), 64
    while True:
        shape = (batch, room)
        log = _Log(
            np.full(shape, np.inf),
            np.zeros(shape, np.int64),
            np.zeros(shape),
            np.zeros(shape, np.int64),
            np.zeros(batch, np.int64),
        )
        run(*_arrays(arrivals, jumps, w_rec), *membrane, end_ms, *log)
        longest = int(log.spiked.max()) if batch else 0
        if longest <= room:
            break
        if room >= most:
            raise _exploded(most, end_ms)
        room = min(4 * room, most)
    times = torch.from_numpy(log.times[:, :longest].copy())
    neurons = torch.from_numpy(log.neurons[:, :longest].copy())
    counts = jumps.new_zeros(batch, jumps.shape[2]).scatter_add_(1, neurons, times.isfinite().to(jumps))
    return log, times, neurons, counts


def _adjoint_fused(
    log: _Log,
    arrivals: Tensor,
    jumps: Tensor,
    w_rec: Tensor | None,
    by_times: Tensor,
    by_counts: Tensor,
    membrane: Membrane,
    end_ms: float,
) -> tuple[Tensor, Tensor, Tensor | None]:
    kernels: Any = importlib.import_module("snnlightning.learning._spike_times__numba")
    to_arrivals, to_jumps = (
        torch.zeros_like(arrivals, memory_format=torch.contiguous_format),
        torch.zeros(jumps.shape).double(),
    )
    to_w_rec_t = torch.zeros(0, 0).double() if w_rec is None else torch.zeros(w_rec.shape).double()
    kernels.adjoint.of("float64")(
        *_arrays(arrivals, jumps, w_rec),
        *membrane,
        end_ms,
        *log,
        *(tensor.contiguous().numpy() for tensor in (by_times, by_counts, to_arrivals, to_jumps, to_w_rec_t)),
    )
    return to_arrivals, to_jumps, None if w_rec is None else to_w_rec_t.mT


def _arrays(arrivals: Tensor, jumps: Tensor, w_rec: Tensor | None) -> tuple[Any, ...]:
    w_rec_t = jumps.new_zeros(0, 0) if w_rec is None else w_rec.detach().mT
    return tuple(tensor.detach().contiguous().numpy() for tensor in (arrivals, jumps, w_rec_t))


def _exploded(most: int, end_ms: float) -> ConfigurationError:
    return ConfigurationError(
        f"a sample has more than {most} spikes in {end_ms} ms; the weights have exploded: use a smaller gain or learning rate."
    )


def _simulate(
    arrivals: Tensor, jumps: Tensor, w_rec: Tensor | None, membrane: Membrane, end_ms: float, most: int
) -> tuple[list[_Event], Tensor, Tensor, Tensor]:
    batch, count, n = jumps.shape
    rows = torch.arange(batch, device=jumps.device)
    v, i = jumps.new_zeros(batch, n), jumps.new_zeros(batch, n)
    now = jumps.new_zeros(batch)
    padded = torch.cat([arrivals, arrivals.new_full((batch, 1), math.inf)], dim=1)
    taken, spiked = torch.zeros_like(rows), torch.zeros_like(rows)
    events: list[_Event] = []
    counts = torch.zeros_like(v)
    while True:
        to_spike, which = next_crossing(membrane, v, i).min(dim=1)
        arrival, spike = padded[rows, taken], now + to_spike
        is_spike = (spike < arrival) & (spike < end_ms)
        is_arrival = ~is_spike & (arrival < end_ms)
        if not bool((is_spike | is_arrival).any()):
            break
        when = torch.where(is_spike, spike, torch.where(is_arrival, arrival, now))
        v, i = _passed(membrane, v, i, (when - now).unsqueeze(1))
        now = when
        rate = (i[rows, which] - membrane.v_th) / membrane.tau_mem_ms
        events.append(_Event(when, is_spike, is_arrival, torch.where(is_spike, spiked, taken), which, rate))
        arrived, sent = rows[is_arrival], rows[is_spike]
        i[arrived] += jumps[arrived, taken[arrived]]
        v[sent, which[sent]] = 0.0
        counts[sent, which[sent]] += 1.0
        if w_rec is not None:
            i[sent] += w_rec.mT[which[sent]]
        taken, spiked = taken + is_arrival.long(), spiked + is_spike.long()
        if len(events) > most + count and int(spiked.max()) > most:
            raise _exploded(most, end_ms)
    longest = int(spiked.max()) if batch else 0
    times, neurons = jumps.new_full((batch, longest), math.inf), rows.new_zeros((batch, longest))
    for event in events:
        at = rows[event.is_spike]
        times[at, event.number[at]] = event.time[at]
        neurons[at, event.number[at]] = event.neuron[at]
    return events, times, neurons, counts


def _adjoint(
    events: list[_Event],
    arrivals: Tensor,
    jumps: Tensor,
    w_rec: Tensor | None,
    by_times: Tensor,
    by_counts: Tensor,
    membrane: Membrane,
    end_ms: float,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Backward in time: tau_m dlambda_V = -lambda_V, tau_s dlambda_I = -lambda_I + lambda_V; at a spike of neuron n

    lambda_V- = lambda_V+ + [v_th lambda_V+ + sum_post w (lambda_V+ - lambda_I) + dL/dt] / (tau_m dV/dt-)  -  dL/dcount;
    dL/dJ = -tau_s lambda_I and dL/dt_e = sum_n J_en (lambda_V - lambda_I)_n at an arrival.
    """
    tau_m, tau_s, v_th = membrane
    reverse = Membrane(tau_s, tau_m, v_th)  # lambda_I integrates lambda_V as V integrates I
    rows = torch.arange(len(jumps), device=jumps.device)
    l_v, l_i = torch.zeros_like(by_counts), torch.zeros_like(by_counts)
    to_arrivals, to_jumps = torch.zeros_like(arrivals), torch.zeros_like(jumps)
    to_w_rec = None if w_rec is None else torch.zeros_like(w_rec)
    now = jumps.new_full((len(jumps),), end_ms)
    for event in reversed(events):
        there = event.is_spike | event.is_arrival
        when = torch.where(there, event.time, now)
        l_i, l_v = _passed(reverse, l_i, l_v, (now - when).unsqueeze(1))
        now = when
        at = rows[event.is_arrival]
        e = event.number[at]
        to_jumps[at, e] = -tau_s * l_i[at]
        to_arrivals[at, e] = (jumps[at, e] * (l_v[at] - l_i[at])).sum(dim=1)
        at = rows[event.is_spike]
        n = event.neuron[at]
        owed = v_th * l_v[at, n] + by_times[at, event.number[at]]
        if w_rec is not None and to_w_rec is not None:
            owed = owed + (w_rec.mT[n] * (l_v[at] - l_i[at])).sum(dim=1)
            to_w_rec.index_add_(1, n, -tau_s * l_i[at].mT)
        l_v[at, n] += owed / (tau_m * event.rate[at]) - by_counts[at, n]
    return to_arrivals, to_jumps, to_w_rec
