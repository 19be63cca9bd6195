"""The loops of neurons with a second, slow variable: ALIF's threshold and AdLIF's current. Arguments as in :mod:`.kernels`.

What a form does or does not is a factor of 1 or 0, so that one loop without branches says it all; multiplying with either is
exact, and operations have the order of the reference.
"""

# ruff: noqa: PLR0912, PLR0915  (a kernel is one loop nest)

from typing import Any

from .._fused.recursion import (
    ADAPTS_LATE,
    ARGUMENT_RELATIVE,
    DRIVEN_BY_POTENTIAL,
    RECURRENT,
    RESET_ATTACHED,
    RESET_ZERO,
    THRESHOLD_CROSSED,
)
from .compiling import helper, kernel
from .kernels import ADVANCE, RETREAT, arrive, come_back, mostly, send_back
from .vectors import nonzero, product

__all__ = ["advance_adlif", "advance_alif", "retreat_adlif", "retreat_alif"]

Array = Any
real: Any = float
"""Stands for the element type; set when a kernel is compiled."""


@helper
def _send(
    x: Array, left: Array, silent: int, row: int, spike_pointer: Array, spike_index: Array, z: Array, o: Array
) -> None:
    """List the neurons with x > 0 that are not refractory; z is 1 for them, and so is o unless it is empty."""
    found = spike_pointer[row]
    for j in range(x.shape[0]):
        z[j] = real(1) if x[j] > 0 else real(0)
    if silent:
        for j in range(x.shape[0]):
            z[j] = z[j] if left[j] <= 0 else real(0)
            left[j] = max(left[j] - real(1), real(0)) + real(silent) * z[j]
    spike_pointer[row + 1] = nonzero(z, spike_index, found)
    for j in range(o.shape[0]):
        o[j] = z[j]


@helper
def _mark(spike_pointer: Array, spike_index: Array, row: int, z: Array) -> None:
    """z = 1 for the neurons that spiked."""
    for j in range(z.shape[0]):
        z[j] = 0
    for e in range(spike_pointer[row], spike_pointer[row + 1]):
        z[spike_index[e]] = 1


@helper
def _keep(out: Array, s: int, t: int, row: Array) -> None:
    """Store a row where somebody wants it."""
    if out.size > 0:
        o = out[s, t]
        for j in range(row.shape[0]):
            o[j] = row[j]


@kernel(ADVANCE)
def advance_alif(
    pointer: Array, index: Array, value: Array, drive: Array, bias: Array, w_in_t: Array, w_rec_t: Array, first: Array,
    coefficients: Array, v: Array, second: Array, left: Array,
    spike_pointer: Array, spike_index: Array, known: int,
    output: Array, potentials: Array, seconds: Array, currents: Array, arguments: Array, scratch: Array,
    silent: int, steps: int, flags: int,
) -> None:  # fmt: skip
    """B = v_th + beta a;  S = step((v - B) / unit);  a' = r a + k S;  v' = b v + g cur - S R, or (b v + g cur) (1 - S).

    R is v_th, or the B that was crossed, with a or (late) with a'. The unit is a number, or B.

    Args:
        coefficients: [7, N]: b, g, r, k, beta, v_th, unit.
        second: a.
        seconds, currents, arguments: a[n], cur[n] and (v - B) / unit, [S, T, N]; empty when not wanted.
        scratch: [4, N], to work in.
    """
    samples, n = v.shape
    decay_mem, gain, decay_adapt, rise = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    beta, v_th, unit = coefficients[4], coefficients[5], coefficients[6]
    zero = real(1) if flags & RESET_ZERO else real(0)
    subtract = real(1) - zero
    crossed = subtract if flags & THRESHOLD_CROSSED else real(0)
    late = bool(flags & ADAPTS_LATE)
    relative = bool(flags & ARGUMENT_RELATIVE)
    cur, back, z, x = scratch[0], scratch[1], scratch[2], scratch[3]
    nobody = scratch[0, 0:0]
    for s in range(samples):
        vs, a, waits = v[s], second[s], left[s] if silent else v[s]
        for t in range(steps):
            row = s * steps + t
            _keep(potentials, s, t, vs)
            _keep(seconds, s, t, a)
            for j in range(n):
                threshold = v_th[j] + beta[j] * a[j]
                x[j] = (vs[j] - threshold) / (threshold if relative else unit[j])
            _keep(arguments, s, t, x)
            if known:
                _mark(spike_pointer, spike_index, row, z)
            else:
                _send(x, waits, silent, row, spike_pointer, spike_index, z, output[s, t] if output.size > 0 else nobody)
            arrive(s, t, row, pointer, index, value, drive, bias, w_in_t, cur)
            if flags & RECURRENT:
                come_back(w_rec_t, spike_index, spike_pointer[row], spike_pointer[row + 1], back, cur)
            _keep(currents, s, t, cur)
            for j in range(n):
                later = decay_adapt[j] * a[j] + rise[j] * z[j]
                height = v_th[j] + crossed * (beta[j] * (later if late else a[j]))
                u = decay_mem[j] * vs[j] + gain[j] * cur[j]
                vs[j] = u * (real(1) - zero * z[j]) - subtract * (z[j] * height)
                a[j] = later


