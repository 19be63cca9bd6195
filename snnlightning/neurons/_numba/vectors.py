"""Loops over a row that LLVM's vectoriser does not make good code of, said in vectors.

Each is a plain loop (the definition, which runs as Python) and beside it the same thing in LLVM's words, which Numba compiles in
its place: sums stay in registers while many rows are added, and positions are read from a mask instead of one number at a
time. The order of the operations is that of the plain loop, so results are the same bits. Vectors are wider than any
processor's; LLVM cuts them as the machine wants, so nothing here asks for a kind of processor.
"""

import contextlib
import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...errors import require

__all__ = ["above", "add_to_rows", "count_nonzero", "dots", "in_vectors", "intrinsic", "moved_by_events", "nonzero", "nonzero_and_other",
           "product",
           "rowwise", "sum_rows"]  # fmt: skip

Array = Any

_ROW_BYTES = 256
"""Of the widest vector: four registers of AVX-512, eight of AVX2."""
_NEIGHBOURS = 16, 4, 1
"""Numbers of a row that an expression is computed for at once; there may be ten rows in it."""
_IN_ORDER = "contract", "nsz"
"""A sum of products that may be fused and not reordered; without any flag Numba lets it be, in kernels with ``fast``."""
_POSITIONS = 64
"""Comparisons whose results are one mask."""
_LINE = 64
"""Bytes of a line of the cache."""
_LISTED = 4
"""Positions that are written before anybody asks how many there are."""


