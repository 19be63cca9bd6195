"""The kernels: a layer over time in one launch, forward and backward, and one step of it for what does not fit on chip.

All arrays are contiguous: [K, B, T, N] over time, [K, B, N] for states, [K, C, N] for coefficients (``BASE`` of them are the recursion's own;
behind them are the threshold and, for alif, the unit of the surrogate's argument). A program owns BB samples and BN neurons of a member, and keeps their state in registers
for all steps; ``REAL`` is its type, float32 unless everything is float64. What is None is not wanted, and costs nothing.

Recurrent, in one of three ways (``WAY``):

* ``RESIDENT``: a program owns all neurons of its samples (BN >= N), and keeps the matrix on chip for all steps.
* ``STREAMED``: likewise, but blocks of the matrix come from the L2 cache at every step, and the spikes from what was just stored, behind
  a barrier of the program.
* ``SHARED``: several programs share the samples; each owns BN neurons and keeps their columns of the matrix. At every step all of them
  store, count themselves in ``arrivals``, and wait until everybody has: they must run at the same time (a cooperative launch).

What the next step reads from memory is asked for before the product of this one (``_ahead``), because no load moves across a barrier.

What is kept for the backward pass: v[n] always, the second variable and the current where the adjoint reads them. Spikes are
made of v again, which costs less than to read them.
"""

# ruff: noqa: N803, SIM108, PLR0912, PLR0915

# mypy: ignore-errors

import triton
import triton.language as tl

from .._fused import recursion
from .cells import argument, finish, start, update

__all__ = ["RESIDENT", "SHARED", "STREAMED", "advance", "advance_step", "retreat", "retreat_step"]

RESIDENT, STREAMED, SHARED = 0, 1, 2
_RESIDENT, _SHARED = tl.constexpr(RESIDENT), tl.constexpr(SHARED)

_SPIKING = tl.constexpr(recursion.SPIKING)
_CURRENT = tl.constexpr(recursion.CURRENT)
_DELAYED = tl.constexpr(recursion.DELAYED)
_RECURRENT = tl.constexpr(recursion.RECURRENT)


@triton.jit
def _place(batch, steps, features, BB: tl.constexpr, BN: tl.constexpr):
    """Where this program's tile is in [K, B, N], where it begins in [K, B, T, N], and which of it exists."""
    k = tl.program_id(2).to(tl.int64)
    b = (tl.program_id(0) * BB + tl.arange(0, BB))[:, None]
    n = (tl.program_id(1) * BN + tl.arange(0, BN))[None, :]
    mask = (b < batch) & (n < features)
    row = k * batch + b
    return row * features + n, row * steps * features + n, mask


@triton.jit
def _coefficients(
    coefficients, features, COUNT: tl.constexpr, BASE: tl.constexpr, BN: tl.constexpr, REAL: tl.constexpr
):  # fmt: skip
    """Six rows [1, BN] of this program's neurons (those above ``BASE`` repeat the third), the threshold and the unit."""
    k = tl.program_id(2).to(tl.int64)
    n = (tl.program_id(1) * BN + tl.arange(0, BN))[None, :]
    mask = n < features
    at = coefficients + k * COUNT * features + n
    c0 = tl.load(at, mask=mask, other=0.0).to(REAL)
    c1 = tl.load(at + features, mask=mask, other=0.0).to(REAL)
    c2 = tl.load(at + 2 * features, mask=mask, other=0.0).to(REAL)
    c3, c4, c5 = c2, c2, c2
    if BASE > 3:
        c3 = tl.load(at + 3 * features, mask=mask, other=0.0).to(REAL)
        c4 = tl.load(at + 4 * features, mask=mask, other=0.0).to(REAL)
    if BASE > 5:
        c5 = tl.load(at + 5 * features, mask=mask, other=0.0).to(REAL)
    v_th = tl.load(at + BASE * features, mask=mask, other=1.0).to(REAL)
    unit = v_th
    if COUNT > BASE + 1:
        unit = tl.load(at + (BASE + 1) * features, mask=mask, other=1.0).to(REAL)
    return c0, c1, c2, c3, c4, c5, v_th, unit