@kernel(RETREAT, fast=True)
def retreat_alif(
    psi: Array, grad_output: Array, grad_potentials: Array, potentials: Array, seconds: Array, currents: Array,
    spike_pointer: Array, spike_index: Array, w_rec: Array, w_rec_t: Array, coefficients: Array,
    grad_v: Array, grad_second: Array, grad_z: Array, delta: Array, grad_coefficients: Array, scratch: Array, chosen: Array,
    steps: int, flags: int,
) -> None:  # fmt: skip
    """The adjoint of ``advance_alif``; the height of a reset is no constant, whether S in it is one or not.

    Args:
        grad_coefficients: [S, 7, N], in the order of ``coefficients``; empty when not wanted.
    """
    samples, n = grad_v.shape
    decay_mem, gain, decay_adapt, rise = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    beta, v_th, unit = coefficients[4], coefficients[5], coefficients[6]
    zero = real(1) if flags & RESET_ZERO else real(0)
    subtract = real(1) - zero
    crossed = subtract if flags & THRESHOLD_CROSSED else real(0)
    late = real(1) if flags & ADAPTS_LATE else real(0)
    relative = real(1) if flags & ARGUMENT_RELATIVE else real(0)
    attached = real(1) if flags & RESET_ATTACHED else real(0)
    recurrent, wants = w_rec_t.size > 0, grad_coefficients.size > 0
    many = recurrent and mostly(psi)
    later, back, z = scratch[0], scratch[1], scratch[2, 0]
    for t in range(steps - 1, -1, -1):
        for s in range(samples):
            gv, d, b, after = grad_v[s], delta[s, t], back[s], later[s]
            _mark(spike_pointer, spike_index, s * steps + t, z)
            for j in range(n):
                b[j] = 0
                d[j] = gain[j] * (gv[j] * (real(1) - zero * z[j]))
                after[j] = d[j]
        if many:
            product(later, w_rec, samples, 0, back)
        for s in range(samples):
            row = s * steps + t
            gv, ga, b, d, h = grad_v[s], grad_second[s], back[s], delta[s, t], psi[s, t]
            v, a, cur = potentials[s, t], seconds[s, t], currents[s, t]
            _mark(spike_pointer, spike_index, row, z)
            if recurrent and not many:
                send_back(d, h, w_rec_t, chosen, b)
            if grad_output.size > 0:
                g = grad_output[s, t]
                for j in range(n):
                    b[j] += g[j]
            if wants:
                sums = grad_coefficients[s]
                for j in range(n):
                    gu = gv[j] * (real(1) - zero * z[j])
                    next_a = decay_adapt[j] * a[j] + rise[j] * z[j]
                    height = -gv[j] * z[j] * crossed
                    above = ga[j] + late * beta[j] * height
                    sums[0, j] += gu * v[j]
                    sums[1, j] += gu * cur[j]
                    sums[2, j] += above * a[j]
                    sums[3, j] += above * z[j]
                    sums[4, j] += height * (a[j] + late * (next_a - a[j]))
                    sums[5, j] -= subtract * gv[j] * z[j]
            for j in range(n):
                gu = gv[j] * (real(1) - zero * z[j])
                felt = a[j] + late * (decay_adapt[j] * a[j] + rise[j] * z[j] - a[j])
                amount = zero * (decay_mem[j] * v[j] + gain[j] * cur[j]) + subtract * (
                    v_th[j] + crossed * beta[j] * felt
                )
                height = -gv[j] * z[j] * crossed
                above = ga[j] + late * beta[j] * height
                gz = b[j] - attached * gv[j] * amount + rise[j] * above
                threshold = v_th[j] + beta[j] * a[j]
                divisor = relative * threshold + (real(1) - relative) * unit[j]
                gx = gz * h[j] / divisor
                lifted = -gx * (relative * (v[j] / divisor) + (real(1) - relative))
                b[j] = lifted
                gv[j] = decay_mem[j] * gu + gx
                ga[j] = decay_adapt[j] * above + (real(1) - late) * beta[j] * height + beta[j] * lifted
            if wants:
                for j in range(n):
                    sums[4, j] += b[j] * a[j]
                    sums[5, j] += b[j]
                    sums[6, j] += b[j] * (v[j] - v_th[j] - beta[j] * a[j]) / unit[j]
            if grad_potentials.size > 0:
                g = grad_potentials[s, t]
                for j in range(n):
                    gv[j] += g[j]


