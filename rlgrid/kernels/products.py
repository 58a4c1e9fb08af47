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
from numba.core import cgutils, types
from numba.extending import intrinsic

KERNEL: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INSIDE = KERNEL | {"no_cpython_wrapper": True}


def _plain_tile(rows, lanes):
    """What a compiled tile does, in plain NumPy."""

    def tile(x, x_first, x_row, x_step, w, w_first, w_step, out, first, out_row, depth):
        x, w, out = x.reshape(-1), w.reshape(-1), out.reshape(-1)
        for r in range(rows):
            at = first + r * out_row
            total = out[at : at + lanes].copy()
            for k in range(depth):
                below = w_first + k * w_step
                total += x[x_first + r * x_row + k * x_step] * w[below : below + lanes]
            out[at : at + lanes] = total

    return tile


def _tile(rows, lanes):
    """The function that works on a tile of so many rows by so many columns (``lanes``).

    For r < rows and c < lanes it adds to out[first + r * out_row + c], one k < depth after the other,
    x[x_first + r * x_row + k * x_step] * w[w_first + k * w_step + c]. Arrays are counted flat.
    """
    if config.DISABLE_JIT:
        return _plain_tile(rows, lanes)

    def generate(context, builder, signature, arguments):
        ir = cgutils.ir
        x, w, out = (context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (0, 4, 7))
        _, x_first, x_row, x_step, _, w_first, w_step, _, first, out_row, depth = arguments
        number = context.get_value_type(signature.args[0].dtype)
        size = context.get_abi_sizeof(number)
        vector = number if lanes == 1 else ir.VectorType(number, lanes)
        integer = depth.type

        def place(data, index):
            return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())

        def load(data, index):
            loaded = builder.load(place(data, index))
            loaded.align = size
            return loaded

        def spread(value):
            if lanes == 1:
                return value
            empty = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

        targets = [builder.add(first, builder.mul(out_row, ir.Constant(integer, r))) for r in range(rows)]
        sources = [builder.add(x_first, builder.mul(x_row, ir.Constant(integer, r))) for r in range(rows)]
        begun = [load(out, target) for target in targets]
        entry = builder.block
        loop, done = builder.append_basic_block("terms"), builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", depth, ir.Constant(integer, 0)), loop, done)
        builder.position_at_end(loop)
        k = builder.phi(integer)
        totals = [builder.phi(vector) for _ in range(rows)]
        below = load(w, builder.add(w_first, builder.mul(k, w_step)))
        along = builder.mul(k, x_step)
        sums = []
        for r in range(rows):
            value = builder.load(builder.gep(x, [builder.add(sources[r], along)]))
            sums.append(builder.fadd(totals[r], builder.fmul(spread(value), below)))
        following = builder.add(k, ir.Constant(integer, 1))
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)
        k.add_incoming(ir.Constant(integer, 0), entry)
        k.add_incoming(following, loop)
        for r in range(rows):
            totals[r].add_incoming(begun[r], entry)
            totals[r].add_incoming(sums[r], loop)
        builder.position_at_end(done)
        ended = [builder.phi(vector) for _ in range(rows)]
        for r in range(rows):
            ended[r].add_incoming(begun[r], entry)
            ended[r].add_incoming(sums[r], loop)
        for r in range(rows):
            builder.store(ended[r], place(out, targets[r])).align = size
        return context.get_dummy_value()

    def tile(_context, x, x_first, x_row, x_step, w, w_first, w_step, out, first, out_row, depth):
        index = types.intp
        return types.void(x, index, index, index, w, index, index, out, index, index, index), generate

    return intrinsic(tile)


ROWS = 6  # of a tile: its sums, a row of w and a number of x fit 16 registers of 8 numbers, and are enough of 16
_wide_rows, _wide_row = _tile(ROWS, 16), _tile(1, 64)
_row = _tile(1, 16)
_narrow_rows, _narrow_row = _tile(ROWS, 4), _tile(1, 4)
_column, _single = _tile(ROWS, 1), _tile(1, 1)


@njit(**INSIDE)
def _add_product(x, x_row, x_step, w, w_step, out, rows, columns, depth):
    """out[r, c] += sum over k of x[r * x_row + k * x_step] * w[k * w_step + c]; out is [rows, columns]."""
    r = 0
    while rows - r >= ROWS:
        c = 0
        while columns - c >= 16:
            _wide_rows(x, r * x_row, x_row, x_step, w, c, w_step, out, r * columns + c, columns, depth)
            c += 16
        while columns - c >= 4:
            _narrow_rows(x, r * x_row, x_row, x_step, w, c, w_step, out, r * columns + c, columns, depth)
            c += 4
        while columns - c >= 1:
            _column(x, r * x_row, x_row, x_step, w, c, w_step, out, r * columns + c, columns, depth)
            c += 1
        r += ROWS
    while rows - r >= 1:
        c = 0
        while columns - c >= 64:
            _wide_row(x, r * x_row, x_row, x_step, w, c, w_step, out, r * columns + c, columns, depth)
            c += 64
        while columns - c >= 16:
            _row(x, r * x_row, x_row, x_step, w, c, w_step, out, r * columns + c, columns, depth)
            c += 16
        while columns - c >= 4:
            _narrow_row(x, r * x_row, x_row, x_step, w, c, w_step, out, r * columns + c, columns, depth)
            c += 4
        while columns - c >= 1:
            _single(x, r * x_row, x_row, x_step, w, c, w_step, out, r * columns + c, columns, depth)
            c += 1
        r += 1


@njit(**KERNEL)
def affine(x, weights, biases, out):
    """out = biases + x @ weights: [n, k], [k, m], [m] into [n, m]. A sum begins with its bias."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = biases[j]
    _add_product(x, x.shape[1], 1, weights, out.shape[1], out, out.shape[0], out.shape[1], x.shape[1])


@njit(**KERNEL)
def transposed_times(x, delta, out):
    """out = x^T @ delta: [n, k], [n, m] into [k, m]: the gradient of weights. Sums begin with 0."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0
    _add_product(x, 1, x.shape[1], delta, out.shape[1], out, out.shape[0], out.shape[1], x.shape[0])


@njit(**KERNEL)
def times_transposed(delta, weights, out, room):
    """out = delta @ weights^T: [n, m], [k, m] into [n, k]: the gradient of a layer's input. Sums begin with 0.

    ``room`` is flat, of at least as many numbers as ``weights``, whose transpose is written there.
    """
    k, m = weights.shape
    for first in range(0, m, 16):  # few rows of the transpose at a time stay in the cache
        for i in range(k):
            for j in range(first, min(first + 16, m)):
                room[j * k + i] = weights[i, j]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0
    _add_product(delta, m, 1, room, k, out, out.shape[0], k, m)


LANES = 32


@njit(**KERNEL)
def sum_of_squares(x):
    """The sum of the squares of a flat array, float64.

    Every 32nd number is in a sum of its own, so that they can be worked on at the same time; these are added up last.
    """
    parts = np.zeros(LANES)
    whole = x.size - x.size % LANES
    for first in range(0, whole, LANES):
        for lane in range(LANES):
            number = np.float64(x[first + lane])
            parts[lane] += number * number
    for i in range(whole, x.size):
        number = np.float64(x[i])
        parts[i - whole] += number * number
    total = 0.0
    for lane in range(LANES):
        total += parts[lane]
    return total
