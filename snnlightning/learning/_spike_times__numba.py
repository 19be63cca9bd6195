"""Compiled twins of :mod:`snnlightning.learning._spike_times`: one sample after the other, event by event."""

import math
from typing import Any

import numpy as np

from ..neurons._numba.compiling import helper, kernel

__all__ = ["adjoint", "simulate"]

Array = np.ndarray[Any, Any]


@helper
def crossing(v: float, i: float, tau_m: float, tau_s: float, v_th: float) -> float:
    """Milliseconds until the threshold, or infinity; as ``next_crossing`` finds them."""
    if v >= v_th:
        return 0.0
    if i <= v:
        return math.inf
    k = tau_s / (tau_m - tau_s)
    a, b = v + k * i, k * i
    share = b * tau_m / (a * tau_s) if a != 0.0 else 0.0
    if share <= 0.0:
        return math.inf
    peak = math.log(share) / (1.0 / tau_s - 1.0 / tau_m)
    if peak <= 0.0 or not a * math.exp(-peak / tau_m) - b * math.exp(-peak / tau_s) > v_th * (1.0 + 1e-12):
        return math.inf
    t = 0.0
    for _ in range(100):
        slow, fast = a * math.exp(-t / tau_m), b * math.exp(-t / tau_s)
        rate = fast / tau_s - slow / tau_m
        step = (v_th - slow + fast) / rate if rate > 0.0 else 0.0
        t = min(max(t + step, 0.0), peak)
        if not step > 1e-13 * (1.0 + t):
            break
    return t


@kernel(
    "void(real[:,::1], real[:,:,::1], real[:,::1], real, real, real, real,"
    "real[:,::1], int64[:,::1], real[:,::1], int64[:,::1], int64[::1])",
    arrays=True,
)
def simulate(
    arrivals: Array, jumps: Array, w_rec_t: Array, tau_m: float, tau_s: float, v_th: float, end: float,
    times: Array, neurons: Array, rates: Array, taken: Array, spiked: Array,
) -> None:  # fmt: skip
    """Spikes of every sample in the order of time.

    Args:
        arrivals: [B, E] ms, sorted, infinite where there is none.
        jumps: [B, E, N].
        w_rec_t: [N, N], a row per neuron that sends; [0, 0] without recurrence.
        times, neurons, rates, taken: room [B, S] for when and where, dV/dt there, and how many arrivals came before it.
        spiked: [B], spikes that a sample has; one more than there is room for where it has more.
    """
    batch, count, n = jumps.shape
    room, recurrent = times.shape[1], w_rec_t.shape[0] > 0
    k = tau_s / (tau_m - tau_s)
    v, i, due = np.zeros(n), np.zeros(n), np.empty(n)
    for b in range(batch):
        v[:], i[:], due[:] = 0.0, 0.0, math.inf
        now, e, s = 0.0, 0, 0
        while True:
            which = int(np.argmin(due)) if n else 0
            arrival = arrivals[b, e] if e < count else math.inf
            is_spike = due[which] < arrival and due[which] < end
            if not is_spike and not arrival < end:
                break
            when = due[which] if is_spike else arrival
            slow, fast = math.exp(-(when - now) / tau_m), math.exp(-(when - now) / tau_s)
            for m in range(n):
                v[m] = v[m] * slow + k * i[m] * (slow - fast)
                i[m] *= fast
            now = when
            if is_spike:
                if s == room:
                    s += 1
                    break
                times[b, s], neurons[b, s], taken[b, s] = now, which, e
                rates[b, s] = (i[which] - v_th) / tau_m
                s += 1
                v[which] = 0.0
                if recurrent:
                    for m in range(n):
                        i[m] += w_rec_t[which, m]
                        due[m] = now + crossing(v[m], i[m], tau_m, tau_s, v_th)
                else:
                    due[which] = now + crossing(0.0, i[which], tau_m, tau_s, v_th)
            else:
                for m in range(n):
                    jump = jumps[b, e, m]
                    if jump != 0.0:
                        i[m] += jump
                        due[m] = now + crossing(v[m], i[m], tau_m, tau_s, v_th)
                e += 1
        spiked[b] = s


@kernel(
    "void(real[:,::1], real[:,:,::1], real[:,::1], real, real, real, real, real[:,::1], int64[:,::1], real[:,::1],"
    "int64[:,::1], int64[::1], real[:,::1], real[:,::1], real[:,::1], real[:,:,::1], real[:,::1])",
    arrays=True,
)
def adjoint(
    arrivals: Array, jumps: Array, w_rec_t: Array, tau_m: float, tau_s: float, v_th: float, end: float,
    times: Array, neurons: Array, rates: Array, taken: Array, spiked: Array,
    by_times: Array, by_counts: Array, to_arrivals: Array, to_jumps: Array, to_w_rec_t: Array,
) -> None:  # fmt: skip
    """Backward in time through what :func:`simulate` found; the gradients are added to."""
    batch, count, n = jumps.shape
    recurrent = w_rec_t.shape[0] > 0
    k = tau_m / (tau_s - tau_m)
    l_v, l_i = np.zeros(n), np.zeros(n)
    for b in range(batch):
        l_v[:], l_i[:] = 0.0, 0.0
        now, s = end, spiked[b] - 1
        e = count - 1
        while e >= 0 and not arrivals[b, e] < end:
            e -= 1
        while e >= 0 or s >= 0:
            is_spike = s >= 0 and taken[b, s] > e
            when = times[b, s] if is_spike else arrivals[b, e]
            slow, fast = math.exp(-(now - when) / tau_s), math.exp(-(now - when) / tau_m)
            for m in range(n):
                l_i[m] = l_i[m] * slow + k * l_v[m] * (slow - fast)
                l_v[m] *= fast
            now = when
            if is_spike:
                at = neurons[b, s]
                owed = v_th * l_v[at] + by_times[b, s]
                if recurrent:
                    for m in range(n):
                        owed += w_rec_t[at, m] * (l_v[m] - l_i[m])
                        to_w_rec_t[at, m] -= tau_s * l_i[m]
                l_v[at] += owed / (tau_m * rates[b, s]) - by_counts[b, at]
                s -= 1
            else:
                total = 0.0
                for m in range(n):
                    to_jumps[b, e, m] = -tau_s * l_i[m]
                    total += jumps[b, e, m] * (l_v[m] - l_i[m])
                to_arrivals[b, e] = total
                e -= 1
