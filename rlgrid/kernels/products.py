"""Products of small matrices, with the same bits on every processor.

Each number of a product is one sum, its terms added one after the other in the order of the inner index, every
product and every sum rounded by itself (no fused multiply-add). That order says nothing about the machine, so neither
does the result: what differs between processors is how many numbers of the product are worked on at a time.

The work is done on tiles of the product, some rows by some columns, which stay in registers while the inner index
runs. Rows of a tile and groups of its columns are sums of their own, which a processor works on at the same time. A
tile is written as vectors of a fixed length for the compiler, which cuts them into what the processor has.

Matrices are contiguous, [rows, columns], all float32 or all float64, and none overlaps ``out``. Nothing is checked.
"""

from typing import Any

import numpy as np
from numba import config, njit
from numba.core import cgutils, codegen, types
from numba.extending import intrinsic

KERNEL: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INSIDE = KERNEL | {"no_cpython_wrapper": True}


class _Vectors:
    """What the functions below write of LLVM's code: vectors of numbers, read from flat arrays and written to them."""

    def __init__(self, context, builder, array, lanes):
        self.builder, self.ir = builder, cgutils.ir
        self.number = context.get_value_type(array.dtype)
        self.kind = self.number if lanes == 1 else self.ir.VectorType(self.number, lanes)
        self._lanes, self._size = lanes, context.get_abi_sizeof(self.number)

    def load(self, data, index):
        """The vector that begins at data[index]."""
        loaded = self.builder.load(self._place(data, index))
        loaded.align = self._size
        return loaded

    def store(self, vector, data, index):
        self.builder.store(vector, self._place(data, index)).align = self._size

    def _place(self, data, index):
        return self.builder.bitcast(self.builder.gep(data, [index]), self.kind.as_pointer())

    def spread(self, data, index):
        """The number data[index] in every lane."""
        value = self.builder.load(self.builder.gep(data, [index]))
        if self._lanes == 1:
            return value
        empty = self.ir.Constant(self.kind, self.ir.Undefined)
        one = self.builder.insert_element(empty, value, self.ir.Constant(self.ir.IntType(32), 0))
        return self.builder.shuffle_vector(one, empty, self.chosen([0] * self._lanes))

    def chosen(self, places):
        """For a shuffle: which numbers of two vectors, one after the other, it takes."""
        return self.ir.Constant(self.ir.VectorType(self.ir.IntType(32), len(places)), places)

    def zero(self):
        return self.ir.Constant(self.kind, None if self._lanes > 1 else 0.0)


def _data(context, builder, signature, arguments, *which):
    return [context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in which]


# --- tiles ------------------------------------------------------------------------------------------------------------


def _plain_tile(rows, lanes, across):
    """What a compiled tile does, in plain NumPy."""

    def tile(x, x_first, x_row, x_step, w, w_first, w_step, begin, begin_at, out, first, out_row, depth):
        x, w, begin, out = x.reshape(-1), w.reshape(-1), begin.reshape(-1), out.reshape(-1)
        for r in range(rows):
            total = np.zeros(lanes, out.dtype)
            if begin_at >= 0:
                total += begin[begin_at] if across else begin[begin_at : begin_at + lanes]
            for k in range(depth):
                below = w_first + k * w_step
                total += x[x_first + r * x_row + k * x_step] * w[below : below + lanes]
            at, step = (first, out_row) if across else (first + r * out_row, 1)
            out[at : at + (lanes - 1) * step + 1 : step] = total

    return tile


