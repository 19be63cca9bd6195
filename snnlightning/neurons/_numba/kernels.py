"""The loops: find events, run a layer forward, run it backward, and sum weight gradients.

All arrays are C-contiguous; S samples of a chunk, T steps, N neurons, K inputs. Row s T + t of an event list holds what
was sent at step t of sample s: ``pointer[row] : pointer[row + 1]`` into ``index``. Lists of events have room for the
densest case, so nothing can overflow. ``real`` is float32 or float64.

The neurons of the package are one recursion, with x = the current that enters the potential at this step,

    cur[n] = W in[n] + bias + V S[n]            (S[n-1] when ``delayed``)
    with a synaptic current:  x[n] = i[n],    i[n+1] = a i[n] + cur[n]
    without:                  x[n] = cur[n]
    u[n] = b v[n] + g x[n];   v[n+1] = u[n] - S[n] v_th  or  u[n] (1 - S[n])

and the same operations in the same order as the reference, so that float32 rounds alike.
"""

# ruff: noqa: PLR0912, PLR0915  (a kernel is one loop nest, and calls cost compile time)

from typing import Any

import numpy as np

from .._fused.recursion import CURRENT, DELAYED, READ_MAX, READ_SUM, RECURRENT, RESET_ATTACHED, RESET_ZERO, SPIKING
from .compiling import helper, kernel

__all__ = ["ADVANCE", "RETREAT", "advance", "arrive", "come_back", "count_some", "dots", "events", "mostly", "product", "rest",
           "retreat", "send_back", "silence", "weight_gradient"]  # fmt: skip

Array = Any
real: Any = float
"""Stands for the element type; set when a kernel is compiled."""


@kernel("int64(real[:,::1], int64)")
def count_some(x: Array, stride: int) -> int:
    """How many elements of every ``stride``-th row are not zero."""
    count = 0
    for r in range(0, x.shape[0], stride):
        for k in range(x.shape[1]):
            count += x[r, k] != 0
    return count


