"""The loops of every loss whose value at a position is a reduction over K elements along one axis, once.

A loss says four small things, each a template (``q`` are its parameters, ``y`` one number of the row: a target of its
own, or the element of the label's class; ``x, t, z`` are one element of up to three dense operands, 1 where absent):

- ``TOPS(x, t, z, y, q)``: up to three numbers whose maxima over the row are wanted first; most losses have none.
- ``SUMS(x, t, z, y, m, q)``: up to four numbers that are added up over the row; ``m`` holds the maxima. With ``WIDE``
  they are float64, for squares that float32 has no room for; else rows add up to 256 of them before float64.
- ``FINISH(s, o, m, y, k, q)``: from the sums ``s``, once a row and in float64: the loss and four coefficients.
- ``SLOPES(x, t, z, y, m, c, q)``: from the coefficients ``c``, the slopes by x, t and z of one element.

A loss whose sums need sums of the whole row says two more, and has at most two numbers in ``SUMS``:

- ``MIDDLE(s, o, q)``: from those sums, once a row and in float64: three numbers ``g``.
- ``LATER(x, t, z, y, m, g, q)``: up to two numbers that are added up in another look at the row: ``s[2]`` and ``s[3]``.

``SOFTMAX``: x is the distance d <= 0 to the largest of the row wherever a template sees it (with ``SOFTMAX_TWO`` so
is t), m holds the maxima, and o what all elements but one that attains the maximum sum to as exp(d), so that small
probabilities are not lost beside a 1: see classification_cpu.py. ``INDEX``: the target is one class index a row; y is
the element of that class, and FINISH returns the slope there as a sixth number, which replaces that of SLOPES.

Two ways through a tile of n positions and some elements of each, with the same templates:

- in rows, where the elements of a row are neighbours in memory: sums in registers;
- in lanes, where positions are neighbours, or rows are short and were turned: one position in each lane of a vector.

Three layers, so that a new loss compiles nothing but its formulas: ``rows`` walks the blocks, finds or copies the
tiles and knows bytes only; ``row_turns``, ``row_copies`` and ``row_positions`` know the dtype; ``row_finish`` and the
loops of rows_loops_cpu.py and rows_lanes_cpu.py, one for each way, know the formulas. All that is said of a position
is float64 until it meets the elements.

What a softmax wants is the same for every loss, and compiled once for all: the maxima of x (with SOFTMAX_TWO of t too),
in which a NaN may be lost that comes back in the sums; and the sums where one class makes the loss, so that nothing is
added up but exponentials.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.lanes_cpu import fetch_lanes, flush_lanes
from fastloss.kernels.launch_cpu import (
    COUNTING,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    GRADIENTS,
    INPUT,
    ITEMS,
    LOSSES,
    PARAMETERS,
    SAMPLE_WEIGHT,
    SCALE,
    SLOTS,
    STATISTICS,
    TARGET,
    THIRD,
    UPSTREAM,
    VALUE,
    WEIGHT,
)
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import (
    ACCUMULATE,
    call_kernel,
    load_double,
    load_int,
    stack_buffer,
    store_double,
    store_int,
)
from fastloss.kernels.streams_cpu import left_of

add_wide, select_wide = ACCUMULATE["float64"], MATH["float64"]["select"]

# Parameters of a launch: C functions first (0 where not needed). LAYOUT is the address of a table: outer, inner and
# element strides of x, t, z and their gradients, in elements; PRESENT has a bit for each. ROW_OPERAND is the slot of
# the operand that y is.
(
    SUMS_FUNCTION,
    FINISH_FUNCTION,
    SLOPES_FUNCTION,
    MOVES_FUNCTION,
    POSITIONS_FUNCTION,
    LAYOUT,
    LENGTH,
    INNER,
    LANES,
    CHUNK,
    BYTES,
    KIND,
    TOPS_FUNCTION,
    STAGE,
    PIECES,
    ROW_OPERAND,
    UPSTREAM_STRIDE,
    IGNORE_INDEX,
    COUNT_CLASS_WEIGHTS,
    HAS_LABELS,
    KEPT_AT,
    PRESENT,
    LATER_FUNCTION,
    Q,
) = range(PARAMETERS, PARAMETERS + 24)
# What the loops see besides: steps (bytes) from one position to the next (rows) or one element to the next (lanes) of
# the six arrays, where each starts at this position, the numbers of the positions, and what streams_cpu.left_of finds.
STEP = SLOTS
ORIGIN, BUFFERS, LEFT = STEP + 6, STEP + 12, STEP + 13
TILE_SLOTS = SLOTS + 14
TILE_SLOTS_BYTES = 8 * TILE_SLOTS

#: Ways through memory.
IN_ROWS, IN_LANES_PLACE, IN_LANES_COPIED = range(3)
#: A huge row is cut in pieces: their sums are noted, folded into coefficients, and the slopes written from those.
WHOLE, NOTE, FOLD, WRITE = range(4)
PIECE = 65536
PART, KEPT = 4, 4  # numbers that are noted of a piece, and kept of a row

#: Positions in a tile at most, and elements of an operand in a tile that is copied.
MAX_LANES = 256
TILE = 2048
TILE_BYTES = 8 * TILE
COPIES_BYTES = 6 * TILE_BYTES
LANE_BYTES = 8 * MAX_LANES

# Numbers of a position, each in a buffer of its own.
(WEIGHTS, SCALES, OWN, LABELS, TOP, SUM, SMALL, MAXIMA, LOSS, COEFFICIENT, LABEL_SLOPE) = (
    0,
    1,
    2,
    3,
    4,
    7,
    11,
    13,
    15,
    16,
    20,
)
BUFFERS_BYTES = 21 * LANE_BYTES
#: What ``MIDDLE`` gives.
MIDDLE_BYTES = 3 * LANE_BYTES

# Modes of sums, of ``row_positions``, and of ``row_turns`` and ``row_copies``.
FIND, ADD, ADD_LATER = range(3)
READ, READ_LABELS, STORE_LOSSES, STORE_LABEL_SLOPES = range(4)
FETCH, FLUSH, NO_MOVE = range(3)


@Template
def parameters_of(arguments):
    return (
        real(load_double(arguments, Q)),
        real(load_double(arguments, Q + 1)),
        real(load_double(arguments, Q + 2)),
        real(load_double(arguments, Q + 3)),
        real(load_double(arguments, Q + 4)),
        real(load_double(arguments, Q + 5)),
    )


@Template
def add_to(address, i, term):
    store_wide(address, i, load_wide(address, i) + term)


@Template
def find_middle(buffers, n, q, middle):
    """What ``MIDDLE`` makes of the sums of n positions: three numbers of each, LANE_BYTES apart."""
    sums = buffers + SUM * LANE_BYTES
    for i in range(n):
        others = 0.0
        if SOFTMAX:
            others = load_wide(buffers + MAXIMA * LANE_BYTES, i) - 1.0 + load_wide(buffers + SMALL * LANE_BYTES, i)
        g = MIDDLE((load_wide(sums, i), load_wide(sums + LANE_BYTES, i)), others, q)
        store_wide(middle, i, g[0])
        store_wide(middle + LANE_BYTES, i, g[1])
        store_wide(middle + 2 * LANE_BYTES, i, g[2])


@Template
def middle_at(middle, i):
    return (
        real(load_wide(middle, i)),
        real(load_wide(middle + LANE_BYTES, i)),
        real(load_wide(middle + 2 * LANE_BYTES, i)),
    )


@Template
def _number(buffers, which, i):
    return real(load_wide(buffers + which * LANE_BYTES, i))


@Template
def row_finish(mode, n, count, tile, partial):
    """From the sums of n positions of ``count`` elements each: losses, coefficients, and the sum of the losses."""
    buffers = load_int(tile, BUFFERS)
    q = parameters_of(tile)
    k = real(count)
    zero, one = real(0.0), real(1.0)
    for i in range(n):
        s = (
            _number(buffers, SUM, i) if SUM_1 else zero,
            _number(buffers, SUM + 1, i) if SUM_2 else zero,
            _number(buffers, SUM + 2, i) if SUM_3 else zero,
            _number(buffers, SUM + 3, i) if SUM_4 else zero,
        )
        m = (
            _number(buffers, TOP, i) if TOP_1 else zero,
            _number(buffers, TOP + 1, i) if TOP_2 else zero,
            _number(buffers, TOP + 2, i) if TOP_3 else zero,
        )
        others0 = others1 = zero
        if SOFTMAX:
            maxima = load_wide(buffers + MAXIMA * LANE_BYTES, i)
            others0 = real((maxima - 1.0) + load_wide(buffers + SMALL * LANE_BYTES, i))
        if SOFTMAX_TWO:
            maxima = load_wide(buffers + (MAXIMA + 1) * LANE_BYTES, i)
            others1 = real((maxima - 1.0) + load_wide(buffers + (SMALL + 1) * LANE_BYTES, i))
        y = real(load_wide(buffers + OWN * LANE_BYTES, i)) if HAS_Y else one
        if SOFTMAX and INDEX:
            y -= m[0]
        result = FINISH(s, (others0, others1), m, y, k, q)
        weight = load_wide(buffers + WEIGHTS * LANE_BYTES, i)
        # A weight of 0 gives 0, whatever it stands before.
        loss = select_wide(weight == 0.0, 0.0, np.float64(result[0]) * weight)
        store_wide(buffers + LOSS * LANE_BYTES, i, loss)
        store_wide(buffers + COEFFICIENT * LANE_BYTES, i, np.float64(result[1]))
        store_wide(buffers + (COEFFICIENT + 1) * LANE_BYTES, i, np.float64(result[2]))
        store_wide(buffers + (COEFFICIENT + 2) * LANE_BYTES, i, np.float64(result[3]))
        store_wide(buffers + (COEFFICIENT + 3) * LANE_BYTES, i, np.float64(result[4]))
        if INDEX:
            store_wide(buffers + LABEL_SLOPE * LANE_BYTES, i, np.float64(result[5]))
    total = 0.0
    for i in range(n):
        total = add_wide(total, load_wide(buffers + LOSS * LANE_BYTES, i))
    store_double(partial, 0, total)


@Template
def row_positions(mode, position, n, tile, partial):
    """What is said of positions, not of elements: weights, labels, upstream gradients, losses."""
    buffers = load_int(tile, BUFFERS)
    weights, labels = buffers + WEIGHTS * LANE_BYTES, buffers + LABELS * LANE_BYTES
    scales, own = buffers + SCALES * LANE_BYTES, buffers + OWN * LANE_BYTES
    layout = load_int(tile, LAYOUT)
    if mode == READ:
        target = load_int(tile, TARGET)
        class_weight = load_int(tile, WEIGHT)
        sample_weight = load_int(tile, SAMPLE_WEIGHT)
        upstream = load_int(tile, UPSTREAM)
        upstream_stride = load_int(tile, UPSTREAM_STRIDE)
        row_operand = load_int(tile, ROW_OPERAND)
        ignore_index = load_int(tile, IGNORE_INDEX)
        length = load_int(tile, LENGTH)
        scale = load_double(tile, SCALE)
        bad = -1
        counted = 0.0
        for i in range(n):
            store_wide(weights, i, 1.0)
        if sample_weight != 0:
            for i in range(n):
                store_wide(weights, i, np.float64(load_real(sample_weight, position + i)))
        if row_operand != 0:
            y = load_int(tile, row_operand)
            for i in range(n):
                store_wide(own, i, np.float64(load_real(y, position + i)))
        if load_int(tile, HAS_LABELS) != 0:
            # With a 2, the third operand has a factor for each class that the mean does not divide by.
            class_factor = load_int(tile, THIRD) if load_int(tile, HAS_LABELS) == 2 else 0
            for i in range(n):
                label = load_index(target, position + i)
                ignored = label == ignore_index
                outside = (label < 0) | (label >= length)
                if bad < 0 and outside and not ignored:
                    bad = position + i
                store_wide_index(labels, i, 0 if outside or ignored else label)
                weight = 0.0 if ignored else load_wide(weights, i)
                counts = weight
                if not ignored and not outside:
                    if class_weight != 0:
                        weight *= np.float64(load_real(class_weight, label))
                        if load_int(tile, COUNT_CLASS_WEIGHTS) != 0:
                            counts = weight
                    if class_factor != 0:
                        weight *= np.float64(load_real(class_factor, label))
                counted += counts
                store_wide(weights, i, weight)
        else:
            for i in range(n):
                counted = add_wide(counted, load_wide(weights, i))
        for i in range(n):
            store_wide(scales, i, scale * load_wide(weights, i))
        if upstream != 0:
            for i in range(n):
                u = np.float64(load_real(upstream, (position + i) * upstream_stride))
                store_wide(scales, i, load_wide(scales, i) * u)
        store_double(partial, 1, counted)
        store_int(partial, 2, bad)
    elif mode == READ_LABELS:
        x = load_int(tile, ORIGIN)
        for i in range(n):
            at = i * load_int(layout, 1) + load_wide_index(labels, i) * load_int(layout, 2)
            store_wide(own, i, np.float64(load(x, at)))
    elif mode == STORE_LOSSES:
        losses = load_int(tile, LOSSES)
        for i in range(n):
            store_real(losses, position + i, real(load_wide(buffers + LOSS * LANE_BYTES, i)))
    else:
        gx = load_int(tile, ORIGIN + 3)
        for i in range(n):
            at = i * load_int(layout, 10) + load_wide_index(labels, i) * load_int(layout, 11)
            dead = load_wide(weights, i) == 0.0
            slope = load_wide(buffers + LABEL_SLOPE * LANE_BYTES, i) * load_wide(scales, i)
            store(gx, at, real(0.0) if dead else real(slope))


@Template
def row_turns(mode, n, count, move, partial):
    """A tile that is worked on in lanes, turned if need be, from memory or to it."""
    memory, copy, lanes = load_int(move, 0), load_int(move, 3), load_int(move, 4)
    if mode == FETCH:
        fetch_lanes(memory, load_int(move, 1), load_int(move, 2), count, n, copy, lanes)
    else:
        flush_lanes(copy, lanes, memory, load_int(move, 1), load_int(move, 2), count, n)


@Template
def row_copies(mode, n, count, move, partial):
    """A tile that is worked on in rows, from memory where elements are no neighbours, or to it."""
    stride, position_stride = load_int(move, 1), load_int(move, 2)
    for r in range(n):
        memory = load_int(move, 0) + r * position_stride * ITEMSIZE
        copy = load_int(move, 3) + r * count * ITEMSIZE
        if mode == FETCH:
            for i in range(count):
                gather(copy, i, load(memory, i * stride))
        else:
            for i in range(count):
                store(memory, i * stride, load(copy, i))


@Template
def _place(tile, array, begin, n, count, copies, move, mode):
    # Where elements begin .. begin+count of n positions of an array stand: in place, or in a copy, which is fetched
    # (FETCH), left to be written (NO_MOVE), or brought back (FLUSH).
    size, kind = load_int(tile, BYTES), load_int(tile, KIND)
    strides = load_int(tile, LAYOUT) + 24 * array
    position_stride, stride = load_int(strides, 1), load_int(strides, 2)
    address = load_int(tile, ORIGIN + array) + begin * stride * size
    step = (position_stride if kind == IN_ROWS else stride) * size
    if kind == IN_LANES_COPIED or (kind == IN_ROWS and stride != 1):
        copy = copies + array * TILE_BYTES
        if mode != NO_MOVE:
            store_int(move, 0, address)
            store_int(move, 1, stride)
            store_int(move, 2, position_stride)
            store_int(move, 3, copy)
            call_kernel(load_int(tile, MOVES_FUNCTION), mode, n, count, move, move)
        address = copy
        step = count * size if kind == IN_ROWS else load_int(move, 4) * max(4, size)
    store_int(tile, _slot(array), address)
    store_int(tile, STEP + array, step)


@Template
def _slot(array):
    return INPUT + array if array < 3 else GRAD_INPUT - 3 + array


@Template
def _fill(buffer, n, value):
    for i in range(n):
        store_double(buffer, i, value)


@Template
def rows(phase, low, high, arguments, partial):
    """Walk positions low .. high, or pieces of positions."""
    flags = load_int(arguments, FLAGS)
    size = load_int(arguments, BYTES)
    length = load_int(arguments, LENGTH)
    inner = load_int(arguments, INNER)
    lanes = load_int(arguments, LANES)
    chunk = load_int(arguments, CHUNK)
    layout = load_int(arguments, LAYOUT)
    stage = load_int(arguments, STAGE)
    pieces = load_int(arguments, PIECES)
    tops_function = load_int(arguments, TOPS_FUNCTION)
    later_function = load_int(arguments, LATER_FUNCTION)
    present = load_int(arguments, PRESENT)
    labelled = load_int(arguments, HAS_LABELS) != 0
    positions_function = load_int(arguments, POSITIONS_FUNCTION)
    losses = load_int(arguments, LOSSES)
    noted = load_int(arguments, STATISTICS)
    coefficients = noted + load_int(arguments, KEPT_AT)

    buffers = stack_buffer(BUFFERS_BYTES)
    copies = stack_buffer(COPIES_BYTES)
    move = stack_buffer(64)
    tile = stack_buffer(TILE_SLOTS_BYTES)
    for slot in range(SLOTS):
        store_int(tile, slot, load_int(arguments, slot))
    store_int(tile, BUFFERS, buffers)
    each = PIECE if stage == NOTE or stage == WRITE else length
    store_int(tile, LEFT, left_of(load_int(arguments, ITEMS), high, each * size))
    store_int(move, 4, lanes)
    if positions_function == 0:
        _fill(buffers + WEIGHTS * LANE_BYTES, MAX_LANES, 1.0)
        _fill(buffers + SCALES * LANE_BYTES, MAX_LANES, load_double(arguments, SCALE))

    total = 0.0
    counted = 0.0
    bad = -1
    item = low
    while item < high and bad < 0:
        position, first, last, n = item, 0, length, 1
        if stage == NOTE or stage == WRITE:
            position = item // pieces
            first = (item - position * pieces) * PIECE
            last = min(length, first + PIECE)
        outer_index = position // inner
        inner_index = position - outer_index * inner
        if stage == WHOLE or stage == FOLD:
            n = min(min(lanes, high - item), inner - inner_index)
        done = item
        item += n
        if positions_function != 0:
            call_kernel(positions_function, READ, position, n, tile, partial)
            counted += load_double(partial, 1)
            bad = load_int(partial, 2)
        else:
            counted += n
        if phase == COUNTING or bad >= 0:
            continue
        for array in range(6):
            offset = outer_index * load_int(layout, 3 * array) + inner_index * load_int(layout, 3 * array + 1)
            store_int(tile, ORIGIN + array, load_int(arguments, _slot(array)) + offset * size)
        if labelled:
            call_kernel(positions_function, READ_LABELS, position, n, tile, partial)

        located = -1
        if stage == WHOLE or stage == NOTE:
            for j in range(TOP, LOSS):
                _fill(buffers + j * LANE_BYTES, n, -np.inf if j < SUM else 0.0)
            for mode in range(FIND if tops_function != 0 else ADD, ADD_LATER + 1 if later_function != 0 else ADD_LATER):
                function = load_int(arguments, SUMS_FUNCTION)
                if mode != ADD:
                    function = later_function if mode == ADD_LATER else tops_function
                for begin in range(first, last, chunk):
                    count = min(chunk, last - begin)
                    if begin != located:
                        for array in range(3):
                            if present & (1 << array):
                                _place(tile, array, begin, n, count, copies, move, FETCH)
                        located = begin
                    call_kernel(function, mode, n, count, tile, partial)
        if stage == NOTE:
            for j in range(PART):
                store_double(noted, PART * done + j, load_double(buffers + (SUM + j) * LANE_BYTES, 0))
            continue
        if stage == FOLD:
            for j in range(PART):
                _fill(buffers + (SUM + j) * LANE_BYTES, n, 0.0)
            for i in range(n):
                for piece in range(pieces):
                    for j in range(PART):
                        at = buffers + (SUM + j) * LANE_BYTES
                        own = load_double(noted, PART * ((position + i) * pieces + piece) + j)
                        store_double(at, i, load_double(at, i) + own)
        if stage == WRITE:
            for j in range(KEPT):
                store_double(
                    buffers + (COEFFICIENT + j) * LANE_BYTES, 0, load_double(coefficients, KEPT * position + j)
                )
        else:
            call_kernel(load_int(arguments, FINISH_FUNCTION), 0, n, length, tile, partial)
            if flags & VALUE:
                total += load_double(partial, 0)
                if losses != 0:
                    call_kernel(positions_function, STORE_LOSSES, position, n, tile, partial)
        if stage == FOLD:
            for i in range(n):
                for j in range(KEPT):
                    number = load_double(buffers + (COEFFICIENT + j) * LANE_BYTES, i)
                    store_double(coefficients, KEPT * (position + i) + j, number)
            continue
        if flags & GRADIENTS:
            for begin in range(first, last, chunk):
                count = min(chunk, last - begin)
                for array in range(6):
                    if present & (1 << array) and (array >= 3 or begin != located):
                        _place(tile, array, begin, n, count, copies, move, FETCH if array < 3 else NO_MOVE)
                located = begin
                call_kernel(load_int(arguments, SLOPES_FUNCTION), 0, n, count, tile, partial)
                for array in range(3, 6):
                    if present & (1 << array):
                        _place(tile, array, begin, n, count, copies, move, FLUSH)
            if labelled and flags & GRAD:
                call_kernel(positions_function, STORE_LABEL_SLOPES, position, n, tile, partial)
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