def in_vectors(build: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: where a kernel calls this function, the compiler takes what ``build`` writes.

    Args:
        build: ``(words, arguments) -> value or None``; an array among the arguments comes as its address and shape.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__dict__["build"] = build
        return function

    return mark


@functools.cache
def _part(name: str) -> Any:
    """A module of Numba's, which is imported when a kernel is compiled."""
    require("numba", "fast", "backend='numba'")
    return importlib.import_module(f"numba.{name}")


@functools.cache
def intrinsic(function: Callable[..., Any]) -> Any:
    """The function as Numba calls it."""
    types, declare = _part("core.types"), _part("extending").intrinsic

    names = function.__dict__.get("names") or list(inspect.signature(function).parameters)
    returns = types.int64 if function.__annotations__.get("return") is int else types.void

    def typing(typingctx: Any, *given: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            flat: list[Any] = []
            for kind, value in zip(signature.args, arguments, strict=True):
                flat.extend(_address(context, builder, kind, value) if hasattr(kind, "ndim") else (value,))
            found = builder.call(_outlined(context, builder.module, function, signature, flat), flat)
            return found if returns is types.int64 else context.get_dummy_value()

        return returns(*given), codegen

    # Numba looks at the names of the arguments, so the function must have them.
    scope: dict[str, Any] = {"typing": typing}
    exec(
        f"def {function.__name__}(typingctx, {', '.join(names)}):\n    return typing(typingctx, {', '.join(names)})",
        scope,
    )
    return declare(scope[function.__name__])


def _address(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, Any]:
    """Of an array: where it is, and the length of its last axis."""
    cgutils = _part("core.cgutils")

    array = context.make_array(kind)(context, builder, value)
    return array.data, cgutils.unpack_tuple(builder, array.shape)[-1]


def _outlined(context: Any, module: Any, function: Callable[..., Any], signature: Any, flat: list[Any]) -> Any:
    """A function of the module that kernels call: compiled once, and what is around a call stays small."""
    from llvmlite import ir

    types = _part("core.types")

    kinds = signature.args
    name = ".".join([__name__, function.__name__, *map(str, kinds)])
    if name in module.globals:
        return module.globals[name]
    whole = ir.IntType(64)
    gives = whole if signature.return_type is types.int64 else ir.VoidType()
    made = ir.Function(module, ir.FunctionType(gives, [value.type for value in flat]), name)
    made.linkage = "internal"
    for attribute in ("noinline", "nounwind"):
        made.attributes.add(attribute)
    words, rest = _Words(context, ir.IRBuilder(made.append_basic_block("entry"))), iter(made.args)
    arguments = [_Row(words, context.get_data_type(k.dtype), next(rest), next(rest)) if hasattr(k, "ndim") else next(rest) for k in kinds]  # fmt: skip
    found = function.__dict__["build"](words, *arguments)
    if found is None:
        words.builder.ret_void()
    else:
        words.builder.ret(found)
    return made


class _Number:
    """A number of a row, or several neighbours at once, in an expression."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _with(self, other: Any, operation: str, turned: bool = False) -> "_Number":
        a, b = self.value, other.value if isinstance(other, _Number) else self._constant(other)
        return _Number(self.builder, getattr(self.builder, operation)(*((b, a) if turned else (a, b))))

    def _constant(self, number: float) -> Any:
        from llvmlite import ir

        kind = self.value.type
        return ir.Constant(kind, [float(number)] * kind.count if hasattr(kind, "count") else float(number))

    def __add__(self, other: Any) -> "_Number":
        return self._with(other, "fadd")

    def __sub__(self, other: Any) -> "_Number":
        return self._with(other, "fsub")

    def __rsub__(self, other: Any) -> "_Number":
        return self._with(other, "fsub", turned=True)

    def __mul__(self, other: Any) -> "_Number":
        return self._with(other, "fmul")

    def __truediv__(self, other: Any) -> "_Number":
        return self._with(other, "fdiv")


def rowwise(outs: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: ``function`` says one number of each result from one number of each row; kernels call it with whole rows.

    The first ``outs`` arguments of a call are the rows that are written; they may be among those that are read. A number
    among the arguments is the same for all.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        def build(words: _Words, *arguments: Any) -> None:
            b, targets = words.builder, arguments[:outs]
            for width, start, stop in words.blocks(targets[0].length, _NEIGHBOURS):
                with words.upto(start, stop, width) as (j, _):
                    numbers = [
                        _Number(b, a.load(j, width) if isinstance(a, _Row) else words.spread(a, width))
                        for a in arguments[outs:]
                    ]
                    found = function(*numbers)
                    for target, number in zip(targets, found if outs > 1 else (found,), strict=True):
                        target.store(j, number.value)

        @functools.wraps(function)
        def plain(*arguments: Any) -> None:
            found = function(*arguments[outs:])
            for target, row in zip(arguments[:outs], found if outs > 1 else (found,), strict=True):
                target[:] = row

        del plain.__wrapped__
        names = [f"out_{k}" for k in range(outs)] + list(inspect.signature(function).parameters)
        plain.__dict__.update(build=build, names=names, says=function)
        return plain

    return mark


class _Row:
    """An array of one or two axes: address, length of a row, and type of an element."""

    def __init__(self, words: "_Words", element: Any, address: Any, length: Any) -> None:
        self.words, self.element, self.address, self.length = words, element, address, length
        self.size = words.context.get_abi_sizeof(element)

    def row(self, k: Any) -> "_Row":
        """Row k of two axes."""
        found = copy.copy(self)
        b = self.words.builder
        found.address = b.gep(self.address, [b.mul(b.sext(k, self.length.type), self.length)])
        return found

    def _at(self, k: Any, kind: Any) -> Any:
        b = self.words.builder
        return b.bitcast(b.gep(self.address, [k]), kind.as_pointer())

    def load(self, k: Any, width: int = 1) -> Any:
        return self.words.builder.load(self._at(k, self.words.vector(self.element, width)), align=self.size)

    def store(self, k: Any, value: Any) -> None:
        self.words.builder.store(value, self._at(k, value.type), align=self.size)


class _Words:
    """What ``build`` says things with."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder

    @staticmethod
    def vector(element: Any, width: int) -> Any:
        from llvmlite import ir

        return element if width == 1 else ir.VectorType(element, width)

    def number(self, value: int) -> Any:
        from llvmlite import ir

        return ir.Constant(ir.IntType(64), value)

    @staticmethod
    def zero(kind: Any) -> Any:
        from llvmlite import ir

        return ir.Constant(kind, 0.0)

    def spread(self, value: Any, width: int) -> Any:
        """The same number everywhere."""
        from llvmlite import ir

        if width == 1:
            return value
        kind, of_ints = ir.VectorType(value.type, width), ir.VectorType(ir.IntType(32), width)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(of_ints, [0] * width))

    def bits(self, mask: Any) -> Any:
        """Comparisons as the bits of a whole number."""
        from llvmlite import ir

        count, whole = getattr(mask.type, "count", 1), ir.IntType(64)
        packed = self.builder.bitcast(mask, ir.IntType(count)) if count > 1 else mask
        return packed if count == 64 else self.builder.zext(packed, whole)

    def ones(self, number: Any) -> Any:
        """How many bits are set."""
        from llvmlite import ir

        kind = ir.FunctionType(number.type, [number.type])
        return self.builder.call(self.builder.module.declare_intrinsic("llvm.ctpop", [number.type], kind), [number])

    def upto(self, start: Any, stop: Any, step: int = 1) -> Any:
        """``with``: a loop over start, start + step, ... while a whole step fits; ``.index``."""
        cgutils = _part("core.cgutils")

        return cgutils.for_range_slice(self.builder, start, stop, self.number(step))

    @contextlib.contextmanager
    def upto_past(self, start: Any, stop: Any, step: int) -> Iterator[Any]:
        """``with``: a loop over start, start + step, ... below ``stop``, at least once."""
        b = self.builder
        head, end = b.append_basic_block("head"), b.append_basic_block("end")
        before = b.block
        b.branch(head)
        b.position_at_end(head)
        at = b.phi(start.type)
        at.add_incoming(start, before)
        yield at
        later = b.add(at, self.number(step))
        at.add_incoming(later, b.block)
        b.cbranch(b.icmp_signed("<", later, stop), head, end)
        b.position_at_end(end)

    def picked(self, x: Any, y: Any, lanes: list[int]) -> Any:
        """A vector of some numbers of two; those of the second are counted on from the first's."""
        from llvmlite import ir

        return self.builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))

    def blocks(self, length: Any, widths: tuple[int, ...]) -> Iterator[tuple[int, Any, Any]]:
        """(width, start, stop) of the part of a row that vectors of this width cover, the widest first."""
        b, start = self.builder, self.number(0)
        for width in widths:
            stop = length if width == 1 else b.and_(length, self.number(-width))
            yield width, start, stop
            start = stop

    def variable(self, value: Any) -> Any:
        cgutils = _part("core.cgutils")

        return cgutils.alloca_once_value(self.builder, value)


