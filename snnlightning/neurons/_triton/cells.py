"""One step of every recursion, for a tile of samples and neurons in registers; what the kernels are made of.

``LOOPS`` says which recursion, ``FLAGS`` what it does beside the plain case; both are known when a kernel is compiled, so that a
branch costs nothing. Operations have the order of the reference. The equations and their adjoints are written out in
``_numba/kernels.py`` (linear) and ``_numba/adaptive.py`` (alif, adlif); names are the same.

``c0`` to ``c5`` are the rows of ``Recursion.rows``: a, b, g (linear); b, g, r, k, beta (alif); c, g, r, k, a, b (adlif). Rows that
a recursion does not have repeat another one, and nobody reads them. Behind them are ``v_th`` and, for alif, the unit of the argument.
"""

# ruff: noqa: N803, SIM102, SIM108, PLR0912, PLR0915

# mypy: ignore-errors

import triton
import triton.language as tl

from .._fused import recursion

__all__ = ["ADLIF", "ALIF", "LINEAR", "argument", "finish", "start", "update"]

LINEAR, ALIF, ADLIF = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
_CURRENT = tl.constexpr(recursion.CURRENT)
_SPIKING = tl.constexpr(recursion.SPIKING)
_RESET_ZERO = tl.constexpr(recursion.RESET_ZERO)
_RESET_ATTACHED = tl.constexpr(recursion.RESET_ATTACHED)
_THRESHOLD_CROSSED = tl.constexpr(recursion.THRESHOLD_CROSSED)
_ADAPTS_LATE = tl.constexpr(recursion.ADAPTS_LATE)
_ARGUMENT_RELATIVE = tl.constexpr(recursion.ARGUMENT_RELATIVE)
_DRIVEN_BY_POTENTIAL = tl.constexpr(recursion.DRIVEN_BY_POTENTIAL)


@triton.jit
def argument(v, second, c4, v_th, unit, LOOPS: tl.constexpr, FLAGS: tl.constexpr):
    """What is positive where the neuron spikes, and what the surrogate is given."""
    if LOOPS == ALIF:
        threshold = v_th + c4 * second
        if _ARGUMENT_RELATIVE & FLAGS:
            x = (v - threshold) / threshold
        else:
            x = (v - threshold) / unit
    else:
        x = v - v_th
    return x


@triton.jit
def update(v, second, cur, z, c0, c1, c2, c3, c4, c5, v_th, LOOPS: tl.constexpr, FLAGS: tl.constexpr):
    """v and the second variable of step n + 1 from those of step n, what arrives and the spikes."""
    if LOOPS == ALIF:
        later = c2 * second + c3 * z
        u = c0 * v + c1 * cur
        if _RESET_ZERO & FLAGS:
            v_next = u * (1.0 - z)
        elif _THRESHOLD_CROSSED & FLAGS:
            if _ADAPTS_LATE & FLAGS:
                v_next = u - z * (v_th + c4 * later)
            else:
                v_next = u - z * (v_th + c4 * second)
        else:
            v_next = u - z * v_th
        second_next = later
    elif LOOPS == ADLIF:
        if _RESET_ZERO & FLAGS:
            u = v * (1.0 - z)
        else:
            u = v - z * v_th
        if _DRIVEN_BY_POTENTIAL & FLAGS:
            second_next = c2 * second + c3 * (c4 * v + c5 * z)
        else:
            second_next = c2 * second + c3 * (c4 * u + c5 * z)
        if _ADAPTS_LATE & FLAGS:
            v_next = c0 * u + c1 * (cur - second)
        else:
            v_next = c0 * u + c1 * (cur - second_next)
    else:
        if _CURRENT & FLAGS:
            u = c1 * v + c2 * second
            second_next = c0 * second + cur
        else:
            u = c1 * v + c2 * cur
            second_next = second
        if _SPIKING & FLAGS:
            if _RESET_ZERO & FLAGS:
                v_next = u * (1.0 - z)
            else:
                v_next = u - z * v_th
        else:
            v_next = u
    return v_next, second_next


@triton.jit
def start(gv, gs, z, c1, c2, LOOPS: tl.constexpr, FLAGS: tl.constexpr):
    """dL/dcur of step n from the gradients of v and the second variable of step n + 1."""
    gu = gv
    if _RESET_ZERO & FLAGS:
        if LOOPS != ADLIF:
            gu = gv * (1.0 - z)
    if LOOPS == LINEAR:
        if _CURRENT & FLAGS:
            d = gs
        else:
            d = c2 * gu
    else:
        d = c1 * gu
    return d


