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

from .._fused.recursion import CURRENT, DELAYED, READ_MAX, READ_SUM, RECURRENT, RESET_ATTACHED, RESET_ZERO, SPIKING
from .compiling import helper, kernel
from .integrator import FEWEST, MOST, integrate, integrate_back
from .vectors import (
    above,
    add_to_rows,
    count_nonzero,
    dots,
    moved_by_events,
    nonzero,
    nonzero_and_other,
    product,
    rowwise,
    sum_rows,
    turned,
)

__all__ = ["ADVANCE", "RETREAT", "add", "advance", "arrive", "come_back", "count_some", "events", "mostly", "not_finite", "pack", "project",
           "ready", "rest", "retreat", "send_back", "send_on", "silence", "turn", "unpack", "weight_gradient"]  # fmt: skip

Array = Any
real: Any = float
"""Stands for the element type; set when a kernel is compiled."""


@kernel("int64(real[::1])")
def not_finite(x: Array) -> int:
    """Whether any of the numbers is not finite: that and nothing else is not zero when it is taken from itself."""
    found = False
    for j in range(x.size):
        found |= x[j] - x[j] != 0
    return int(found)


@kernel("void(real[:,::1], real[:,::1])")
def add(x: Array, out: Array) -> None:
    """out += x."""
    for r in range(x.shape[0]):
        _sum(out[r], out[r], x[r])


@kernel("int64(real[:,::1], int64)")
def count_some(x: Array, stride: int) -> int:
    """How many elements of every ``stride``-th row are not zero."""
    count = 0
    for r in range(0, x.shape[0], stride):
        count += count_nonzero(x[r])
    return count


@kernel("int64(real[:,::1], int32[::1], real[::1], int64[::1])")
def events(x: Array, index: Array, value: Array, pointer: Array) -> int:
    """Elements of x [rows, K] that are not zero, row by row; returns how many of them are not one.

    Args:
        x: a chunk.
        index: room for as many as there are elements.
        value: room for as many values; written when some are not one.
        pointer: [rows + 1].
    """
    found, other, valued = 0, 0, 0
    pointer[0] = 0
    for r in range(x.shape[0]):
        pointer[r + 1] = other
        found = nonzero_and_other(x[r], index, found, pointer[r + 1 :])
        other = pointer[r + 1]
        pointer[r + 1] = found
        if other > 0:
            for k in range(valued, r + 1):  # also of the rows before
                row = x[k]
                for e in range(pointer[k], pointer[k + 1]):
                    value[e] = row[index[e]]
            valued = r + 1
    return other


@kernel("void(real[:,::1], real[:,::1])")
def turn(x: Array, out: Array) -> None:
    """out = x^T."""
    turned(x, out)


@rowwise()
def _copied(x: Any) -> Any:
    return x


@rowwise()
def _sum(x: Any, y: Any) -> Any:
    return x + y


@rowwise()
def _difference(x: Any, y: Any) -> Any:
    return x - y


@rowwise()
def _product(x: Any, y: Any) -> Any:
    return x * y


@rowwise()
def _mixed(a: Any, x: Any, b: Any, y: Any) -> Any:
    return a * x + b * y


@rowwise(2)
def _moved(b: Any, v: Any, g: Any, i: Any, a: Any, cur: Any) -> Any:
    return b * v + g * i, a * i + cur


@rowwise(2)
def _moved_by_both(b: Any, v: Any, g: Any, i: Any, a: Any, cur: Any, back: Any) -> Any:
    return b * v + g * i, a * i + (cur + back)


@rowwise(2)
def _taken_back(a: Any, i: Any, g: Any, v: Any) -> Any:
    return i, a * i + g * v


@rowwise()
def _earlier(a: Any, x: Any, b: Any, c: Any, h: Any) -> Any:
    return a * x + (b + c) * h


@rowwise()
def _added(total: Any, x: Any, y: Any) -> Any:
    return total + x * y


@rowwise()
def _lowered(total: Any, x: Any, y: Any) -> Any:
    return total - x * y


@helper
def _gather_values(rows: Array, index: Array, value: Array, lo: int, hi: int, out: Array) -> None:
    """out += value times row, for each event."""
    for e in range(lo, hi):
        r0, y = rows[index[e]], value[e]
        for j in range(out.shape[0]):
            out[j] += y * r0[j]


@helper
def _project(row: int, pointer: Array, index: Array, value: Array, bias: Array, w_in_t: Array, out: Array) -> None:
    """out = W in + bias from the events of a row."""
    if value.size == 0:
        sum_rows(w_in_t, index, pointer[row], pointer[row + 1], out)
    else:
        _copied(out, real(0))
        _gather_values(w_in_t, index, value, pointer[row], pointer[row + 1], out)
    if bias.size > 0:
        _sum(out, out, bias)