def _widths(row: _Row) -> tuple[int, ...]:
    return _ROW_BYTES // row.size, 16, 4, 1


def _sum_rows(words: _Words, rows: _Row, index: _Row, lo: Any, hi: Any, out: _Row) -> None:
    from llvmlite import ir

    b = words.builder
    for width, start, stop in words.blocks(out.length, _widths(out)):
        kind = words.vector(out.element, width)
        zero = ir.Constant(kind, [0.0] * width if width > 1 else 0.0)
        with words.upto(start, stop, width) as (j, _):
            total = words.variable(zero)
            with words.upto(lo, hi) as (e, _):
                b.store(b.fadd(b.load(total), rows.row(index.load(e)).load(j, width)), total)
            out.store(j, b.load(total))


@in_vectors(_sum_rows)
def sum_rows(rows: Array, index: Array, lo: int, hi: int, out: Array) -> None:
    """out = the sum of the rows that ``index[lo:hi]`` names, in that order; a row is as long as ``out``."""
    out[:] = 0
    for e in range(lo, hi):
        out += rows[index[e]]


def _moved_by_events(
    words: _Words, coefficients: _Row, v: _Row, i: _Row, s: Any, has_current: Any, rows: _Row, index: _Row, lo: Any, hi: Any,
    bias: _Row, back: _Row, own: _Row, first: Any, last: Any, potentials: _Row, currents: _Row, row: Any,
) -> None:  # fmt: skip
    from llvmlite import ir

    b, (vs, cs) = words.builder, (rows_of.row(s) for rows_of in (v, i))
    decay_syn, decay_mem, gain = (coefficients.row(words.number(k)) for k in range(3))
    current = b.icmp_signed("!=", has_current, words.number(0))

    def wanted(array: _Row) -> Any:
        return b.icmp_signed("!=", array.length, words.number(0))

    for width, start, stop in words.blocks(v.length, _widths(v)):
        kind = words.vector(v.element, width)
        zero = ir.Constant(kind, [0.0] * width if width > 1 else 0.0)

        def summed(rows: _Row, index: _Row, lo: Any, hi: Any, j: Any, width: int = width, zero: Any = zero) -> Any:
            total = words.variable(zero)
            with words.upto(lo, hi) as (e, _):
                b.store(b.fadd(b.load(total), rows.row(index.load(e)).load(j, width)), total)
            return total

        with words.upto(start, stop, width) as (j, _):
            total = summed(rows, index, lo, hi, j)
            with b.if_then(wanted(bias)):
                b.store(b.fadd(b.load(total), bias.load(j, width)), total)
            arrived = b.fadd(b.load(total), b.load(summed(back, own, first, last, j)))
            potential = vs.load(j, width)
            with b.if_then(wanted(potentials)):
                potentials.row(row).store(j, potential)
            x = words.variable(arrived)
            with b.if_then(current):
                before = cs.load(j, width)
                b.store(before, x)
                cs.store(j, b.fadd(b.fmul(decay_syn.load(j, width), before), arrived))
            enters = b.load(x)
            with b.if_then(wanted(currents)):
                currents.row(row).store(j, enters)
            vs.store(j, b.fadd(b.fmul(decay_mem.load(j, width), potential), b.fmul(gain.load(j, width), enters)))