@triton.jit
def _matrix(w_rec, features, BN: tl.constexpr):
    """The whole matrix of this member, row by row, with zeros behind it."""
    k = tl.program_id(2).to(tl.int64)
    i, j = tl.arange(0, BN)[:, None], tl.arange(0, BN)[None, :]
    at = w_rec + k * features * features + i * features + j
    return tl.load(at, mask=(i < features) & (j < features), other=0.0)


@triton.jit
def _columns(w, features, BI: tl.constexpr, BN: tl.constexpr):
    """This program's columns of the matrix of this member, with zeros behind them."""
    k = tl.program_id(2).to(tl.int64)
    i, j = tl.arange(0, BI)[:, None], (tl.program_id(1) * BN + tl.arange(0, BN))[None, :]
    at = w + k * features * features + i * features + j
    return tl.load(at, mask=(i < features) & (j < features), other=0.0)


@triton.jit
def _arrive(arrivals):
    """Everything that this program has stored is there for those that ``_meet`` afterwards."""
    tl.debug_barrier()
    here = arrivals + tl.program_id(2) * tl.num_programs(0) + tl.program_id(0)
    tl.atomic_add(here, 1, sem="release")


@triton.jit
def _meet(arrivals, turns):
    """Wait until every program of these samples has arrived ``turns`` times; so far none has more often."""
    here = arrivals + tl.program_id(2) * tl.num_programs(0) + tl.program_id(0)
    expected = turns * tl.num_programs(1)
    while tl.atomic_add(here, 0, sem="acquire") < expected:
        pass
    tl.debug_barrier()


@triton.jit
def _gathered(sent, w, batch, steps, features, t, BB: tl.constexpr, BI: tl.constexpr, PRECISION: tl.constexpr):
    """Row t of ``sent`` [K, B, T, N], which others have written, times ``w``; from the L2 cache, as theirs never reaches this L1."""
    k = tl.program_id(2).to(tl.int64)
    b = (tl.program_id(0) * BB + tl.arange(0, BB))[:, None]
    i = tl.arange(0, BI)[None, :]
    rows = sent + ((k * batch + b) * steps + t) * features
    a = tl.load(rows + i, mask=(b < batch) & (i < features), other=0.0, cache_modifier=".cg")
    return tl.dot(a.to(w.dtype), w, input_precision=PRECISION)


@triton.jit
def _streamed(
    sent, w_rec, batch, steps, features, t, BB: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr
):  # fmt: skip
    """Row t of ``sent`` [K, B, T, N] times the matrix, block by block."""
    k = tl.program_id(2).to(tl.int64)
    b = (tl.program_id(0) * BB + tl.arange(0, BB))[:, None]
    j = tl.arange(0, BN)[None, :]
    rows = sent + ((k * batch + b) * steps + t) * features
    matrix = w_rec + k * features * features + j
    total = tl.full((BB, BN), 0.0, tl.float32)
    for q in tl.range(0, features, BK):
        i = q + tl.arange(0, BK)
        a = tl.load(rows + i[None, :], mask=(b < batch) & (i[None, :] < features), other=0.0)
        w = tl.load(matrix + i[:, None] * features, mask=(i[:, None] < features) & (j < features), other=0.0)
        total = tl.dot(a.to(w.dtype), w, total, input_precision=PRECISION)
    return total