@kernel(ADVANCE)
def advance_adlif(
    pointer: Array, index: Array, value: Array, drive: Array, bias: Array, w_in_t: Array, w_rec_t: Array, first: Array,
    coefficients: Array, v: Array, second: Array, left: Array,
    spike_pointer: Array, spike_index: Array, known: int,
    output: Array, potentials: Array, seconds: Array, currents: Array, arguments: Array, scratch: Array,
    silent: int, steps: int, flags: int,
) -> None:  # fmt: skip
    """S = step(v - v_th);  u = reset(v);  w' = r w + k (a y + b S);  v' = c u + g (cur - w' or w).

    y is u, or v; w' is felt at once, or (late) in the next step.

    Args:
        coefficients: [7, N]: c, g, r, k, a, b, v_th.
        second: w.
        seconds, currents, arguments: w[n], cur[n] and v - v_th, [S, T, N]; empty when not wanted.
        scratch: [4, N], to work in.
    """
    samples, n = v.shape
    decay_mem, gain, decay_adapt, drawn = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    by_v, by_z, v_th = coefficients[4], coefficients[5], coefficients[6]
    zero = real(1) if flags & RESET_ZERO else real(0)
    subtract = real(1) - zero
    late = bool(flags & ADAPTS_LATE)
    unreset = bool(flags & DRIVEN_BY_POTENTIAL)
    cur, back, z, x = scratch[0], scratch[1], scratch[2], scratch[3]
    nobody = scratch[0, 0:0]
    for s in range(samples):
        vs, w, waits = v[s], second[s], left[s] if silent else v[s]
        for t in range(steps):
            row = s * steps + t
            _keep(potentials, s, t, vs)
            _keep(seconds, s, t, w)
            for j in range(n):
                x[j] = vs[j] - v_th[j]
            _keep(arguments, s, t, x)
            if known:
                _mark(spike_pointer, spike_index, row, z)
            else:
                _send(x, waits, silent, row, spike_pointer, spike_index, z, output[s, t] if output.size > 0 else nobody)
            arrive(s, t, row, pointer, index, value, drive, bias, w_in_t, cur)
            if flags & RECURRENT:
                come_back(w_rec_t, spike_index, spike_pointer[row], spike_pointer[row + 1], back, cur)
            _keep(currents, s, t, cur)
            for j in range(n):
                u = vs[j] * (real(1) - zero * z[j]) - subtract * (z[j] * v_th[j])
                later = decay_adapt[j] * w[j] + drawn[j] * (by_v[j] * (vs[j] if unreset else u) + by_z[j] * z[j])
                vs[j] = decay_mem[j] * u + gain[j] * (cur[j] - (w[j] if late else later))
                w[j] = later