@in_vectors(_moved_by_events)
def moved_by_events(
    coefficients: Array, v: Array, i: Array, s: int, has_current: int, rows: Array, index: Array, lo: int, hi: int,
    bias: Array, back: Array, own: Array, first: int, last: int, potentials: Array, currents: Array, row: int,
) -> None:  # fmt: skip
    """One step of sample s: cur = sums of ``rows`` and of ``back`` + bias;  i = a i + cur;  v = b v + g (the i before, or cur).

    ``potentials`` and ``currents`` keep v and x in their row, when they are not empty.
    """
    decay_syn, decay_mem, gain = coefficients[:3]
    cur, others = np.zeros_like(v[s]), np.zeros_like(v[s])
    sum_rows(rows, index, lo, hi, cur)
    sum_rows(back, own, first, last, others)
    if bias.size > 0:
        cur += bias
    x = cur + others
    if potentials.size > 0:
        potentials.reshape(-1, v.shape[1])[row] = v[s]
    if has_current:
        x, i[s] = i[s].copy(), decay_syn * i[s] + x
    if currents.size > 0:
        currents.reshape(-1, v.shape[1])[row] = x
    v[s] = decay_mem * v[s] + gain * x


def _add_to_rows(words: _Words, row: _Row, index: _Row, lo: Any, hi: Any, rows: _Row, at: Any) -> None:
    b = words.builder
    for width, start, stop in words.blocks(row.length, _widths(row)):
        with words.upto(start, stop, width) as (j, _):
            given, to = row.load(j, width), b.add(j, at)
            with words.upto(lo, hi) as (e, _):
                target = rows.row(index.load(e))
                target.store(to, b.fadd(target.load(to, width), given))