@kernel("int64(real[:,::1], int32[::1], real[::1], int64[::1])")
def events(x: Array, index: Array, value: Array, pointer: Array) -> int:
    """Elements of x [rows, K] that are not zero, row by row; returns how many of them are not one.

    A row becomes bytes of 0 and 1 first, by vector instructions; eight of them are read as one number, and its lowest one is
    isolated, and found with a product, as long as there is one.

    Args:
        x: a chunk.
        index: room for as many as there are.
        value: room for as many values.
        pointer: [rows + 1].
    """
    rows, columns = x.shape
    flags = np.zeros((columns + 7) // 8 * 8, np.uint8)
    eights = flags.view(np.int64)
    found, other = 0, 0
    pointer[0] = 0
    for r in range(rows):
        row = x[r]
        for k in range(columns):
            flags[k] = row[k] != 0
        for k in range(len(eights)):
            left = eights[k]
            while left != 0:
                lowest = left & -left
                left ^= lowest
                q = 8 * k + ((lowest * 0x0001020304050607) >> 56)
                y = row[q]
                index[found], value[found] = q, y
                found += 1
                other += y != 1
        pointer[r + 1] = found
    return other


@helper
def _gather(rows: Array, index: Array, lo: int, hi: int, out: Array) -> None:
    """out += the rows that ``index[lo:hi]`` names, in that order."""
    n = out.shape[0]
    e = lo
    while e + 8 <= hi:
        r0, r1, r2, r3 = rows[index[e]], rows[index[e + 1]], rows[index[e + 2]], rows[index[e + 3]]
        r4, r5, r6, r7 = rows[index[e + 4]], rows[index[e + 5]], rows[index[e + 6]], rows[index[e + 7]]
        for j in range(n):
            out[j] = (((((((out[j] + r0[j]) + r1[j]) + r2[j]) + r3[j]) + r4[j]) + r5[j]) + r6[j]) + r7[j]
        e += 8
    while e + 4 <= hi:
        r0, r1, r2, r3 = rows[index[e]], rows[index[e + 1]], rows[index[e + 2]], rows[index[e + 3]]
        for j in range(n):
            out[j] = (((out[j] + r0[j]) + r1[j]) + r2[j]) + r3[j]
        e += 4
    while e < hi:
        r0 = rows[index[e]]
        for j in range(n):
            out[j] = out[j] + r0[j]
        e += 1


@helper
def _gather_values(rows: Array, index: Array, value: Array, lo: int, hi: int, out: Array) -> None:
    """out += value times row, for each event."""
    for e in range(lo, hi):
        r0, y = rows[index[e]], value[e]
        for j in range(out.shape[0]):
            out[j] += y * r0[j]


@helper
def arrive(
    s: int, t: int, row: int, pointer: Array, index: Array, value: Array, drive: Array, bias: Array, w_in_t: Array, out: Array
) -> None:  # fmt: skip
    """out = W in + bias at step t of sample s: copied when the product is ready, otherwise gathered."""
    n = out.shape[0]
    if drive.size > 0:
        d = drive[s, t]
        for j in range(n):
            out[j] = d[j]
        return
    for j in range(n):
        out[j] = 0
    if value.size == 0:
        _gather(w_in_t, index, pointer[row], pointer[row + 1], out)
    else:
        _gather_values(w_in_t, index, value, pointer[row], pointer[row + 1], out)
    if bias.size > 0:
        for j in range(n):
            out[j] += bias[j]


@helper
def come_back(w_rec_t: Array, index: Array, lo: int, hi: int, back: Array, out: Array) -> None:
    """out += V S, summed by itself first, as the reference does; ``back`` is to work in."""
    if lo == hi:
        return
    for j in range(back.shape[0]):
        back[j] = 0
    _gather(w_rec_t, index, lo, hi, back)
    for j in range(back.shape[0]):
        out[j] += back[j]


@helper
def rest(left: Array, silent: int) -> None:
    """One step less to go for neurons in their refractory period; those that spiked are set anew by the caller."""
    if silent:
        for j in range(left.shape[0]):
            left[j] = max(left[j] - real(1), real(0))


@helper
def _read(v: Array, t: int, found: Array, at: Array, flags: int) -> None:
    """Add a step to a sum over time, or to a maximum and the first step that has it; what is not a number stays."""
    if flags & READ_SUM:
        for j in range(v.shape[0]):
            found[j] += v[j]
    elif flags & READ_MAX:
        for j in range(v.shape[0]):
            higher = not v[j] <= found[j]
            at[j] = t if higher else at[j]
            found[j] = v[j] if higher else found[j]


ADVANCE = (
    "void(int64[::1], int32[::1], real[::1], real[:,:,::1], real[::1], real[:,::1], real[:,::1], real[:,::1],"
    "real[:,::1], real[::1], real[:,::1], real[:,::1], real[:,::1], int64[::1], int32[::1], int64,"
    "real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,::1], int64, int64, int64)"
)
"""Signature of every ``advance``."""


@kernel(ADVANCE)
def advance(
    pointer: Array, index: Array, value: Array, drive: Array, bias: Array, w_in_t: Array, w_rec_t: Array, first: Array,
    coefficients: Array, constants: Array, v: Array, second: Array, left: Array,
    spike_pointer: Array, spike_index: Array, known: int,
    output: Array, potentials: Array, seconds: Array, currents: Array, arguments: Array, scratch: Array,
    silent: int, steps: int, flags: int,
) -> None:  # fmt: skip
    """Run S samples over T steps.

    Args:
        pointer, index, value: input events; ``value`` is empty when all are one. Unused when ``drive`` is not empty.
        drive: W in + bias [S, T, N], or empty.
        bias: [N], or empty.
        w_in_t, w_rec_t: weights by presynaptic neuron, [K, N] and [N, N].
        first: [S, N], what arrives through w_rec at the first step when ``delayed``.
        coefficients: [3, N]: a, b and g.
        constants: v_th.
        v, second, left: [S, N], the state: potential, i, and steps of the refractory period; overwritten with the last one.
        spike_pointer, spike_index: the events of the layer itself; written, or read when ``known``.
        output, potentials, currents: S[n] (or v[n]), v[n] and x[n], [S, T, N]; empty when not wanted.
        seconds: not used here.
        arguments: [S, 2, N] when an integrator is read over time: sum (of zeros) or maximum (of -inf), and its step; or empty.
        scratch: [2, N], to work in.
        silent: R, steps of the refractory period.
    """
    samples, n = v.shape
    spiking, has_current, to_zero = flags & SPIKING, flags & CURRENT, flags & RESET_ZERO
    recurrent, delayed = flags & RECURRENT, flags & DELAYED
    v_th = constants[0]
    decay_syn, decay_mem, gain = coefficients[0], coefficients[1], coefficients[2]
    cur, back = scratch[0], scratch[1]
    found = 0
    for s in range(samples):
        vs, cs = v[s], second[s] if has_current else v[s]
        waits = left[s] if silent else v[s]
        for t in range(steps):
            row = s * steps + t
            if potentials.size > 0:
                p = potentials[s, t]
                for j in range(n):
                    p[j] = vs[j]
            if not spiking:
                if output.size > 0:
                    o = output[s, t]
                    for j in range(n):
                        o[j] = vs[j]
                if arguments.size > 0:
                    _read(vs, t, arguments[s, 0], arguments[s, 1], flags)
            elif known:
                found = spike_pointer[row + 1]
            else:
                if silent:
                    for j in range(n):
                        spike_index[found] = j
                        found += (vs[j] > v_th) & (waits[j] <= 0)
                else:
                    for j in range(n):
                        spike_index[found] = j
                        found += vs[j] > v_th
                spike_pointer[row + 1] = found
                if output.size > 0:
                    o = output[s, t]
                    for j in range(n):
                        o[j] = real(0)
                    for e in range(spike_pointer[row], found):
                        o[spike_index[e]] = real(1)
                rest(waits, silent)
            arrive(s, t, row, pointer, index, value, drive, bias, w_in_t, cur)
            if recurrent:
                if delayed and t == 0:
                    f = first[s]
                    for j in range(n):
                        cur[j] += f[j]
                else:
                    sender = row - 1 if delayed else row
                    come_back(w_rec_t, spike_index, spike_pointer[sender], spike_pointer[sender + 1], back, cur)
            if has_current:
                if currents.size > 0:
                    x = currents[s, t]
                    for j in range(n):
                        x[j] = cs[j]
                for j in range(n):
                    vs[j] = decay_mem[j] * vs[j] + gain[j] * cs[j]
                    cs[j] = decay_syn[j] * cs[j] + cur[j]
            else:
                if currents.size > 0:
                    x = currents[s, t]
                    for j in range(n):
                        x[j] = cur[j]
                for j in range(n):
                    vs[j] = decay_mem[j] * vs[j] + gain[j] * cur[j]
            if spiking:
                for e in range(spike_pointer[row], found):
                    k = spike_index[e]
                    if to_zero:
                        vs[k] = vs[k] * real(0)
                    else:
                        vs[k] = vs[k] - v_th
                    if silent:
                        waits[k] = silent


@kernel("void(real[:,:,::1], int64[::1], int32[::1], real[:,::1], int64)")
def silence(psi: Array, spike_pointer: Array, spike_index: Array, left: Array, silent: int) -> None:
    """psi = 0 where a neuron was in its refractory period; ``left`` [S, N] is what was left of it at the start."""
    samples, steps, n = psi.shape
    for s in range(samples):
        for j in range(n):
            for t in range(steps):
                if left[s, j] <= t:
                    break
                psi[s, t, j] = 0
        for t in range(steps):
            row = s * steps + t
            for e in range(spike_pointer[row], spike_pointer[row + 1]):
                for u in range(t + 1, min(t + 1 + silent, steps)):
                    psi[s, u, spike_index[e]] = 0


@helper
def dots(rows: Array, chosen: Array, count: int, vector: Array, out: Array) -> None:
    """out[k] = rows[k] . vector for the chosen k."""
    n = vector.shape[0]
    e = 0
    while e + 4 <= count:
        k0, k1, k2, k3 = chosen[e], chosen[e + 1], chosen[e + 2], chosen[e + 3]
        r0, r1, r2, r3 = rows[k0], rows[k1], rows[k2], rows[k3]
        s0, s1, s2, s3 = real(0), real(0), real(0), real(0)
        for j in range(n):
            y = vector[j]
            s0 += r0[j] * y
            s1 += r1[j] * y
            s2 += r2[j] * y
            s3 += r3[j] * y
        out[k0] = s0
        out[k1] = s1
        out[k2] = s2
        out[k3] = s3
        e += 4
    while e < count:
        k0 = chosen[e]
        r0 = rows[k0]
        s0 = real(0)
        for j in range(n):
            s0 += r0[j] * vector[j]
        out[k0] = s0
        e += 1


@helper
def product(delta: Array, rows: Array, out: Array) -> None:
    """out += delta @ rows, for a few rows of delta; four rows of the matrix at a time, which then stay close by."""
    samples, n = delta.shape
    k = 0
    while k + 4 <= n:
        v0, v1, v2, v3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        s = 0
        while s + 2 <= samples:
            a0, a1, a2, a3 = delta[s, k], delta[s, k + 1], delta[s, k + 2], delta[s, k + 3]
            b0, b1, b2, b3 = delta[s + 1, k], delta[s + 1, k + 1], delta[s + 1, k + 2], delta[s + 1, k + 3]
            o, q = out[s], out[s + 1]
            for j in range(n):
                o[j] += (a0 * v0[j] + a1 * v1[j]) + (a2 * v2[j] + a3 * v3[j])
                q[j] += (b0 * v0[j] + b1 * v1[j]) + (b2 * v2[j] + b3 * v3[j])
            s += 2
        while s < samples:
            a0, a1, a2, a3 = delta[s, k], delta[s, k + 1], delta[s, k + 2], delta[s, k + 3]
            o = out[s]
            for j in range(n):
                o[j] += (a0 * v0[j] + a1 * v1[j]) + (a2 * v2[j] + a3 * v3[j])
            s += 1
        k += 4
    while k < n:
        v0 = rows[k]
        for s in range(samples):
            a0 = delta[s, k]
            o = out[s]
            for j in range(n):
                o[j] += a0 * v0[j]
        k += 1


RETREAT = (
    "void(real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], int64[::1],"
    "int32[::1], real[:,::1], real[:,::1], real[:,::1], real[::1], real[:,::1], real[:,::1], real[:,::1],"
    "real[:,:,::1], real[:,:,::1], real[:,:,::1], int32[::1], int64, int64)"
)
"""Signature of every ``retreat``."""


@helper
def mostly(psi: Array) -> bool:
    """Whether a product beats picking the neurons whose psi is not zero."""
    samples, steps, n = psi.shape
    active = 0
    for s in range(samples):
        for t in range(steps):
            p = psi[s, t]
            for j in range(n):
                active += p[j] != 0
    return bool(active > 0.55 * (samples * steps * n))


@helper
def send_back(delta: Array, h: Array, w_rec_t: Array, chosen: Array, out: Array) -> None:
    """out = V^T delta of one sample, where h is not zero."""
    count = 0
    for j in range(h.shape[0]):
        chosen[count] = j
        count += h[j] != 0
    dots(w_rec_t, chosen, count, delta, out)


@kernel(RETREAT, fast=True)
def retreat(
    psi: Array, grad_output: Array, grad_potentials: Array, potentials: Array, seconds: Array, currents: Array,
    spike_pointer: Array, spike_index: Array, w_rec: Array, w_rec_t: Array, coefficients: Array, constants: Array,
    grad_v: Array, grad_second: Array, grad_z: Array, delta: Array, grad_coefficients: Array, scratch: Array, chosen: Array,
    steps: int, flags: int,
) -> None:  # fmt: skip
    """The adjoint of ``advance``, for S samples at once, last step first.

    dL/du = dL/dv[n+1] (1 - S[n] when a reset is to zero);  dL/dcur = dL/di[n+1], or g dL/du without a current;
    dL/dS[n] = from the output, + V^T dL/dcur, + the reset's when attached;
    dL/dv[n] = b dL/du + dL/dS[n] psi[n] + from the potentials;  dL/di[n] = a dL/di[n+1] + g dL/du.

    V^T dL/dcur is computed only where psi is not zero, unless that is most of it.

    Args:
        psi: h(v[n] - v_th); empty for a neuron without threshold.
        grad_output, grad_potentials: what comes from above; empty when nothing does.
        potentials, currents: v[n] and x[n] as ``advance`` gives them; empty where not needed (see ``layer``).
        w_rec, w_rec_t: empty when nothing flows back through them.
        seconds: not used here.
        grad_v, grad_second: [S, N], the gradient of the last v and i; overwritten with that of the first.
        grad_z: [S, N]: of the last state's spikes when ``delayed``.
        delta: [S, T, N], dL/dcur; written.
        grad_coefficients: [S, 3, N]: of a, b and g, summed over time; empty when not wanted.
        scratch, chosen: [3, S, N] of zeros and [N + 1], to work in.
    """
    samples, n = grad_v.shape
    spiking, has_current, to_zero = flags & SPIKING, flags & CURRENT, flags & RESET_ZERO
    attached, delayed = flags & RESET_ATTACHED, flags & DELAYED
    recurrent = w_rec_t.size > 0
    wants_decays = grad_coefficients.size > 0
    v_th = constants[0]
    decay_syn, decay_mem, gain = coefficients[0], coefficients[1], coefficients[2]
    if not spiking:
        _retreat_integrator(psi, grad_output, grad_potentials, potentials, currents, decay_syn, decay_mem, gain, grad_v,
                            grad_second, delta, grad_coefficients, steps, has_current)  # fmt: skip
        return
    # dL/dcur of the step at which these spikes arrived; what comes back through w_rec; the reset's share of dL/dS
    later, back, kept = scratch[0], scratch[1], scratch[2]
    many = recurrent and mostly(psi)
    for t in range(steps - 1, -1, -1):
        for s in range(samples):
            row = s * steps + t
            gv, b, d, after = grad_v[s], back[s], delta[s, t], later[s]
            # What comes to S[n] beside the recurrent part, and dL/dcur; then grad_v holds dL/du.
            if many or delayed or not recurrent:
                for j in range(n):
                    b[j] = 0
            if delayed:
                for j in range(n):
                    after[j] = delta[s, t + 1, j] if t + 1 < steps else real(0)
            if attached:
                extra = kept[s]
                if to_zero:
                    x, p = currents[s, t], potentials[s, t]
                    for j in range(n):
                        extra[j] = gv[j] * (decay_mem[j] * p[j] + gain[j] * x[j])
                else:
                    for j in range(n):
                        extra[j] = gv[j] * v_th
            if to_zero:
                for e in range(spike_pointer[row], spike_pointer[row + 1]):
                    gv[spike_index[e]] *= real(0)
            if has_current:
                gi = grad_second[s]
                for j in range(n):
                    d[j] = gi[j]
            else:
                for j in range(n):
                    d[j] = gain[j] * gv[j]
            if many and not delayed:
                for j in range(n):
                    after[j] = d[j]
        if many:
            product(later, w_rec, back)
        for s in range(samples):
            gv, b, d, h = grad_v[s], back[s], delta[s, t], psi[s, t]
            if recurrent and not many:
                send_back(later[s] if delayed else d, h, w_rec_t, chosen, b)
            if delayed and t == steps - 1:
                for j in range(n):
                    b[j] += grad_z[s, j]
            if attached:
                extra = kept[s]
                for j in range(n):
                    b[j] -= extra[j]
            if wants_decays:
                a_sum, b_sum, g_sum = grad_coefficients[s, 0], grad_coefficients[s, 1], grad_coefficients[s, 2]
                x, p = currents[s, t], potentials[s, t]
                for j in range(n):
                    b_sum[j] += gv[j] * p[j]
                    g_sum[j] += gv[j] * x[j]
                if has_current:
                    for j in range(n):
                        a_sum[j] += d[j] * x[j]
            if has_current:
                gi = grad_second[s]
                for j in range(n):
                    gi[j] = decay_syn[j] * d[j] + gain[j] * gv[j]
            if grad_output.size > 0:
                g = grad_output[s, t]
                for j in range(n):
                    gv[j] = decay_mem[j] * gv[j] + (b[j] + g[j]) * h[j]
            else:
                for j in range(n):
                    gv[j] = decay_mem[j] * gv[j] + b[j] * h[j]
            if grad_potentials.size > 0:
                g = grad_potentials[s, t]
                for j in range(n):
                    gv[j] += g[j]


@helper
def _retreat_integrator(
    read_back: Array, grad_output: Array, grad_potentials: Array, potentials: Array, currents: Array,
    decay_syn: Array, decay_mem: Array, gain: Array, grad_v: Array, grad_i: Array, delta: Array, grad_decays: Array,
    steps: int, has_current: int,
) -> None:  # fmt: skip
    """``retreat`` without a threshold: its output is its potential, and the few neurons of a readout want one loop.

    ``read_back`` stands in the place of psi, [S, 2, N]: what a readout over time sends back to each neuron, and to which step
    (to every one when that is below zero); or empty.
    """
    samples, n = grad_v.shape
    for s in range(samples):
        gv, gi = grad_v[s], grad_i[s] if has_current else grad_v[s]
        for t in range(steps - 1, -1, -1):
            d = delta[s, t]
            if grad_decays.size > 0:
                x, p = currents[s, t], potentials[s, t]
                for j in range(n):
                    grad_decays[s, 1, j] += gv[j] * p[j]
                    grad_decays[s, 2, j] += gv[j] * x[j]
                if has_current:
                    for j in range(n):
                        grad_decays[s, 0, j] += gi[j] * x[j]
            if has_current:
                for j in range(n):
                    d[j] = gi[j]
                    gi[j] = decay_syn[j] * gi[j] + gain[j] * gv[j]
                    gv[j] = decay_mem[j] * gv[j]
            else:
                for j in range(n):
                    d[j] = gain[j] * gv[j]
                    gv[j] = decay_mem[j] * gv[j]
            if read_back.size > 0:
                g, at = read_back[s, 0], read_back[s, 1]
                for j in range(n):
                    gv[j] += g[j] if (at[j] < 0) | (at[j] == t) else real(0)
            if grad_output.size > 0:
                g = grad_output[s, t]
                for j in range(n):
                    gv[j] += g[j]
            if grad_potentials.size > 0:
                g = grad_potentials[s, t]
                for j in range(n):
                    gv[j] += g[j]


@kernel("void(real[:,:,::1], int64[::1], int32[::1], real[::1], int64, int64, int64, real[:,::1])")
def weight_gradient(
    delta: Array, pointer: Array, index: Array, value: Array, delayed: int, lo: int, hi: int, grad_t: Array
) -> None:
    """grad_t[k, lo:hi] += delta[s, t, lo:hi] (times the value) for every event k of step t (t - 1 when ``delayed``)."""
    samples, steps, _ = delta.shape
    for s in range(samples):
        for t in range(1 if delayed else 0, steps):
            row = s * steps + t - (1 if delayed else 0)
            d = delta[s, t, lo:hi]
            if value.size == 0:
                for e in range(pointer[row], pointer[row + 1]):
                    g = grad_t[index[e], lo:hi]
                    for j in range(hi - lo):
                        g[j] += d[j]
            else:
                for e in range(pointer[row], pointer[row + 1]):
                    g, y = grad_t[index[e], lo:hi], value[e]
                    for j in range(hi - lo):
                        g[j] += y * d[j]