@kernel(RETREAT, fast=True)
def retreat_adlif(
    psi: Array, grad_output: Array, grad_potentials: Array, potentials: Array, seconds: Array, currents: Array,
    spike_pointer: Array, spike_index: Array, w_rec: Array, w_rec_t: Array, coefficients: Array,
    grad_v: Array, grad_second: Array, grad_z: Array, delta: Array, grad_coefficients: Array, scratch: Array, chosen: Array,
    steps: int, flags: int,
) -> None:  # fmt: skip
    """The adjoint of ``advance_adlif``.

    Args:
        grad_coefficients: [S, 7, N], in the order of ``coefficients``; empty when not wanted.
    """
    samples, n = grad_v.shape
    decay_mem, gain, decay_adapt, drawn = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    by_v, by_z, v_th = coefficients[4], coefficients[5], coefficients[6]
    zero = real(1) if flags & RESET_ZERO else real(0)
    subtract = real(1) - zero
    late = real(1) if flags & ADAPTS_LATE else real(0)
    unreset = real(1) if flags & DRIVEN_BY_POTENTIAL else real(0)
    attached = real(1) if flags & RESET_ATTACHED else real(0)
    recurrent, wants = w_rec_t.size > 0, grad_coefficients.size > 0
    many = recurrent and mostly(psi)
    later, back, z = scratch[0], scratch[1], scratch[2, 0]
    for t in range(steps - 1, -1, -1):
        for s in range(samples):
            gv, d, b, after = grad_v[s], delta[s, t], back[s], later[s]
            for j in range(n):
                b[j] = 0
                d[j] = gain[j] * gv[j]
                after[j] = d[j]
        if many:
            product(later, w_rec, samples, 0, back)
        for s in range(samples):
            row = s * steps + t
            gv, gw, b, d, h = grad_v[s], grad_second[s], back[s], delta[s, t], psi[s, t]
            v, w, cur = potentials[s, t], seconds[s, t], currents[s, t]
            _mark(spike_pointer, spike_index, row, z)
            if recurrent and not many:
                send_back(d, h, w_rec_t, chosen, b)
            if grad_output.size > 0:
                g = grad_output[s, t]
                for j in range(n):
                    b[j] += g[j]
            if wants:
                sums = grad_coefficients[s]
                for j in range(n):
                    u = v[j] * (real(1) - zero * z[j]) - subtract * (z[j] * v_th[j])
                    y = u + unreset * (v[j] - u)
                    driven = by_v[j] * y + by_z[j] * z[j]
                    felt = w[j] + (real(1) - late) * (decay_adapt[j] * w[j] + drawn[j] * driven - w[j])
                    above = gw[j] - (real(1) - late) * d[j]
                    sums[0, j] += gv[j] * u
                    sums[1, j] += gv[j] * (cur[j] - felt)
                    sums[2, j] += above * w[j]
                    sums[3, j] += above * driven
                    sums[4, j] += above * drawn[j] * y
                    sums[5, j] += above * drawn[j] * z[j]
                    gu = decay_mem[j] * gv[j] + (real(1) - unreset) * above * drawn[j] * by_v[j]
                    sums[6, j] -= subtract * gu * z[j]
            for j in range(n):
                above = gw[j] - (real(1) - late) * d[j]
                pulled = above * drawn[j] * by_v[j]
                gu = decay_mem[j] * gv[j] + (real(1) - unreset) * pulled
                amount = zero * v[j] + subtract * v_th[j]
                gz = b[j] + above * drawn[j] * by_z[j] - attached * gu * amount
                gw[j] = decay_adapt[j] * above - late * d[j]
                b[j] = gz * h[j]
                gv[j] = gu * (real(1) - zero * z[j]) + unreset * pulled + b[j]
            if wants:
                for j in range(n):
                    sums[6, j] -= b[j]
            if grad_potentials.size > 0:
                g = grad_potentials[s, t]
                for j in range(n):
                    gv[j] += g[j]