@triton.jit
def finish(
    gv, gs, d, gz, h, v, second, cur, z, c0, c1, c2, c3, c4, c5, v_th, unit, LOOPS: tl.constexpr, FLAGS: tl.constexpr
):  # fmt: skip
    """The gradients of v and the second variable of step n, and this step's share of those of ``c0`` to ``c5``, ``v_th`` and the unit.

    ``gz`` is what came to the spikes from the output and through w_rec; ``d`` what ``start`` gave.
    """
    if LOOPS == ALIF:
        if _RESET_ZERO & FLAGS:
            gu = gv * (1.0 - z)
        else:
            gu = gv
        later = c2 * second + c3 * z
        if _ADAPTS_LATE & FLAGS:
            felt = later
        else:
            felt = second
        if _RESET_ZERO & FLAGS:
            amount = c0 * v + c1 * cur
            height = gv * 0.0
            e_th = height
        elif _THRESHOLD_CROSSED & FLAGS:
            amount = v_th + c4 * felt
            height = -gv * z
            e_th = height
        else:
            amount = v_th + v * 0.0
            height = gv * 0.0
            e_th = -gv * z
        if _ADAPTS_LATE & FLAGS:
            above = gs + c4 * height
        else:
            above = gs
        to_z = gz + c3 * above
        if _RESET_ATTACHED & FLAGS:
            to_z = to_z - gv * amount
        if _ARGUMENT_RELATIVE & FLAGS:
            threshold = v_th + c4 * second
            gx = to_z * h / threshold
            lifted = -gx * (v / threshold)
            e_unit = gx * 0.0
        else:
            gx = to_z * h / unit
            lifted = -gx
            e_unit = -gx * ((v - (v_th + c4 * second)) / unit)
        e_th = e_th + lifted
        gv_next = c0 * gu + gx
        gs_next = c2 * above + c4 * lifted
        if _ADAPTS_LATE & FLAGS:
            e4 = height * later + lifted * second
        else:
            gs_next = gs_next + c4 * height
            e4 = height * second + lifted * second
        e0, e1, e2, e3, e5 = gu * v, gu * cur, above * second, above * z, gu
    elif LOOPS == ADLIF:
        e_unit = gv
        if _RESET_ZERO & FLAGS:
            u = v * (1.0 - z)
            amount = v
        else:
            u = v - z * v_th
            amount = v_th + v * 0.0
        if _DRIVEN_BY_POTENTIAL & FLAGS:
            y = v
        else:
            y = u
        driven = c4 * y + c5 * z
        if _ADAPTS_LATE & FLAGS:
            above = gs
            felt = second
            gs_next = c2 * above - d
        else:
            above = gs - d
            felt = c2 * second + c3 * driven
            gs_next = c2 * above
        pulled = above * c3 * c4
        gu = c0 * gv
        if _DRIVEN_BY_POTENTIAL & FLAGS:
            direct = pulled
        else:
            gu = gu + pulled
            direct = pulled * 0.0
        to_z = gz + above * c3 * c5
        if _RESET_ATTACHED & FLAGS:
            to_z = to_z - gu * amount
        if _RESET_ZERO & FLAGS:
            gv_next = gu * (1.0 - z) + direct + to_z * h
            e_th = -(to_z * h)
        else:
            gv_next = gu + direct + to_z * h
            e_th = -(to_z * h) - gu * z
        e0, e1, e2, e3 = gv * u, gv * (cur - felt), above * second, above * driven
        e4, e5 = above * c3 * y, above * c3 * z
    else:
        e_unit = gv
        if _CURRENT & FLAGS:
            x = second
        else:
            x = cur
        gu = gv
        if _SPIKING & FLAGS:
            to_z = gz
            if _RESET_ATTACHED & FLAGS:
                if _RESET_ZERO & FLAGS:
                    to_z = to_z - gv * (c1 * v + c2 * x)
                else:
                    to_z = to_z - gv * v_th
            if _RESET_ZERO & FLAGS:
                gu = gv * (1.0 - z)
            gv_next = c1 * gu + to_z * h
            e_th = -(to_z * h)
            if (_RESET_ZERO & FLAGS) == 0:
                e_th = e_th - gv * z
        else:
            gv_next = c1 * gu + gz
            e_th = gz
        if _CURRENT & FLAGS:
            gs_next = c0 * d + c2 * gu
        else:
            gs_next = gs
        e0, e1, e2 = d * x, gu * v, gu * x
        e3, e4, e5 = e2, e2, e2
    return gv_next, gs_next, e0, e1, e2, e3, e4, e5, e_th, e_unit