@kernel("void(int64[::1], int32[::1], real[::1], real[::1], real[:,::1], int64, real[:,::1])")
def project(
    pointer: Array, index: Array, value: Array, bias: Array, w_in_t: Array, lo: int, drive: Array
) -> None:  # fmt: skip
    """drive[:, lo : lo + n] = W in + bias [S T, N], of n neurons whose weights [K, n] the cache holds."""
    n = w_in_t.shape[1]
    own = bias[lo : lo + n] if bias.size > 0 else bias
    for row in range(drive.shape[0]):
        _project(row, pointer, index, value, own, w_in_t, drive[row, lo : lo + n])


@helper
def arrive(
    s: int, t: int, row: int, pointer: Array, index: Array, value: Array, drive: Array, bias: Array, w_in_t: Array, out: Array
) -> None:  # fmt: skip
    """out = W in + bias at step t of sample s: copied when the product is ready, otherwise gathered."""
    if drive.size > 0:
        _copied(out, drive[s, t])
        return
    _project(row, pointer, index, value, bias, w_in_t, out)


@helper
def come_back(w_rec_t: Array, index: Array, lo: int, hi: int, back: Array, out: Array) -> None:
    """out += V S, summed by itself first, as the reference does; ``back`` is to work in."""
    if lo == hi:
        return
    sum_rows(w_rec_t, index, lo, hi, back)
    _sum(out, out, back)


@helper
def ready(index: Array, lo: int, hi: int, left: Array) -> int:
    """Keep those of ``index[lo:hi]`` that are not in their refractory period; returns where the list ends now."""
    kept = lo
    for e in range(lo, hi):
        index[kept] = index[e]
        kept += left[index[e]] <= 0
    return kept


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
    "real[:,::1], real[:,::1], real[:,::1], real[:,::1], int64[::1], int32[::1], int64,"
    "real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,::1], int64, int64, int64)"
)
"""Signature of every ``advance``."""