def _tile(rows, lanes, across=False):
    """The function that works on a tile of so many rows by so many columns (``lanes``).

    For r < rows and c < lanes, out[first + r * out_row + c] is begin[begin_at + c], 0 where begin_at < 0, and added to
    it, one k < depth after the other, x[x_first + r * x_row + k * x_step] * w[w_first + k * w_step + c]. Arrays are
    counted flat. A tile of one row that lies ``across`` is a column of ``out``: out[first + c * out_row], which begins
    with begin[begin_at].
    """
    if config.DISABLE_JIT:
        return _plain_tile(rows, lanes, across)

    def generate(context, builder, signature, arguments):
        x, w, begin, out = _data(context, builder, signature, arguments, 0, 4, 7, 9)
        _, x_first, x_row, x_step, _, w_first, w_step, _, begin_at, _, first, out_row, depth = arguments
        vectors, integer = _Vectors(context, builder, signature.args[0], lanes), depth.type
        ir, zero = vectors.ir, depth.type(0)
        before, has_begin = builder.block, builder.append_basic_block("begin")
        entry = builder.append_basic_block("entry")
        builder.cbranch(builder.icmp_signed(">=", begin_at, zero), has_begin, entry)
        builder.position_at_end(has_begin)
        given = vectors.spread(begin, begin_at) if across else vectors.load(begin, begin_at)
        builder.branch(entry)
        builder.position_at_end(entry)
        begun = builder.phi(vectors.kind)
        begun.add_incoming(vectors.zero(), before)
        begun.add_incoming(given, has_begin)
        targets = [builder.add(first, builder.mul(out_row, integer(r))) for r in range(rows)]
        sources = [builder.add(x_first, builder.mul(x_row, integer(r))) for r in range(rows)]
        loop, done = builder.append_basic_block("terms"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", depth, zero), loop, done)
        builder.position_at_end(loop)
        k = builder.phi(integer)
        totals = [builder.phi(vectors.kind) for _ in range(rows)]
        below = vectors.load(w, builder.add(w_first, builder.mul(k, w_step)))
        along = builder.mul(k, x_step)
        sums = []
        for r in range(rows):
            value = vectors.spread(x, builder.add(sources[r], along))
            sums.append(builder.fadd(totals[r], builder.fmul(value, below)))
        following = builder.add(k, integer(1))
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)
        k.add_incoming(zero, entry)
        k.add_incoming(following, loop)
        for r in range(rows):
            totals[r].add_incoming(begun, entry)
            totals[r].add_incoming(sums[r], loop)
        builder.position_at_end(done)
        ended = [builder.phi(vectors.kind) for _ in range(rows)]
        for r in range(rows):
            ended[r].add_incoming(begun, entry)
            ended[r].add_incoming(sums[r], loop)
        for r in range(rows):
            if across:
                for lane in range(lanes):
                    number = builder.extract_element(ended[r], ir.Constant(ir.IntType(32), lane))
                    builder.store(number, builder.gep(out, [builder.add(first, builder.mul(out_row, integer(lane)))]))
            else:
                vectors.store(ended[r], out, targets[r])
        return context.get_dummy_value()

    def tile(_context, x, x_first, x_row, x_step, w, w_first, w_step, begin, begin_at, out, first, out_row, depth):
        i = types.intp
        return types.void(x, i, i, i, w, i, i, begin, i, out, i, i, i), generate

    return intrinsic(tile)


# A tile's sums, some numbers of w and one of x fit the registers: 16 of 8 numbers, or 32 of 16.
_FEATURES = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES  # type: ignore[attr-defined]
ROWS, WIDE = (8, 32) if "+avx512f" in _FEATURES else (6, 16)
_widest_rows, _wide_rows, _narrow_rows, _column = (_tile(ROWS, lanes) for lanes in (WIDE, 16, 4, 1))
_wide_row, _row, _narrow_row, _single = (_tile(1, lanes) for lanes in (64, 16, 4, 1))
_across = _tile(1, 32, across=True)