@in_vectors(_add_to_rows)
def add_to_rows(row: Array, index: Array, lo: int, hi: int, rows: Array, at: int) -> None:
    """``row`` is added to each row that ``index[lo:hi]`` names, from column ``at`` on."""
    for e in range(lo, hi):
        rows[index[e], at : at + len(row)] += row


def _product(words: _Words, delta: _Row, rows: _Row, samples: Any, anew: Any, out: _Row) -> None:
    """Sums stay in registers while all of ``rows`` go by, for four or two samples at a time.

    Of a line of the cache each: those of wider parts of a row do not fit into the registers of a processor without AVX-512.
    """
    b, number = words.builder, words.number
    for width, start, stop in words.blocks(out.length, (_LINE // out.size, 4, 1)):

        def some(j: Any, samples: list[Any], width: int = width) -> None:
            given, written = [delta.row(r) for r in samples], [out.row(r) for r in samples]
            totals = [words.variable(words.spread(words.zero(out.element), width)) for _ in samples]
            with b.if_then(b.icmp_signed("==", anew, number(0))):
                for total, row in zip(totals, written, strict=True):
                    b.store(row.load(j, width), total)
            with words.upto(number(0), delta.length) as (k, _):
                v = rows.row(k).load(j, width)
                for total, row in zip(totals, given, strict=True):
                    product = b.fmul(words.spread(row.load(k), width), v, flags=_IN_ORDER)
                    b.store(b.fadd(b.load(total), product, flags=_IN_ORDER), total)
            for total, row in zip(totals, written, strict=True):
                row.store(j, b.load(total))

        with words.upto(start, stop, width) as (j, _):
            fours = b.and_(samples, number(-4))
            with words.upto(number(0), fours, 4) as (s, _):
                some(j, [b.add(s, number(q)) for q in range(4)])
            with words.upto(fours, samples, 2) as (s, _):
                following = b.add(s, number(1))  # the last one twice, when it is alone
                some(j, [s, b.select(b.icmp_signed("<", following, samples), following, s)])


@in_vectors(_product)
def product(delta: Array, rows: Array, samples: int, anew: int, out: Array) -> None:
    """out += delta @ rows, or out = when ``anew``, for ``samples`` rows of delta; row after row, rounded once where a machine can."""
    total = np.zeros_like(out[:samples]) if anew else out[:samples].copy()
    for k in range(len(rows)):
        total += delta[:samples, k : k + 1] * rows[k]
    out[:samples] = total


_SUM: tuple[str, ...] = ("reassoc", "contract", "nsz")
"""A sum of products may be reordered and fused; NaN and infinity keep their meaning."""
_AT_ONCE, _LANES = 4, 16


def _dots(words: _Words, rows: _Row, chosen: _Row, count: Any, row: _Row, out: _Row) -> None:
    from llvmlite import ir

    b = words.builder
    lanes, one = words.vector(row.element, _LANES), row.element
    suffix = f"v{_LANES}f{8 * row.size}"
    name = f"llvm.vector.reduce.fadd.{suffix}"
    add_up = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(one, [one, lanes]), name)
    whole = b.and_(row.length, words.number(-_LANES))
    with words.upto(words.number(0), count, _AT_ONCE) as (e, _):
        which = [chosen.load(b.add(e, words.number(q))) for q in range(_AT_ONCE)]
        given = [rows.row(k) for k in which]
        sums = [words.variable(ir.Constant(lanes, [0.0] * _LANES)) for _ in which]
        with words.upto(words.number(0), whole, _LANES) as (j, _):
            y = row.load(j, _LANES)
            for total, x in zip(sums, given, strict=True):
                product = b.fmul(x.load(j, _LANES), y, flags=_SUM)
                b.store(b.fadd(b.load(total), product, flags=_SUM), total)
        ends = [words.variable(b.call(add_up, [ir.Constant(one, 0.0), b.load(total)], fastmath=_SUM)) for total in sums]
        with words.upto(whole, row.length) as (j, _):
            y = row.load(j)
            for total, x in zip(ends, given, strict=True):
                b.store(b.fadd(b.load(total), b.fmul(x.load(j), y, flags=_SUM), flags=_SUM), total)
        for k, total in zip(which, ends, strict=True):
            out.store(b.sext(k, row.length.type), b.load(total))


@in_vectors(_dots)
def dots(rows: Array, chosen: Array, count: int, row: Array, out: Array) -> None:
    """out[k] = rows[k] . row for k in ``chosen[:count]``, the sum in any order; ``count`` is a multiple of four."""
    for k in chosen[:count]:
        out[k] = rows[k] @ row


def _listed(
    words: _Words, length: Any, index: _Row, found: Any, holds: Callable[[Any, int], Any],
    seen: Callable[[Any, Any, Any], None] | None = None,
) -> Any:  # fmt: skip
    """Positions at which a comparison holds, from masks of many; a few are written at once, and written over when they are none.

    A loop over one mask's positions ends where no processor guesses, which costs as much as writing eight.
    """
    from llvmlite import ir

    b, i64 = words.builder, ir.IntType(64)
    count = words.variable(found)
    first = b.module.declare_intrinsic("llvm.cttz", [i64], ir.FunctionType(i64, [i64, ir.IntType(1)]))

    def take(j: Any, width: int, done: Any) -> None:
        """List what the mask of the numbers from j on says, but for its first ``done``."""
        mask = b.shl(b.lshr(words.bits(holds(j, width)), done), done)
        if seen is not None:
            seen(j, width, mask)
        start, left = b.load(count), words.variable(mask)
        stop = b.add(start, words.ones(mask))
        with words.upto_past(start, stop, _LISTED) as at:
            for q in range(_LISTED):
                now = b.load(left)
                position = b.call(first, [now, ir.Constant(ir.IntType(1), 0)])
                index.store(b.add(at, words.number(q)), b.trunc(b.add(j, position), ir.IntType(32)))
                b.store(b.and_(now, b.sub(now, words.number(1))), left)
        b.store(stop, count)

    # All but the last three, so that what is written in vain does not go past the last number's place either.
    start, whole = words.number(0), b.and_(length, words.number(-_LISTED))
    for width in (_POSITIONS, 16):
        stop = b.add(start, b.and_(b.sub(whole, start), words.number(-width)))
        with words.upto(start, stop, width) as (j, _):
            take(j, width, words.number(0))
        # What is left of a row, by a mask that begins earlier.
        wide = b.icmp_signed(">=", whole, words.number(width))
        with b.if_then(b.and_(wide, b.icmp_signed(">", whole, stop))):
            j = b.sub(whole, words.number(width))
            take(j, width, b.sub(stop, j))
        start = b.select(wide, whole, start)
    with words.upto(start, length) as (j, _):
        k, bit = b.load(count), words.bits(holds(j, 1))
        if seen is not None:
            seen(j, 1, bit)
        index.store(k, b.trunc(j, ir.IntType(32)))
        b.store(b.add(k, bit), count)
    return b.load(count)


def _above(words: _Words, row: _Row, bound: _Row, index: _Row, found: Any) -> Any:
    def holds(j: Any, width: int) -> Any:
        return words.builder.fcmp_ordered(">", row.load(j, width), bound.load(j, width))

    return _listed(words, row.length, index, found, holds)


@in_vectors(_above)
def above(row: Array, bound: Array, index: Array, found: int) -> int:
    """Positions with row > bound, number by number, are written to ``index[found:]``, which has room for a row; returns the list's end."""
    for j in range(len(row)):
        if row[j] > bound[j]:
            index[found] = j
            found += 1
    return found


def _unlike(words: _Words, row: _Row, j: Any, width: int, number: float) -> Any:
    from llvmlite import ir

    x = row.load(j, width)
    return words.builder.fcmp_unordered("!=", x, ir.Constant(x.type, [number] * width if width > 1 else number))


def _nonzero(words: _Words, row: _Row, index: _Row, found: Any) -> Any:
    return _listed(words, row.length, index, found, lambda j, width: _unlike(words, row, j, width, 0.0))


@in_vectors(_nonzero)
def nonzero(row: Array, index: Array, found: int) -> int:
    """As ``above``, positions with row != 0; what is not a number is not zero."""
    for j in range(len(row)):
        if row[j] != 0:
            index[found] = j
            found += 1
    return found


def _nonzero_and_other(words: _Words, row: _Row, index: _Row, found: Any, other: _Row) -> Any:
    b, zero = words.builder, words.number(0)
    total = words.variable(other.load(zero))

    def seen(j: Any, width: int, mask: Any) -> None:
        also = b.and_(mask, words.bits(_unlike(words, row, j, width, 1.0)))
        b.store(b.add(b.load(total), words.ones(also)), total)

    end = _listed(words, row.length, index, found, lambda j, width: _unlike(words, row, j, width, 0.0), seen)
    other.store(zero, b.load(total))
    return end


@in_vectors(_nonzero_and_other)
def nonzero_and_other(row: Array, index: Array, found: int, other: Array) -> int:
    """``nonzero``, and ``other[0]`` grows by how many of them are not one."""
    for j in range(len(row)):
        other[0] += row[j] != 0 and row[j] != 1
    end: int = nonzero(row, index, found)
    return end


def _count_nonzero(words: _Words, row: _Row) -> Any:
    b, count = words.builder, words.variable(words.number(0))
    for width, start, stop in words.blocks(row.length, (_POSITIONS, 16, 1)):
        with words.upto(start, stop, width) as (j, _):
            b.store(b.add(b.load(count), words.ones(words.bits(_unlike(words, row, j, width, 0.0)))), count)
    return b.load(count)


@in_vectors(_count_nonzero)
def count_nonzero(row: Array) -> int:
    """How many numbers are not zero."""
    count = 0
    for j in range(len(row)):
        count += row[j] != 0
    return count


def _turned(words: _Words, x: _Row, out: _Row) -> None:
    """Square tiles change rows and columns in registers: whole lines of the cache are read and written, and none has to stay in it."""
    b, columns, rows, tile = words.builder, x.length, out.length, _LINE // x.size
    zero, one_tile = words.number(0), range(_LINE // x.size)
    whole_columns, whole_rows = (b.and_(n, words.number(-tile)) for n in (columns, rows))

    def one_by_one(k: Any, start: Any) -> None:
        with words.upto(start, rows) as (j, _):
            out.row(k).store(j, x.row(j).load(k))

    with words.upto(zero, whole_columns, tile) as (k, _):
        with words.upto(zero, whole_rows, tile) as (j, _):
            lines = [x.row(b.add(j, words.number(q))).load(k, tile) for q in one_tile]
            half = tile // 2
            while half:  # of each two lines, half of every block changes places
                for q in (q for q in one_tile if not q & half):
                    first, second = lines[q], lines[q + half]
                    lines[q] = words.picked(first, second, [c + (tile - half if c & half else 0) for c in one_tile])
                    lines[q + half] = words.picked(first, second, [c + (tile if c & half else half) for c in one_tile])
                half //= 2
            for q, line in enumerate(lines):
                out.row(b.add(k, words.number(q))).store(j, line)
        with words.upto(zero, words.number(tile)) as (q, _):
            one_by_one(b.add(k, q), whole_rows)
    with words.upto(whole_columns, columns) as (k, _):
        one_by_one(k, zero)


@in_vectors(_turned)
def turned(x: Array, out: Array) -> None:
    """out = x^T."""
    out[:] = x.T