@kernel(ADVANCE)
def advance(
    pointer: Array, index: Array, value: Array, drive: Array, bias: Array, w_in_t: Array, w_rec_t: Array, first: Array,
    coefficients: Array, v: Array, second: Array, left: Array,
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
        coefficients: [4, N]: a, b, g and v_th.
        v, second, left: [S, N], the state: potential, i, and steps of the refractory period; overwritten with the last one.
        spike_pointer, spike_index: the events of the layer itself; written, or read when ``known``.
        output, potentials, currents: S[n] (or v[n]), v[n] and x[n], [S, T, N]; empty when not wanted.
        seconds: not used here.
        arguments: [S, 2, N] when an integrator is read over time: sum (of zeros) or maximum (of -inf), and its step; or empty.
        scratch: [2, N], to work in.
        silent: R, steps of the refractory period.
    """
    samples = v.shape[0]
    spiking, has_current, to_zero = flags & SPIKING, flags & CURRENT, flags & RESET_ZERO
    recurrent, delayed = flags & RECURRENT, flags & DELAYED
    decay_syn, decay_mem, gain, v_th = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    if not spiking and not recurrent and value.size == 0 and drive.size == 0 and FEWEST <= v.shape[1] <= MOST:
        integrate(pointer, index, w_in_t, bias, coefficients, v, second, output, potentials, currents, arguments,
                  samples, steps, flags)  # fmt: skip
        return
    cur, back = scratch[0], scratch[1]
    events_only = value.size == 0 and drive.size == 0
    found = 0
    for s in range(samples):
        vs, cs = v[s], second[s] if has_current else v[s]
        waits = left[s] if silent else v[s]
        for t in range(steps):
            row = s * steps + t
            at_once = events_only and not (delayed and t == 0)
            if potentials.size > 0 and not at_once:
                _copied(potentials[s, t], vs)
            if not spiking:
                if output.size > 0:
                    _copied(output[s, t], vs)
                if arguments.size > 0:
                    _read(vs, t, arguments[s, 0], arguments[s, 1], flags)
            elif known:
                found = spike_pointer[row + 1]
            else:
                found = above(vs, v_th, spike_index, found)
                if silent:
                    found = ready(spike_index, spike_pointer[row], found, waits)
                spike_pointer[row + 1] = found
                if output.size > 0:
                    o = output[s, t]
                    _copied(o, real(0))
                    for e in range(spike_pointer[row], found):
                        o[spike_index[e]] = real(1)
                rest(waits, silent)
            lo, hi = 0, 0  # of the spikes that come back
            if recurrent and not (delayed and t == 0):
                sender = row - 1 if delayed else row
                lo, hi = spike_pointer[sender], spike_pointer[sender + 1]
            if not at_once:
                arrive(s, t, row, pointer, index, value, drive, bias, w_in_t, cur)
                if recurrent and delayed and t == 0:
                    _sum(cur, cur, first[s])
            if at_once:
                moved_by_events(coefficients, v, second, s, has_current, w_in_t, index, pointer[row], pointer[row + 1],
                                bias, w_rec_t, spike_index, lo, hi, potentials, currents, row)  # fmt: skip
            elif has_current:
                if currents.size > 0:
                    _copied(currents[s, t], cs)
                if lo < hi:
                    sum_rows(w_rec_t, spike_index, lo, hi, back)
                    _moved_by_both(vs, cs, decay_mem, vs, gain, cs, decay_syn, cur, back)
                else:
                    _moved(vs, cs, decay_mem, vs, gain, cs, decay_syn, cur)
            else:
                come_back(w_rec_t, spike_index, lo, hi, back, cur)
                if currents.size > 0:
                    _copied(currents[s, t], cur)
                _mixed(vs, decay_mem, vs, gain, cur)
            if spiking:
                for e in range(spike_pointer[row], found):
                    k = spike_index[e]
                    if to_zero:
                        vs[k] = vs[k] * real(0)
                    else:
                        vs[k] = vs[k] - v_th[k]
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


_BLOCK = 256


@kernel("int64(real[::1], int64[::1], uint8[::1], real[::1], int32[::1])")
def pack(x: Array, pointer: Array, place: Array, value: Array, chosen: Array) -> int:
    """Elements of x that are not zero, by blocks of 256, and their places in it; returns how many, or -1 when the room is short.

    Args:
        x: any length.
        pointer: one more than there are blocks.
        place, value: room for as many as are worth it.
        chosen: [256], to work in.
    """
    found = 0
    pointer[0] = 0
    for k in range(pointer.size - 1):
        block = x[_BLOCK * k : _BLOCK * (k + 1)]
        count = nonzero(block, chosen, 0)
        if found + count > value.size:
            return -1
        for e in range(count):
            place[found + e] = chosen[e]
            value[found + e] = block[chosen[e]]
        found += count
        pointer[k + 1] = found
    return found


@kernel("void(int64[::1], uint8[::1], real[::1], real[::1])")
def unpack(pointer: Array, place: Array, value: Array, x: Array) -> None:
    """x again, from what ``pack`` made of it."""
    _copied(x, real(0))
    for k in range(pointer.size - 1):
        block = x[_BLOCK * k : _BLOCK * (k + 1)]
        for e in range(pointer[k], pointer[k + 1]):
            block[place[e]] = value[e]


@kernel("void(real[:,::1], real[:,::1], real[:,::1])", fast=True)
def send_on(delta: Array, rows: Array, out: Array) -> None:
    """out = delta @ rows, where a row of delta is short: products of BLAS are made for long ones."""
    product(delta, rows, delta.shape[0], 1, out)


RETREAT = (
    "void(real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], real[:,:,::1], int64[::1],"
    "int32[::1], real[:,::1], real[:,::1], real[:,::1], real[:,::1], real[:,::1], real[:,::1],"
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
            active += count_nonzero(psi[s, t])
    return bool(active > 0.55 * (samples * steps * n))


@helper
def send_back(delta: Array, h: Array, w_rec_t: Array, chosen: Array, out: Array) -> None:
    """out = V^T delta of one sample, where h is not zero."""
    count = nonzero(h, chosen, 0)
    if count > 0:
        for k in range(count, count + 3):  # the last one again, so that four at a time come out even
            chosen[k] = chosen[count - 1]
        dots(w_rec_t, chosen, (count + 3) // 4 * 4, delta, out)


@kernel(RETREAT, fast=True)
def retreat(
    psi: Array, grad_output: Array, grad_potentials: Array, potentials: Array, seconds: Array, currents: Array,
    spike_pointer: Array, spike_index: Array, w_rec: Array, w_rec_t: Array, coefficients: Array,
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
        grad_coefficients: [S, 4, N]: of a, b, g and v_th, summed over time; empty when not wanted.
        scratch, chosen: [3, S, N] of zeros and [N + 3], to work in.
    """
    samples = grad_v.shape[0]
    spiking, has_current, to_zero = flags & SPIKING, flags & CURRENT, flags & RESET_ZERO
    attached, delayed = flags & RESET_ATTACHED, flags & DELAYED
    recurrent = w_rec_t.size > 0
    wants_decays = grad_coefficients.size > 0
    decay_syn, decay_mem, gain, v_th = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    if not spiking and not wants_decays and FEWEST <= grad_v.shape[1] <= MOST:
        integrate_back(
            psi, grad_output, grad_potentials, coefficients, grad_v, grad_second, delta, samples, steps, has_current
        )
        return
    if not spiking:
        _retreat_integrator(psi, grad_output, grad_potentials, potentials, currents, decay_syn, decay_mem, gain, grad_v,
                            grad_second, delta, grad_coefficients, steps, has_current)  # fmt: skip
        return
    # dL/dcur of the step at which these spikes arrived; what comes back through w_rec; the reset's share of dL/dS
    later, back, kept = scratch[0], scratch[1], scratch[2]
    many = recurrent and mostly(psi)
    together = samples if many else 1  # in one product; otherwise what a sample works with stays close by
    for begin in range(0, samples, together):
        for t in range(steps - 1, -1, -1):
            for s in range(begin, begin + together):
                row = s * steps + t
                gv, b, d, after = grad_v[s], back[s], delta[s, t], later[s]
                # What comes to S[n] beside the recurrent part, and dL/dcur; then grad_v holds dL/du.
                if many or delayed or not recurrent:
                    _copied(b, real(0))
                if delayed and t + 1 < steps:
                    _copied(after, delta[s, t + 1])
                elif delayed:
                    _copied(after, real(0))
                if attached:
                    extra = kept[s]
                    if to_zero:
                        _mixed(extra, decay_mem, potentials[s, t], gain, currents[s, t])
                        _product(extra, extra, gv)
                    else:
                        _product(extra, gv, v_th)
                if to_zero:
                    for e in range(spike_pointer[row], spike_pointer[row + 1]):
                        gv[spike_index[e]] *= real(0)
                if has_current:
                    _taken_back(d, grad_second[s], decay_syn, grad_second[s], gain, gv)
                else:
                    _product(d, gain, gv)
                if many and not delayed:
                    _copied(after, d)
            if many:
                product(later, w_rec, samples, 0, back)
            for s in range(begin, begin + together):
                gv, b, d, h = grad_v[s], back[s], delta[s, t], psi[s, t]
                if recurrent and not many:
                    send_back(later[s] if delayed else d, h, w_rec_t, chosen, b)
                if delayed and t == steps - 1:
                    _sum(b, b, grad_z[s])
                if attached:
                    _difference(b, b, kept[s])
                if wants_decays:
                    a_sum, b_sum, g_sum = grad_coefficients[s, 0], grad_coefficients[s, 1], grad_coefficients[s, 2]
                    x = currents[s, t]
                    _added(b_sum, b_sum, gv, potentials[s, t])
                    _added(g_sum, g_sum, gv, x)
                    if has_current:
                        _added(a_sum, a_sum, d, x)
                    lowered = grad_coefficients[s, 3]
                    _lowered(lowered, lowered, b, h)
                    if grad_output.size > 0:
                        _lowered(lowered, lowered, grad_output[s, t], h)
                    if not to_zero:
                        for e in range(spike_pointer[s * steps + t], spike_pointer[s * steps + t + 1]):
                            lowered[spike_index[e]] -= gv[spike_index[e]]
                if grad_output.size > 0:
                    _earlier(gv, decay_mem, gv, b, grad_output[s, t], h)
                else:
                    _mixed(gv, decay_mem, gv, b, h)
                if grad_potentials.size > 0:
                    _sum(gv, gv, grad_potentials[s, t])


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
                x, sums = currents[s, t], grad_decays[s]
                _added(sums[1], sums[1], gv, potentials[s, t])
                _added(sums[2], sums[2], gv, x)
                if has_current:
                    _added(sums[0], sums[0], gi, x)
            if has_current:
                _copied(d, gi)
                _mixed(gi, decay_syn, gi, gain, gv)
            else:
                _product(d, gain, gv)
            _product(gv, decay_mem, gv)
            if read_back.size > 0:
                g, at = read_back[s, 0], read_back[s, 1]
                for j in range(n):
                    gv[j] += g[j] if (at[j] < 0) | (at[j] == t) else real(0)
            if grad_output.size > 0:
                _sum(gv, gv, grad_output[s, t])
            if grad_potentials.size > 0:
                _sum(gv, gv, grad_potentials[s, t])


@kernel("void(real[:,:,::1], int64[::1], int32[::1], real[::1], int64, int64, int64, int64, real[:,::1])")
def weight_gradient(
    delta: Array, pointer: Array, index: Array, value: Array, delayed: int, lo: int, hi: int, at: int, grad_t: Array
) -> None:
    """grad_t[k, at : at + hi - lo] += delta[s, t, lo:hi] (times the value) for every event k of step t (t - 1 when ``delayed``)."""
    samples, steps, _ = delta.shape
    for s in range(samples):
        for t in range(1 if delayed else 0, steps):
            row = s * steps + t - (1 if delayed else 0)
            d = delta[s, t, lo:hi]
            if value.size == 0:
                add_to_rows(d, index, pointer[row], pointer[row + 1], grad_t, at)
            else:
                for e in range(pointer[row], pointer[row + 1]):
                    g, y = grad_t[index[e], at : at + hi - lo], value[e]
                    for j in range(hi - lo):
                        g[j] += y * d[j]