@triton.jit
def advance(
    drive, w_rec_t, first, coefficients, v_first, second_first, left_first, v_last, second_last, left_last,
    output, potentials, seconds, currents, lefts, arrivals, batch, steps, features, silent,
    REAL: tl.constexpr, LOOPS: tl.constexpr, FLAGS: tl.constexpr, COUNT: tl.constexpr, BASE: tl.constexpr, WAY: tl.constexpr,
    PRECISION: tl.constexpr, BB: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """All steps: output n from state n, what arrives, state n + 1.

    Args:
        w_rec_t: [K, N, N], row: from, column: to.
        arrivals: zeros, one for each group of programs that share samples; None when none do.
        BK: rows of the matrix at once; all of them where it stays on chip.
        first: what arrives by w_rec at step 0 when spikes travel one step longer, [K, B, N].
        silent: steps without spikes behind each spike.
        potentials, seconds, currents, lefts: v[n], the second variable, cur[n] and the steps without spikes that are left.
    """
    at, rows, mask = _place(batch, steps, features, BB, BN)
    c0, c1, c2, c3, c4, c5, v_th, unit = _coefficients(coefficients, features, COUNT, BASE, BN, REAL)
    v = tl.load(v_first + at, mask=mask, other=0.0).to(REAL)
    second = v
    if second_first is not None:
        second = tl.load(second_first + at, mask=mask, other=0.0).to(REAL)
    left = v
    if left_first is not None:
        left = tl.load(left_first + at, mask=mask, other=0.0).to(REAL)
    sent = tl.full((BB, BN), 0.0, REAL)
    ahead = sent
    if _RECURRENT & FLAGS:
        if WAY == _RESIDENT:
            w = _matrix(w_rec_t, features, BN)
        elif WAY == _SHARED:
            w = _columns(w_rec_t, features, BK, BN)
        ahead = tl.load(drive + rows, mask=mask, other=0.0).to(REAL)
    for t in tl.range(0, steps, num_stages=STAGES):
        here = rows + t * features
        if potentials is not None:
            tl.store(potentials + here, v, mask=mask)
        if seconds is not None:
            tl.store(seconds + here, second, mask=mask)
        if _RECURRENT & FLAGS:
            cur = ahead
        else:
            cur = tl.load(drive + here, mask=mask, other=0.0).to(REAL)
        z = v
        if _SPIKING & FLAGS:
            z = (argument(v, second, c4, v_th, unit, LOOPS, FLAGS) > 0.0).to(REAL)
            if left_first is not None:
                if lefts is not None:
                    tl.store(lefts + here, left, mask=mask)
                z = z * (left <= 0.0).to(REAL)
                left = tl.maximum(left - 1.0, 0.0) + silent * z
        tl.store(output + here, z, mask=mask)
        if _RECURRENT & FLAGS:
            if WAY == _SHARED:
                if _DELAYED & FLAGS:
                    _meet(arrivals, t)  # before it counts itself again: nobody may be two turns ahead of another
                _arrive(arrivals)
            ahead = tl.load(drive + rows + tl.minimum(t + 1, steps - 1) * features, mask=mask, other=0.0).to(REAL)
            if WAY == _RESIDENT:
                if _DELAYED & FLAGS:
                    arrived = tl.dot(sent.to(w.dtype), w, input_precision=PRECISION).to(REAL)
                    sent = z
                else:
                    arrived = tl.dot(z.to(w.dtype), w, input_precision=PRECISION).to(REAL)
            elif WAY == _SHARED:
                if _DELAYED & FLAGS:
                    # At step 0 its own row is read, and not used.
                    before = tl.maximum(t - 1, 0)
                    arrived = _gathered(output, w, batch, steps, features, before, BB, BK, PRECISION).to(REAL)
                else:
                    _meet(arrivals, t + 1)
                    arrived = _gathered(output, w, batch, steps, features, t, BB, BK, PRECISION).to(REAL)
            else:
                tl.debug_barrier()
                if _DELAYED & FLAGS:
                    before = tl.maximum(t - 1, 0)
                    arrived = _streamed(output, w_rec_t, batch, steps, features, before, BB, BN, BK, PRECISION).to(REAL)
                else:
                    arrived = _streamed(output, w_rec_t, batch, steps, features, t, BB, BN, BK, PRECISION).to(REAL)
            if _DELAYED & FLAGS:
                at_first = tl.load(first + at, mask=mask & (t == 0), other=0.0).to(REAL)
                arrived = tl.where(t == 0, at_first, arrived)
            cur = cur + arrived
        if currents is not None:
            tl.store(currents + here, cur, mask=mask)
        v, second = update(v, second, cur, z, c0, c1, c2, c3, c4, c5, v_th, LOOPS, FLAGS)
    tl.store(v_last + at, v, mask=mask)
    if second_last is not None:
        tl.store(second_last + at, second, mask=mask)
    if left_last is not None:
        tl.store(left_last + at, left, mask=mask)


@triton.jit
def _kept(potentials, seconds, currents, lefts, grad_output, here, mask, REAL: tl.constexpr):
    """v, the second variable, cur, the steps without spikes that are left and the gradient from above; v stands for what is not there."""
    v = tl.full(mask.shape, 0.0, REAL)
    if potentials is not None:
        v = tl.load(potentials + here, mask=mask, other=0.0).to(REAL)
    second, cur, left, above = v, v, v, tl.full(mask.shape, 0.0, REAL)
    if seconds is not None:
        second = tl.load(seconds + here, mask=mask, other=0.0).to(REAL)
    if currents is not None:
        cur = tl.load(currents + here, mask=mask, other=0.0).to(REAL)
    if lefts is not None:
        left = tl.load(lefts + here, mask=mask, other=0.0).to(REAL)
    if grad_output is not None:
        above = tl.load(grad_output + here, mask=mask, other=0.0).to(REAL)
    return v, second, cur, left, above


@triton.jit
def _spiked(v, second, left, lefts, c4, v_th, unit, REAL: tl.constexpr, LOOPS: tl.constexpr, FLAGS: tl.constexpr):
    """The surrogate's argument, the spikes of a step, and whether there may be one."""
    x, z, may = v, v, v
    if _SPIKING & FLAGS:
        x = argument(v, second, c4, v_th, unit, LOOPS, FLAGS)
        z = (x > 0.0).to(REAL)
        if lefts is not None:
            may = (left <= 0.0).to(REAL)
            z = z * may
    return x, z, may


@triton.jit
def _slope(x, may, psi, lefts, here, mask, parameters, H: tl.constexpr, CUT: tl.constexpr, REAL: tl.constexpr):
    """h of the surrogate's argument: inlined, or read where only torch knows it; 0 in a refractory period."""
    if H is not None:
        at = parameters + 3 * tl.program_id(2)
        h = H(x, tl.load(at), tl.load(at + 1))
        if CUT:
            h = tl.where(tl.abs(x) >= tl.load(at + 2), 0.0, h)
    else:
        h = tl.load(psi + here, mask=mask, other=0.0).to(REAL)
    if lefts is not None:
        h = h * may
    return h


@triton.jit
def retreat(
    w_rec, coefficients, parameters, potentials, seconds, currents, lefts, psi,
    grad_output, grad_potentials, grad_z, grad_v, grad_second, grad_v_first, grad_second_first, delta, sums,
    arrivals, batch, steps, features,
    H: tl.constexpr, CUT: tl.constexpr, REAL: tl.constexpr, LOOPS: tl.constexpr, FLAGS: tl.constexpr,
    COUNT: tl.constexpr, BASE: tl.constexpr, WAY: tl.constexpr, PRECISION: tl.constexpr, BB: tl.constexpr, BN: tl.constexpr,
    BK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """The adjoint of ``advance``, last step first.

    Args:
        w_rec: [K, N, N], row: to, column: from; None when nothing flows back through it.
        parameters: [K, 3] of the surrogate: two of ``H``, and where it is cut.
        psi: h(argument) [K, B, T, N] where ``H`` is None.
        grad_z: of the last state's spikes when they travel one step longer.
        grad_v, grad_second: of the last state. grad_v_first, grad_second_first: of the first; written.
        delta: dL/dcur [K, B, T, N]; written.
        sums: [K, B, C, N], of the coefficients, summed over time; added to what is there.
        arrivals, BK: as in ``advance``.
    """
    at, rows, mask = _place(batch, steps, features, BB, BN)
    c0, c1, c2, c3, c4, c5, v_th, unit = _coefficients(coefficients, features, COUNT, BASE, BN, REAL)
    gv = tl.full((BB, BN), 0.0, REAL)
    gs = gv
    if grad_v is not None:
        gv = tl.load(grad_v + at, mask=mask, other=0.0).to(REAL)
    if grad_second is not None:
        gs = tl.load(grad_second + at, mask=mask, other=0.0).to(REAL)
    s0 = tl.full((BB, BN), 0.0, REAL)
    s1, s2, s3, s4, s5, s_th, s_unit, later = s0, s0, s0, s0, s0, s0, s0, s0
    if w_rec is not None:
        if WAY == _RESIDENT:
            w = _matrix(w_rec, features, BN)
        elif WAY == _SHARED:
            w = _columns(w_rec, features, BK, BN)
        v_ahead, second_ahead, cur_ahead, left_ahead, above_ahead = _kept(
            potentials, seconds, currents, lefts, grad_output, rows + (steps - 1) * features, mask, REAL
        )
    for back in tl.range(0, steps, num_stages=STAGES):
        t = steps - 1 - back
        here = rows + t * features
        if w_rec is not None:
            v, second, cur, left, above = v_ahead, second_ahead, cur_ahead, left_ahead, above_ahead
        else:
            v, second, cur, left, above = _kept(potentials, seconds, currents, lefts, grad_output, here, mask, REAL)
        x, z, may = _spiked(v, second, left, lefts, c4, v_th, unit, REAL, LOOPS, FLAGS)
        d = start(gv, gs, z, c1, c2, LOOPS, FLAGS)
        tl.store(delta + here, d, mask=mask)
        gz = tl.full((BB, BN), 0.0, REAL)
        if w_rec is not None:
            if WAY == _SHARED:
                if _DELAYED & FLAGS:
                    _meet(arrivals, back)
                _arrive(arrivals)
            v_ahead, second_ahead, cur_ahead, left_ahead, above_ahead = _kept(
                potentials, seconds, currents, lefts, grad_output, rows + tl.maximum(t - 1, 0) * features, mask, REAL
            )
            if WAY == _RESIDENT:
                if _DELAYED & FLAGS:
                    gz = tl.dot(later.to(w.dtype), w, input_precision=PRECISION).to(REAL)
                    later = d
                else:
                    gz = tl.dot(d.to(w.dtype), w, input_precision=PRECISION).to(REAL)
            elif WAY == _SHARED:
                if _DELAYED & FLAGS:
                    behind = tl.minimum(t + 1, steps - 1)
                    gz = _gathered(delta, w, batch, steps, features, behind, BB, BK, PRECISION).to(REAL)
                    gz = tl.where(t == steps - 1, 0.0, gz)
                else:
                    _meet(arrivals, back + 1)
                    gz = _gathered(delta, w, batch, steps, features, t, BB, BK, PRECISION).to(REAL)
            else:
                tl.debug_barrier()
                if _DELAYED & FLAGS:
                    behind = tl.minimum(t + 1, steps - 1)
                    gz = _streamed(delta, w_rec, batch, steps, features, behind, BB, BN, BK, PRECISION).to(REAL)
                    gz = tl.where(t == steps - 1, 0.0, gz)
                else:
                    gz = _streamed(delta, w_rec, batch, steps, features, t, BB, BN, BK, PRECISION).to(REAL)
        if grad_z is not None:
            gz = gz + tl.load(grad_z + at, mask=mask & (t == steps - 1), other=0.0).to(REAL)
        gz = gz + above
        h = v
        if _SPIKING & FLAGS:
            h = _slope(x, may, psi, lefts, here, mask, parameters, H, CUT, REAL)
        gv, gs, e0, e1, e2, e3, e4, e5, e_th, e_unit = finish(
            gv, gs, d, gz, h, v, second, cur, z, c0, c1, c2, c3, c4, c5, v_th, unit, LOOPS, FLAGS
        )
        if grad_potentials is not None:
            gv = gv + tl.load(grad_potentials + here, mask=mask, other=0.0).to(REAL)
        if sums is not None:
            s0, s1, s2, s3, s4, s5 = s0 + e0, s1 + e1, s2 + e2, s3 + e3, s4 + e4, s5 + e5
            s_th, s_unit = s_th + e_th, s_unit + e_unit
    tl.store(grad_v_first + at, gv, mask=mask)
    if grad_second_first is not None:
        tl.store(grad_second_first + at, gs, mask=mask)
    if sums is not None:
        _add_sums(sums, s0, s1, s2, s3, s4, s5, s_th, s_unit, batch, features, mask, COUNT, BASE, BB, BN)


@triton.jit
def advance_step(
    drive, arrived, coefficients, v_now, second_now, left_now, output, potentials, seconds, currents, lefts,
    t, batch, steps, features, silent,
    UPDATE: tl.constexpr, READ: tl.constexpr, REAL: tl.constexpr, LOOPS: tl.constexpr, FLAGS: tl.constexpr,
    COUNT: tl.constexpr, BASE: tl.constexpr, BB: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Finish step t - 1 (``UPDATE``) with what its spikes brought, then read the output of step t (``READ``).

    Between two of these calls the caller multiplies the spikes with w_rec. The state is overwritten.
    """
    at, rows, mask = _place(batch, steps, features, BB, BN)
    c0, c1, c2, c3, c4, c5, v_th, unit = _coefficients(coefficients, features, COUNT, BASE, BN, REAL)
    v = tl.load(v_now + at, mask=mask, other=0.0).to(REAL)
    second = v
    if second_now is not None:
        second = tl.load(second_now + at, mask=mask, other=0.0).to(REAL)
    if UPDATE:
        before = rows + (t - 1) * features
        z = tl.load(output + before, mask=mask, other=0.0).to(REAL)
        cur = tl.load(drive + before, mask=mask, other=0.0).to(REAL)
        cur = cur + tl.load(arrived + at, mask=mask, other=0.0).to(REAL)
        if currents is not None:
            tl.store(currents + before, cur, mask=mask)
        v, second = update(v, second, cur, z, c0, c1, c2, c3, c4, c5, v_th, LOOPS, FLAGS)
        tl.store(v_now + at, v, mask=mask)
        if second_now is not None:
            tl.store(second_now + at, second, mask=mask)
    if READ:
        here = rows + t * features
        if potentials is not None:
            tl.store(potentials + here, v, mask=mask)
        if seconds is not None:
            tl.store(seconds + here, second, mask=mask)
        z = (argument(v, second, c4, v_th, unit, LOOPS, FLAGS) > 0.0).to(REAL)
        if left_now is not None:
            left = tl.load(left_now + at, mask=mask, other=0.0).to(REAL)
            if lefts is not None:
                tl.store(lefts + here, left, mask=mask)
            z = z * (left <= 0.0).to(REAL)
            tl.store(left_now + at, tl.maximum(left - 1.0, 0.0) + silent * z, mask=mask)
        tl.store(output + here, z, mask=mask)


@triton.jit
def retreat_step(
    arrived, coefficients, parameters, potentials, seconds, currents, lefts, psi,
    grad_output, grad_potentials, grad_v, grad_second, delta, sums, t, batch, steps, features,
    FINISH: tl.constexpr, START: tl.constexpr, H: tl.constexpr, CUT: tl.constexpr, REAL: tl.constexpr,
    LOOPS: tl.constexpr, FLAGS: tl.constexpr, COUNT: tl.constexpr, BASE: tl.constexpr, BB: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Finish step t + 1 (``FINISH``) with what came back through w_rec, then start step t (``START``).

    ``grad_v``, ``grad_second`` and ``sums`` are overwritten; ``arrived`` [K, B, N], or None, comes to the spikes of step t + 1.
    """
    at, rows, mask = _place(batch, steps, features, BB, BN)
    c0, c1, c2, c3, c4, c5, v_th, unit = _coefficients(coefficients, features, COUNT, BASE, BN, REAL)
    gv = tl.load(grad_v + at, mask=mask, other=0.0).to(REAL)
    gs = gv
    if grad_second is not None:
        gs = tl.load(grad_second + at, mask=mask, other=0.0).to(REAL)
    if FINISH:
        behind = rows + (t + 1) * features
        v, second, cur, left, above = _kept(potentials, seconds, currents, lefts, grad_output, behind, mask, REAL)
        x, z, may = _spiked(v, second, left, lefts, c4, v_th, unit, REAL, LOOPS, FLAGS)
        d = start(gv, gs, z, c1, c2, LOOPS, FLAGS)
        gz = tl.full((BB, BN), 0.0, REAL)
        if arrived is not None:
            gz = gz + tl.load(arrived + at, mask=mask, other=0.0).to(REAL)
        gz = gz + above
        h = _slope(x, may, psi, lefts, behind, mask, parameters, H, CUT, REAL)
        gv, gs, e0, e1, e2, e3, e4, e5, e_th, e_unit = finish(
            gv, gs, d, gz, h, v, second, cur, z, c0, c1, c2, c3, c4, c5, v_th, unit, LOOPS, FLAGS
        )
        if grad_potentials is not None:
            gv = gv + tl.load(grad_potentials + behind, mask=mask, other=0.0).to(REAL)
        tl.store(grad_v + at, gv, mask=mask)
        if grad_second is not None:
            tl.store(grad_second + at, gs, mask=mask)
        if sums is not None:
            _add_sums(sums, e0, e1, e2, e3, e4, e5, e_th, e_unit, batch, features, mask, COUNT, BASE, BB, BN)
    if START:
        here = rows + t * features
        v, second, _, left, _ = _kept(potentials, seconds, None, lefts, None, here, mask, REAL)
        _, z, _ = _spiked(v, second, left, lefts, c4, v_th, unit, REAL, LOOPS, FLAGS)
        tl.store(delta + here, start(gv, gs, z, c1, c2, LOOPS, FLAGS), mask=mask)


@triton.jit
def _add_sums(
    sums, e0, e1, e2, e3, e4, e5, e_th, e_unit, batch, features, mask,
    COUNT: tl.constexpr, BASE: tl.constexpr, BB: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    k = tl.program_id(2).to(tl.int64)
    b = (tl.program_id(0) * BB + tl.arange(0, BB))[:, None]
    n = (tl.program_id(1) * BN + tl.arange(0, BN))[None, :]
    to = sums + (k * batch + b) * COUNT * features + n
    _add(to, e0, mask)
    _add(to + features, e1, mask)
    _add(to + 2 * features, e2, mask)
    if BASE > 3:
        _add(to + 3 * features, e3, mask)
        _add(to + 4 * features, e4, mask)
    if BASE > 5:
        _add(to + 5 * features, e5, mask)
    _add(to + BASE * features, e_th, mask)
    if COUNT > BASE + 1:
        _add(to + (BASE + 1) * features, e_unit, mask)


@triton.jit
def _add(to, e, mask):
    tl.store(to, tl.load(to, mask=mask, other=0.0) + e, mask=mask)