@njit(**INSIDE)
def _product(x, x_row, x_step, w, w_step, begin, out, rows, columns, depth):
    """out[r, c] = begin[c] + sum over k of x[r * x_row + k * x_step] * w[k * w_step + c]; out is [rows, columns].

    Where ``begin`` is empty, sums begin with 0.
    """
    no = 0 if begin.size > 0 else -1  # c | -1 is -1, which tells a tile so
    r = 0
    while rows - r >= ROWS:
        at, c = r * columns, 0
        while columns - c >= WIDE:
            _widest_rows(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += WIDE
        while columns - c >= 16:
            _wide_rows(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += 16
        while columns - c >= 4:
            _narrow_rows(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += 4
        while columns - c >= 1:
            _column(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += 1
        r += ROWS
    while rows - r >= 1:
        at, c = r * columns, 0
        while columns - c >= 64:
            _wide_row(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += 64
        while columns - c >= 16:
            _row(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += 16
        while columns - c >= 4:
            _narrow_row(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += 4
        while columns - c >= 1:
            _single(x, r * x_row, x_row, x_step, w, c, w_step, begin, c | no, out, at + c, columns, depth)
            c += 1
        r += 1


@njit(**INSIDE)
def _thin_product(tall, thin, begin, out, rows, columns, depth):
    """`_product` of so few columns that vectors run down them: of tall [depth, rows] and thin [depth, columns]."""
    no = 0 if begin.size > 0 else -1
    for c in range(columns):
        r = 0
        while rows - r >= 32:
            _across(thin, c, 0, columns, tall, r, rows, begin, c | no, out, r * columns + c, columns, depth)
            r += 32
        while rows - r >= 1:
            _single(thin, c, 0, columns, tall, r, rows, begin, c | no, out, r * columns + c, columns, depth)
            r += 1


# --- transposition ----------------------------------------------------------------------------------------------------

SIDE = 8  # of the squares that are transposed in registers


def _plain_flip(x, x_first, x_row, out, first, out_row):
    x, out = x.reshape(-1), out.reshape(-1)
    for r in range(SIDE):
        out[first + r : first + r + (SIDE - 1) * out_row + 1 : out_row] = x[x_first + r * x_row :][:SIDE]


@intrinsic
def _compiled_flip(_context, x, x_first, x_row, out, first, out_row):
    """out[first + c * out_row + r] = x[x_first + r * x_row + c] for r and c < SIDE, both counted flat."""

    def generate(context, builder, signature, arguments):
        source, target = _data(context, builder, signature, arguments, 0, 3)
        _, x_first, x_row, _, first, out_row = arguments
        vectors, integer = _Vectors(context, builder, signature.args[0], SIDE), x_first.type
        rows = [vectors.load(source, builder.add(x_first, builder.mul(x_row, integer(r)))) for r in range(SIDE)]
        step = 1
        while step < SIDE:  # swaps the off-diagonal blocks of all squares of 2 * step
            for r in range(SIDE):
                if not r & step:
                    upper, lower = rows[r], rows[r + step]
                    left = [c if not c & step else SIDE + c - step for c in range(SIDE)]
                    right = [c + step if not c & step else SIDE + c for c in range(SIDE)]
                    rows[r] = builder.shuffle_vector(upper, lower, vectors.chosen(left))
                    rows[r + step] = builder.shuffle_vector(upper, lower, vectors.chosen(right))
            step *= 2
        for r in range(SIDE):
            vectors.store(rows[r], target, builder.add(first, builder.mul(out_row, integer(r))))
        return context.get_dummy_value()

    return types.void(x, x_first, x_row, out, first, out_row), generate


_flip = _plain_flip if config.DISABLE_JIT else _compiled_flip  # type: ignore[attr-defined]


@njit(**INSIDE)
def _transpose(x, out):
    """out[c, r] = x[r, c], x being [rows, columns] and out flat."""
    rows, columns = x.shape
    across, down = columns - columns % SIDE, rows - rows % SIDE
    for r in range(0, down, SIDE):
        for c in range(0, across, SIDE):
            _flip(x, r * columns + c, columns, out, c * rows + r, rows)
    for r in range(rows):
        for c in range(across if r < down else 0, columns):
            out[c * rows + r] = x[r, c]


# --- products ---------------------------------------------------------------------------------------------------------

THIN = 4  # columns from which on vectors run along rows


@njit(**KERNEL)
def affine(x, weights, biases, out):
    """out = biases + x @ weights: [n, k], [k, m], [m] into [n, m]. A sum begins with its bias."""
    n, m = out.shape
    _product(x, x.shape[1], 1, weights, m, biases, out, n, m, x.shape[1])


@njit(**KERNEL)
def thin_affine(x, weights, biases, out, room):
    """`affine`, quicker where m < THIN and n is large; ``room`` is flat, of at least as many numbers as ``x``."""
    n, m = out.shape
    _transpose(x, room)
    _thin_product(room, weights, biases, out, n, m, x.shape[1])


@njit(**KERNEL)
def transposed_times(x, delta, out):
    """out = x^T @ delta: [n, k], [n, m] into [k, m]: the gradient of weights. Sums begin with 0."""
    n, m = delta.shape
    if m < THIN:
        _thin_product(x, delta, delta.reshape(delta.size)[:0], out, x.shape[1], m, n)
    else:
        _product(x, 1, x.shape[1], delta, m, delta.reshape(delta.size)[:0], out, x.shape[1], m, n)


@njit(**KERNEL)
def times_transposed(delta, weights, out, room):
    """out = delta @ weights^T: [n, m], [k, m] into [n, k]: the gradient of a layer's input. Sums begin with 0.

    ``room`` is flat, of at least as many numbers as ``weights``, whose transpose is written there.
    """
    k, m = weights.shape
    _transpose(weights, room)
    _product(delta, m, 1, room, k, room[:0], out, out.shape[0], k, m)


# --- sums -------------------------------------------------------------------------------------------------------------


def _plain_sum(a, a_first, b, b_first, out, first):
    a, b, out = a.reshape(-1), b.reshape(-1), out.reshape(-1)
    out[first : first + 16] = a[a_first : a_first + 16] + b[b_first : b_first + 16]


@intrinsic
def _compiled_sum(_context, a, a_first, b, b_first, out, first):
    """out[first + c] = a[a_first + c] + b[b_first + c] for c < 16, all counted flat."""

    def generate(context, builder, signature, arguments):
        left, right, target = _data(context, builder, signature, arguments, 0, 2, 4)
        vectors = _Vectors(context, builder, signature.args[0], 16)
        total = builder.fadd(vectors.load(left, arguments[1]), vectors.load(right, arguments[3]))
        vectors.store(total, target, arguments[5])
        return context.get_dummy_value()

    return types.void(a, a_first, b, b_first, out, first), generate


_sum = _plain_sum if config.DISABLE_JIT else _compiled_sum  # type: ignore[attr-defined]


@njit(**INSIDE)
def add_rows(a, i, b, j, out, k):
    """out[k] = a[i] + b[j], rows of matrices with as many columns; ``out`` may be one of the others."""
    columns = out.shape[1]
    whole = columns - columns % 16
    for c in range(0, whole, 16):
        _sum(a, i * columns + c, b, j * columns + c, out, k * columns + c)
    for c in range(whole, columns):
        out[k, c] = a[i, c] + b[j, c]


# --- a sum of squares -------------------------------------------------------------------------------------------------

LANES = 32


def _plain_squares(x, whole, parts):
    for first in range(0, whole, LANES):
        numbers = x[first : first + LANES].astype(np.float64)
        parts += numbers * numbers


@intrinsic
def _compiled_squares(_context, x, whole, parts):
    """parts[l] += the squares of every LANES-th number from x[l] on, below ``whole``, a multiple of LANES."""

    def generate(context, builder, signature, arguments):
        numbers, sums = _data(context, builder, signature, arguments, 0, 2)
        whole = arguments[1]
        read = _Vectors(context, builder, signature.args[0], LANES)
        added = _Vectors(context, builder, signature.args[2], LANES)
        begun, entry = added.load(sums, whole.type(0)), builder.block
        loop, done = builder.append_basic_block("squares"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", whole, whole.type(0)), loop, done)
        builder.position_at_end(loop)
        first, total = builder.phi(whole.type), builder.phi(added.kind)
        vector = read.load(numbers, first)
        wide = vector if read.kind == added.kind else builder.fpext(vector, added.kind)
        more = builder.fadd(total, builder.fmul(wide, wide))
        following = builder.add(first, whole.type(LANES))
        builder.cbranch(builder.icmp_signed("<", following, whole), loop, done)
        builder.position_at_end(done)
        ended = builder.phi(added.kind)
        for phi, before, after in ((first, whole.type(0), following), (total, begun, more)):
            phi.add_incoming(before, entry)
            phi.add_incoming(after, loop)
        ended.add_incoming(begun, entry)
        ended.add_incoming(more, loop)
        added.store(ended, sums, whole.type(0))
        return context.get_dummy_value()

    return types.void(x, whole, parts), generate


_add_squares = _plain_squares if config.DISABLE_JIT else _compiled_squares  # type: ignore[attr-defined]


@njit(**KERNEL)
def sum_of_squares(x):
    """The sum of the squares of a flat array, float64.

    Every 32nd number is in a sum of its own, so that they can be worked on at the same time; these are added up last.
    """
    parts = np.zeros(LANES)
    whole = x.size - x.size % LANES
    _add_squares(x, whole, parts)
    for i in range(whole, x.size):
        number = np.float64(x[i])
        parts[i - whole] += number * number
    total = 0.0
    for lane in range(LANES):
        total += parts[lane]
    return total
