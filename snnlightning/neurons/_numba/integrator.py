"""Neurons without a threshold, few of them: a readout. Their state stays in registers from the first step to the last.

A row of 20 numbers is two vectors; with rows in memory, loops around them and calls took three quarters of the time.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .._fused.recursion import CURRENT, READ_MAX, READ_SUM
from .vectors import in_vectors

__all__ = ["FEWEST", "MOST", "integrate", "integrate_back"]

Array = Any

FEWEST, MOST = 4, 64
"""Neurons that these functions are for."""


def _few(words: Any, n: Any) -> Iterator[tuple[int, list[Any]]]:
    """(width, places) of the vectors that cover n neurons; they overlap where they do not fit, which gives the same twice."""
    b, number = words.builder, words.number
    for width, count, least, most in ((16, 4, 33, 64), (16, 2, 16, 32), (8, 2, 8, 15), (4, 2, 4, 7)):
        with b.if_then(b.and_(b.icmp_signed(">=", n, number(least)), b.icmp_signed("<=", n, number(most)))):
            from_end = [b.sub(n, number(width * (k + 1))) for k in reversed(range(count // 2))]
            yield width, [*(number(width * k) for k in range(count // 2)), *from_end]


class _Part:
    """Vectors of one row each, at the same places."""

    def __init__(self, words: Any, width: int, places: list[Any]) -> None:
        self.words, self.width, self.places = words, width, places

    def load(self, row: Any) -> list[Any]:
        return [row.load(j, self.width) for j in self.places]

    def store(self, row: Any, values: Sequence[Any]) -> None:
        for j, value in zip(self.places, values, strict=True):
            row.store(j, value)

    def kept(self, row: Any) -> list[Any]:
        """As variables."""
        return [self.words.variable(value) for value in self.load(row)]

    def zeros(self, row: Any) -> list[Any]:
        """As variables."""
        return [self.words.variable(value) for value in self.everywhere(self.words.zero(row.element))]

    def now(self, kept: list[Any]) -> list[Any]:
        return [self.words.builder.load(value) for value in kept]

    def become(self, kept: list[Any], values: Sequence[Any]) -> None:
        for variable, value in zip(kept, values, strict=True):
            self.words.builder.store(value, variable)

    def each(self, operation: Callable[..., Any], *values: Sequence[Any]) -> list[Any]:
        return [operation(*numbers) for numbers in zip(*values, strict=True)]

    def everywhere(self, value: Any) -> list[Any]:
        """One number in all places."""
        return [self.words.spread(value, self.width) for _ in self.places]

    def compared(self, how: Callable[..., Any], sign: str, x: list[Any], y: list[Any]) -> list[Any]:
        return [how(sign, a, b) for a, b in zip(x, y, strict=True)]

    def mixed(self, a: list[Any], x: list[Any], g: list[Any], y: list[Any]) -> list[Any]:
        b = self.words.builder
        return self.each(lambda a, x, g, y: b.fadd(b.fmul(a, x), b.fmul(g, y)), a, x, g, y)


def _is_there(words: Any, rows: Any) -> Any:
    """Whether an array that may be left out was given."""
    return words.builder.icmp_signed("!=", rows.length, words.number(0))


def _integrate(
    words: Any, pointer: Any, index: Any, w_in_t: Any, bias: Any, coefficients: Any, v: Any, second: Any, output: Any,
    potentials: Any, currents: Any, arguments: Any, samples: Any, steps: Any, flags: Any,
) -> None:  # fmt: skip
    b, number = words.builder, words.number

    def has(flag: int) -> Any:
        return b.icmp_signed("!=", b.and_(flags, number(flag)), number(0))

    for width, places in _few(words, v.length):
        part = _Part(words, width, places)
        decay_syn, decay_mem, gain = (part.load(coefficients.row(number(k))) for k in range(3))
        with words.upto(number(0), samples) as (s, _):
            vs = part.kept(v.row(s))
            twice = b.mul(s, number(2))
            read = b.and_(_is_there(words, arguments), b.or_(has(READ_SUM), has(READ_MAX)))
            cs, found, at = part.zeros(v), part.zeros(v), part.zeros(v)
            with b.if_then(has(CURRENT)):
                part.become(cs, part.load(second.row(s)))
            with b.if_then(read):
                part.become(found, part.load(arguments.row(twice)))
                part.become(at, part.load(arguments.row(b.add(twice, number(1)))))
            with words.upto(number(0), steps) as (t, _):
                row = b.add(b.mul(s, steps), t)
                for rows in (potentials, output):
                    with b.if_then(_is_there(words, rows)):
                        part.store(rows.row(row), part.now(vs))
                with b.if_then(read), b.if_else(has(READ_SUM)) as (to_sum, to_maximum):
                    with to_sum:
                        part.become(found, part.each(b.fadd, part.now(found), part.now(vs)))
                    with to_maximum:
                        step = part.everywhere(b.sitofp(t, v.element))
                        higher = part.compared(b.fcmp_unordered, ">", part.now(vs), part.now(found))
                        part.become(at, part.each(b.select, higher, step, part.now(at)))
                        part.become(found, part.each(b.select, higher, part.now(vs), part.now(found)))
                cur = part.zeros(v)
                with words.upto(pointer.load(row), pointer.load(b.add(row, number(1)))) as (e, _):
                    part.become(cur, part.each(b.fadd, part.now(cur), part.load(w_in_t.row(index.load(e)))))
                with b.if_then(_is_there(words, bias)):
                    part.become(cur, part.each(b.fadd, part.now(cur), part.load(bias)))
                with b.if_else(has(CURRENT)) as (through, directly):
                    with through:
                        before = part.now(cs)
                        with b.if_then(_is_there(words, currents)):
                            part.store(currents.row(row), before)
                        part.become(vs, part.mixed(decay_mem, part.now(vs), gain, before))
                        decayed = part.each(b.fmul, decay_syn, before)
                        part.become(cs, part.each(b.fadd, decayed, part.now(cur)))
                    with directly:
                        with b.if_then(_is_there(words, currents)):
                            part.store(currents.row(row), part.now(cur))
                        part.become(vs, part.mixed(decay_mem, part.now(vs), gain, part.now(cur)))
            part.store(v.row(s), part.now(vs))
            with b.if_then(has(CURRENT)):
                part.store(second.row(s), part.now(cs))
            with b.if_then(read):
                part.store(arguments.row(twice), part.now(found))
                part.store(arguments.row(b.add(twice, number(1))), part.now(at))


@in_vectors(_integrate)
def integrate(
    pointer: Array, index: Array, w_in_t: Array, bias: Array, coefficients: Array, v: Array, second: Array, output: Array,
    potentials: Array, currents: Array, arguments: Array, samples: int, steps: int, flags: int,
) -> None:  # fmt: skip
    """``advance`` of such neurons whose input comes as events that are all one; arguments as there."""
    decay_syn, decay_mem, gain = coefficients[:3]
    for s in range(samples):
        for t in range(steps):
            row = s * steps + t
            for out in (potentials, output):
                if out.size > 0:
                    out[s, t] = v[s]
            if arguments.size > 0 and flags & READ_SUM:
                arguments[s, 0] += v[s]
            elif arguments.size > 0 and flags & READ_MAX:
                higher = ~(v[s] <= arguments[s, 0])
                arguments[s, 1, higher] = t
                arguments[s, 0, higher] = v[s, higher]
            cur = 0 * bias if bias.size > 0 else 0 * v[s]
            for e in range(pointer[row], pointer[row + 1]):
                cur += w_in_t[index[e]]
            if bias.size > 0:
                cur += bias
            x = second[s].copy() if flags & CURRENT else cur
            if currents.size > 0:
                currents[s, t] = x
            v[s] = decay_mem * v[s] + gain * x
            if flags & CURRENT:
                second[s] = decay_syn * x + cur


def _integrate_back(
    words: Any, read_back: Any, grad_output: Any, grad_potentials: Any, coefficients: Any, grad_v: Any, grad_i: Any, delta: Any,
    samples: Any, steps: Any, has_current: Any,
) -> None:  # fmt: skip
    b, number = words.builder, words.number
    current = b.icmp_signed("!=", has_current, number(0))
    # And not fused with what is added, as kernels with ``fast`` may otherwise.
    rounded = functools.partial(b.fmul, flags=("nsz",))
    zero = words.zero(grad_v.element)

    for width, places in _few(words, grad_v.length):
        part = _Part(words, width, places)
        decay_syn, decay_mem, gain = (part.load(coefficients.row(number(k))) for k in range(3))
        with words.upto(number(0), samples) as (s, _):
            gv, gi, sent, at = part.kept(grad_v.row(s)), part.zeros(grad_v), part.zeros(grad_v), part.zeros(grad_v)
            with b.if_then(current):
                part.become(gi, part.load(grad_i.row(s)))
            with b.if_then(_is_there(words, read_back)):
                twice = b.mul(s, number(2))
                part.become(sent, part.load(read_back.row(twice)))
                part.become(at, part.load(read_back.row(b.add(twice, number(1)))))
            with words.upto(number(0), steps) as (done, _):
                t = b.sub(b.sub(steps, number(1)), done)
                row = b.add(b.mul(s, steps), t)
                with b.if_else(current) as (through, directly):
                    with through:
                        part.store(delta.row(row), part.now(gi))
                        part.become(gi, part.mixed(decay_syn, part.now(gi), gain, part.now(gv)))
                    with directly:
                        part.store(delta.row(row), part.each(b.fmul, gain, part.now(gv)))
                part.become(gv, part.each(rounded, part.now(gv), decay_mem))
                with b.if_then(_is_there(words, read_back)):
                    step, zeros = part.everywhere(b.sitofp(t, grad_v.element)), part.everywhere(zero)
                    always = part.compared(b.fcmp_ordered, "<", part.now(at), zeros)
                    here = part.compared(b.fcmp_ordered, "==", part.now(at), step)
                    given = part.each(b.select, part.each(b.or_, always, here), part.now(sent), zeros)
                    part.become(gv, part.each(b.fadd, part.now(gv), given))
                for rows in (grad_output, grad_potentials):
                    with b.if_then(_is_there(words, rows)):
                        part.become(gv, part.each(b.fadd, part.now(gv), part.load(rows.row(row))))
            part.store(grad_v.row(s), part.now(gv))
            with b.if_then(current):
                part.store(grad_i.row(s), part.now(gi))


@in_vectors(_integrate_back)
def integrate_back(
    read_back: Array, grad_output: Array, grad_potentials: Array, coefficients: Array, grad_v: Array, grad_i: Array, delta: Array,
    samples: int, steps: int, has_current: int,
) -> None:  # fmt: skip
    """``retreat`` of such neurons when nobody wants the gradient of a coefficient; arguments as there."""
    decay_syn, decay_mem, gain = coefficients[:3]
    for s in range(samples):
        for t in range(steps - 1, -1, -1):
            if has_current:
                delta[s, t] = grad_i[s]
                grad_i[s] = decay_syn * grad_i[s] + gain * grad_v[s]
            else:
                delta[s, t] = gain * grad_v[s]
            grad_v[s] *= decay_mem
            if read_back.size > 0:
                g, at = read_back[s]
                grad_v[s] += g * ((at < 0) | (at == t))
            for given in (grad_output, grad_potentials):
                if given.size > 0:
                    grad_v[s] += given[s, t]
