"""Overlap of masks: Dice, Jaccard and Tversky losses, from sums of each class over many positions.

With p the probability of a class at a position, t its target and w the position's weight:

    I = sum w p t,   F = sum w p (1 - t),   M = sum w (1 - p) t          (hits, false alarms, misses)
    N = a F + b M,   D = I + N + s,   loss = (N / D)^gamma = (1 - (I + s) / D)^gamma

Dice is a = b = 1/2 (with half the smoothing of its usual form), Jaccard a = b = 1. All terms have one sign and 1 - p
comes from the logits, so a loss of 1e-30 is as exact as one of 1; with P = sum p and T = sum t, 1 - 2 I / (P + T)
would cancel. An empty class, with D = 0, is perfect: loss and slopes are 0.

Three launches. The first adds up (I, F, M) of each class over chunks of the positions of an image. ``fold`` adds up
the chunks of each image and class in their order and knows the formula: it gives the loss, and keeps the two numbers
that all gradients are made of, d loss / d I and d loss / d N. From these the third launch writes gradients:

    d loss / d p = w (t (dI - b dN) + (1 - t) a dN)       d loss / d t = w (p (dI - a dN) + (1 - p) b dN)

and, with g = d loss / d p, through the sigmoid g p (1 - p), through the softmax p_c (g_c - sum_k p_k g_k). There g is
taken relative to the most probable class's, so that nothing cancels where one p is nearly 1.

In layers, so that a new variant compiles nothing but its own loops:

- ``walk`` goes through the chunks in tiles of [classes x lanes], a lane being a position, and finds where each
  operand's tile is: in place where lanes are neighbours of the arithmetic's type, else in a buffer, which
  ``fetch_tile`` fills and ``flush_tile`` empties. It knows bytes only and is compiled once for all.
- The steps of a plan run over one tile, one after the other: ``marks`` (labels and weights), ``softmax``,
  ``live_lanes``, and ``add_up`` or the two slopes. The first three need the dtype alone.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.lanes_cpu import GROUP_BYTES, LANE_GROUP, beside_tops, fetch_lanes, flush_lanes, largest_of_lanes
from fastloss.kernels.launch_cpu import (
    LOSSES,
    NO_MEMORY,
    PARAMETERS,
    SCALE,
    STATISTICS,
    THIRD,
    UPSTREAM,
    WEIGHT,
)
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import (
    allocate,
    call_kernel,
    load_double,
    load_int,
    release,
    stack_buffer,
    store_double,
    store_int,
)

#: The operand that takes the doubles which a chunk leaves of each class: I, F, M.
PARTS = THIRD
SUMS = 3
SUMS_BYTES = 8 * SUMS
#: Parameters of a launch: the address of the table of ``walk``, and what steps read. IGNORED is an
#: integer among class indices, a float64 among dense targets.
TABLE, CLASSES, PIECES, IGNORED, UPSTREAM_STRIDE, ALPHA, BETA, SMOOTH, GAMMA = range(PARAMETERS, PARAMETERS + 9)

# The table. IMAGE is the number of positions of an image (of all, where sums are taken over the batch), CHUNK that of a
# chunk; ROW the bytes of one number for each lane; MEMORY_BYTES what all buffers need.
# Functions, 0 where there is none; STEPS are those of a tile, in their order. Then the operands.
INNER, IMAGE, CHUNK, LANES, ROW, MEMORY_BYTES, FETCH, FLUSH, COEFFICIENTS, STEPS = range(10)
MAX_STEPS = 5
OPERANDS = STEPS + MAX_STEPS
# Of each operand: its address among the arguments, strides in bytes by outer and inner position and class, where its
# tile is, and the offset of its buffer.
SLOT, OUTER_STRIDE, INNER_STRIDE, CLASS_STRIDE, PLACE, BUFFER = range(6)
OPERAND_SLOTS = 6
X, T, W, X_GRAD, T_GRAD = range(5)
TABLE_SLOTS = OPERANDS + 5 * OPERAND_SLOTS
ABSENT, IN_PLACE, FETCHED, FLUSHED = range(4)

# What a step is told of its tile: the buffers, ROW, the chunk's sums, the first impossible label (or -1); and of each
# operand its address and the bytes from class to class and from lane to lane.
MEMORY, TILE_ROW, TILE_SUMS, BAD, ADDRESSES = range(5)
TILE_BYTES = 8 * (ADDRESSES + 3 * 5)
X_ADDRESS, T_ADDRESS, W_ADDRESS, X_GRAD_ADDRESS, T_GRAD_ADDRESS = range(ADDRESSES, ADDRESSES + 15, 3)
# Buffers of one number for each lane; then the coefficients, four of each class, the softmax's [classes x lanes], and
# those of operands.
LABEL, LANE_WEIGHT, TOP, SMALL, OVER_SUM, GROUP, LIVE, DOT = range(8)
LANE_ROWS = 8

#: Classes whose exponentials are added in one go; the sums of such groups are then added.
GROUP_CLASSES = 64
NOBODY = -1.0  # the label of a position that does not count

_pow = MATH["float64"]["pow"]


@Template
def fetch_tile(buffer, n, classes, operand, lanes):
    """``n`` lanes of all classes from memory of any strides into a buffer."""
    fetch_lanes(
        load_int(operand, 0),
        load_int(operand, 1) // ITEMSIZE,
        load_int(operand, 2) // ITEMSIZE,
        classes,
        n,
        buffer,
        lanes,
    )


@Template
def flush_tile(buffer, n, classes, operand, lanes):
    """The way back."""
    flush_lanes(
        buffer,
        lanes,
        load_int(operand, 0),
        load_int(operand, 1) // ITEMSIZE,
        load_int(operand, 2) // ITEMSIZE,
        classes,
        n,
    )


@Template
def walk(phase, low, high, arguments, partial):
    """Chunks ``low`` to ``high`` in tiles: see the head of this file."""
    table = load_int(arguments, TABLE)
    classes = load_int(arguments, CLASSES)
    pieces = load_int(arguments, PIECES)
    inner_length = load_int(table, INNER)
    image_length = load_int(table, IMAGE)
    length = load_int(table, CHUNK)
    lanes = load_int(table, LANES)
    row = load_int(table, ROW)
    parts = load_int(arguments, PARTS)
    begin = load_int(table, COEFFICIENTS)
    tile = stack_buffer(TILE_BYTES)
    moved = stack_buffer(24)
    memory = allocate(load_int(table, MEMORY_BYTES))
    if memory == 0:
        store_int(partial, 2, NO_MEMORY)
        return
    store_int(tile, MEMORY, memory)
    store_int(tile, TILE_ROW, row)
    store_int(tile, BAD, -1)
    for chunk in range(low, high):
        image = chunk // pieces
        start = image * image_length + (chunk - image * pieces) * length
        end = min(start + length, (image + 1) * image_length)
        if begin != 0:
            call_kernel(begin, image, 0, classes, arguments, memory + LANE_ROWS * row)
        else:
            sums = parts + SUMS_BYTES * classes * chunk
            store_int(tile, TILE_SUMS, sums)
            for i in range(SUMS * classes):
                store_double(sums, i, 0.0)
        while start < end and load_int(tile, BAD) < 0:
            outer = start // inner_length
            inner = start - outer * inner_length
            n = min(min(lanes, end - start), inner_length - inner)
            for i in range(5):
                operand = table + 8 * (OPERANDS + i * OPERAND_SLOTS)
                place = load_int(operand, PLACE)
                if place != ABSENT:
                    address = load_int(arguments, load_int(operand, SLOT)) + (
                        outer * load_int(operand, OUTER_STRIDE) + inner * load_int(operand, INNER_STRIDE)
                    )
                    class_stride = load_int(operand, CLASS_STRIDE)
                    if place != IN_PLACE:
                        buffer = memory + load_int(operand, BUFFER)
                        if place == FETCHED:
                            store_int(moved, 0, address)
                            store_int(moved, 1, class_stride)
                            store_int(moved, 2, load_int(operand, INNER_STRIDE))
                            call_kernel(load_int(table, FETCH), buffer, n, classes, moved, lanes)
                        address, class_stride = buffer, row
                    store_int(tile, ADDRESSES + 3 * i, address)
                    store_int(tile, ADDRESSES + 3 * i + 1, class_stride)
                    store_int(tile, ADDRESSES + 3 * i + 2, load_int(operand, INNER_STRIDE))
            for i in range(MAX_STEPS):
                step = load_int(table, STEPS + i)
                if step != 0:
                    call_kernel(step, start, n, classes, tile, arguments)
            for i in range(X_GRAD, T_GRAD + 1):
                operand = table + 8 * (OPERANDS + i * OPERAND_SLOTS)
                if load_int(operand, PLACE) == FLUSHED:
                    address = load_int(arguments, load_int(operand, SLOT)) + (
                        outer * load_int(operand, OUTER_STRIDE) + inner * load_int(operand, INNER_STRIDE)
                    )
                    store_int(moved, 0, address)
                    store_int(moved, 1, load_int(operand, CLASS_STRIDE))
                    store_int(moved, 2, load_int(operand, INNER_STRIDE))
                    call_kernel(load_int(table, FLUSH), memory + load_int(operand, BUFFER), n, classes, moved, lanes)
            start += n
    release(memory)
    store_double(partial, 0, 0.0)
    store_double(partial, 1, 0.0)
    store_int(partial, 2, load_int(tile, BAD))


@Template
def marks(start, n, classes, tile, arguments):
    """The weights of a tile's positions, and their labels: NOBODY for those that do not count."""
    memory, step = load_int(tile, MEMORY), load_int(tile, TILE_ROW)
    zero, nobody = real(0.0), real(NOBODY)
    weight = memory + LANE_WEIGHT * step
    if WEIGHTED:
        weights = load_int(tile, W_ADDRESS)
        stride = load_int(tile, W_ADDRESS + 2) // REALSIZE
        for r in range(n):
            store_tile(weight, r, load_real(weights, r * stride))
    if INDEX:
        ignored = load_int(arguments, IGNORED)
        label = memory + LABEL * step
        labels = load_int(tile, T_ADDRESS)
        stride = load_int(tile, T_ADDRESS + 2) // 8
        wrong = 0
        for r in range(n):
            index = load_index(labels, r * stride)
            outside = (index < 0) | (index >= classes)
            wrong += outside & (index != ignored)
            skip = outside | (index == ignored)
            if WEIGHTED:
                skip |= load_tile(weight, r) == zero
            store_tile(label, r, select(skip, nobody, real(index)))
        if wrong > 0:
            for r in range(n):
                index = load_index(labels, r * stride)
                if load_int(tile, BAD) < 0 and index != ignored and (index < 0 or index >= classes):
                    store_int(tile, BAD, start + r)


@Template
def live_lanes(start, n, classes, tile, arguments):
    """For a softmax of dense targets: 0 in the lanes where no class counts, else 1."""
    memory, step = load_int(tile, MEMORY), load_int(tile, TILE_ROW)
    zero, one = real(0.0), real(1.0)
    ignored = real(load_double(arguments, IGNORED))
    t, t_step = load_int(tile, T_ADDRESS), load_int(tile, T_ADDRESS + 1)
    live = memory + LIVE * step
    for r in range(n):
        store_tile(live, r, zero)
    for c in range(classes):
        for r in range(n):
            skip = load_real(t + c * t_step, r) == ignored
            if WEIGHTED:
                skip |= load_tile(memory + LANE_WEIGHT * step, r) == zero
            store_tile(live, r, select(skip, load_tile(live, r), one))


@Template
def softmax(start, n, classes, tile, arguments):
    """exp(x - max) of a tile; 1 / sum in OVER_SUM, and in SMALL 1 - p of the most probable class.

    p is the exponential times OVER_SUM; 1 - p is SMALL where the exponential is 1, for there it would cancel, and
    1 - p elsewhere, where p <= 1/2.
    """
    memory, step = load_int(tile, MEMORY), load_int(tile, TILE_ROW)
    zero, one = real(0.0), real(1.0)
    x, x_step = load_int(tile, X_ADDRESS), load_int(tile, X_ADDRESS + 1)
    top, small, over_sum, group = (
        memory + TOP * step,
        memory + SMALL * step,
        memory + OVER_SUM * step,
        memory + GROUP * step,
    )
    exponentials = memory + LANE_ROWS * step + 4 * classes * REALSIZE
    in_place = x != exponentials
    if in_place:
        for c in range(classes):
            for r in range(n):
                store_tile(exponentials + c * step, r, load_real(x + c * x_step, r))
    for r in range(n):
        store_tile(small, r, zero)
        store_tile(over_sum, r, zero)
    for base in range(0, n, LANE_GROUP):
        largest_of_lanes(exponentials + base * REALSIZE, step, classes, top + base * REALSIZE)
    for first in range(0, classes, GROUP_CLASSES):
        last = min(classes, first + GROUP_CLASSES)
        for base in range(0, n, LANE_GROUP):
            at = base * REALSIZE
            ahead = x + (n + base) * REALSIZE if in_place else 0
            beside_tops(exponentials + at, step, first, last, top + at, ahead, x_step, group + at, over_sum + at)
        for r in range(n):
            store_tile(small, r, load_tile(small, r) + load_tile(group, r))
    for r in range(n):
        others = (load_tile(over_sum, r) - one) + load_tile(small, r)
        over = one / (one + others)
        store_tile(over_sum, r, over)
        store_tile(small, r, others * over)


@Template
def _pair(x, exponentials, over_sum, small, r):
    # (p, 1 - p) of lane r; x and the softmax's buffer are those of the class.
    one = real(1.0)
    if SOFTMAX:
        e = load_tile(exponentials, r)
        p = e * load_tile(over_sum, r)
        return p, select(e == one, load_tile(small, r), one - p)
    xr = load_real(x, r)
    if SIGMOID:
        e = exp_nonpositive(-fabs(xr))
        large = one / (one + e)
        less = e * large
        right = xr >= real(0.0)
        return select(right, large, less), select(right, less, large)
    return xr, one - xr


@Template
def add_up(start, n, classes, tile, arguments):
    """(I, F, M) of each class."""
    memory, step = load_int(tile, MEMORY), load_int(tile, TILE_ROW)
    zero, one = real(0.0), real(1.0)
    x, x_step = load_int(tile, X_ADDRESS), load_int(tile, X_ADDRESS + 1)
    t, t_step = load_int(tile, T_ADDRESS), load_int(tile, T_ADDRESS + 1)
    sums = load_int(tile, TILE_SUMS)
    label, weight, over_sum, small = (
        memory + LABEL * step,
        memory + LANE_WEIGHT * step,
        memory + OVER_SUM * step,
        memory + SMALL * step,
    )
    exponentials = memory + LANE_ROWS * step + 4 * classes * REALSIZE
    if DENSE:
        ignored = real(load_double(arguments, IGNORED))
    for c in range(classes):
        hits, alarms, misses = zero, zero, zero
        own = real(c)
        for r in range(n):
            p, q = _pair(x + c * x_step, exponentials + c * step, over_sum, small, r)
            if WEIGHTED:
                p *= load_tile(weight, r)
                q *= load_tile(weight, r)
            if INDEX:
                mine = load_tile(label, r)
                hits = accumulate(hits, select(mine == own, p, zero))
                alarms = accumulate(alarms, select((mine == own) | (mine < zero), zero, p))
                misses = accumulate(misses, select(mine == own, q, zero))
            if DENSE:
                tr = load_real(t + c * t_step, r)
                skip = tr == ignored
                if WEIGHTED:
                    skip |= load_tile(weight, r) == zero
                hits = accumulate(hits, select(skip, zero, p * tr))
                alarms = accumulate(alarms, select(skip, zero, p * (one - tr)))
                misses = accumulate(misses, select(skip, zero, q * tr))
        at = SUMS * c
        store_double(sums, at, load_double(sums, at) + hits)
        store_double(sums, at + 1, load_double(sums, at + 1) + alarms)
        store_double(sums, at + 2, load_double(sums, at + 2) + misses)


@Template
def _clamped(value):
    # The nearest finite number of the arithmetic's type; NaN stays.
    largest = 3.4028234663852886e38 if REALSIZE == 4 else 1.7976931348623157e308
    if value > largest:
        value = largest
    if value < -largest:
        value = -largest
    return real(value)


@Template
def fold(phase, low, high, arguments, partial):
    """Losses and statistics of the groups ``low`` to ``high``: image times classes plus class."""
    parts = load_int(arguments, PARTS)
    weights = load_int(arguments, WEIGHT)
    losses = load_int(arguments, LOSSES)
    statistics = load_int(arguments, STATISTICS)
    classes = load_int(arguments, CLASSES)
    pieces = load_int(arguments, PIECES)
    alpha = load_double(arguments, ALPHA)
    beta = load_double(arguments, BETA)
    smooth = load_double(arguments, SMOOTH)
    gamma = load_double(arguments, GAMMA)
    total = 0.0
    counted = 0.0
    for group in range(low, high):
        image = group // classes
        c = group - image * classes
        hits, alarms, misses = 0.0, 0.0, 0.0
        for piece in range(image * pieces, (image + 1) * pieces):
            sums = parts + SUMS_BYTES * (piece * classes + c)
            hits += load_double(sums, 0)
            alarms += load_double(sums, 1)
            misses += load_double(sums, 2)
        # A weight of 0 before a sum that is not finite is 0.
        errors = (0.0 if alpha == 0.0 else alpha * alarms) + (0.0 if beta == 0.0 else beta * misses)
        kept = hits + smooth
        whole = kept + errors
        loss, by_hits, by_errors = 0.0, 0.0, 0.0
        if whole != 0.0:
            loss = errors / whole
            by_hits = -(loss / whole)
            by_errors = kept / whole / whole
        if gamma != 1.0:
            factor = 0.0 if loss == 0.0 else gamma * _pow(loss, gamma - 1.0)
            by_hits *= factor
            by_errors *= factor
            loss = _pow(loss, gamma)
        w = 1.0
        if weights != 0:
            w = np.float64(load_real(weights, c))
        loss = 0.0 if w == 0.0 else loss * w
        total += loss
        counted += w
        if losses != 0:
            store_real(losses, group, real(loss))
        # Finite, for they are multiplied by targets and probabilities of 0.
        store_real(statistics, 2 * group, _clamped(by_hits))
        store_real(statistics, 2 * group + 1, _clamped(by_errors))
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, -1)


@Template
def coefficients(image, n, classes, arguments, out):
    """Of each class of an image: d / d p where t is 1 and where it is 0, d / d t where p is 1 and where it is 0."""
    statistics = load_int(arguments, STATISTICS)
    weights = load_int(arguments, WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    stride = load_int(arguments, UPSTREAM_STRIDE)
    alpha = load_double(arguments, ALPHA)
    beta = load_double(arguments, BETA)
    for c in range(classes):
        group = image * classes + c
        scale = load_double(arguments, SCALE)
        if upstream != 0:
            scale *= load_real(upstream, group * stride)
        if weights != 0:
            scale *= load_real(weights, c)
        by_hits = scale * load_real(statistics, 2 * group)
        by_errors = scale * load_real(statistics, 2 * group + 1)
        # A class of weight 0, or whose upstream gradient is 0, has none.
        if scale == 0.0:
            by_hits, by_errors = 0.0, 0.0
        store_tile(out, c, _clamped(by_hits - beta * by_errors))
        store_tile(out, classes + c, _clamped(alpha * by_errors))
        store_tile(out, 2 * classes + c, _clamped(by_hits - alpha * by_errors))
        store_tile(out, 3 * classes + c, _clamped(beta * by_errors))


@Template
def _slope(c, mine, t, r, ignored, at_one, at_zero):
    # d / d p of class c in lane r, whose label is ``mine``, but for the weight of the lane.
    if INDEX:
        return select(mine == real(c), at_one, at_zero)
    tr = load_real(t, r)
    return select(tr == ignored, real(0.0), tr * at_one + (real(1.0) - tr) * at_zero)


@Template
def _from_top(e, e_step, classes, m, label, t, t_step, ignored, at_one, at_zero, over_sum, reference, dot):
    # Of m lanes: the slope by the most probable class, and the mean slope relative to it. Where m is LANE_GROUP, what
    # is said of a lane stays in registers.
    zero, one = real(0.0), real(1.0)
    mine, of_top, mean = stack_buffer(GROUP_BYTES), stack_buffer(GROUP_BYTES), stack_buffer(GROUP_BYTES)
    for j in range(m):
        store_sum(mine, j, load_tile(label, j) if INDEX else zero)
        store_sum(of_top, j, zero)
        store_sum(mean, j, zero)
    for c in range(classes):
        one_c, zero_c = load_tile(at_one, c), load_tile(at_zero, c)
        for j in range(m):
            slope = _slope(c, load_sum(mine, j), t + c * t_step, j, ignored, one_c, zero_c)
            is_top = load_tile(e + c * e_step, j) == one
            store_sum(of_top, j, select(is_top, slope, load_sum(of_top, j)))
    for c in range(classes):
        one_c, zero_c = load_tile(at_one, c), load_tile(at_zero, c)
        for j in range(m):
            slope = _slope(c, load_sum(mine, j), t + c * t_step, j, ignored, one_c, zero_c)
            d = slope - load_sum(of_top, j)
            store_sum(mean, j, load_sum(mean, j) + load_tile(e + c * e_step, j) * d)
    for j in range(m):
        store_tile(reference, j, load_sum(of_top, j))
        store_tile(dot, j, load_sum(mean, j) * load_tile(over_sum, j))


@Template
def slopes(start, n, classes, tile, arguments):
    """The gradient by the input."""
    memory, step = load_int(tile, MEMORY), load_int(tile, TILE_ROW)
    zero = real(0.0)
    x, x_step = load_int(tile, X_ADDRESS), load_int(tile, X_ADDRESS + 1)
    t, t_step = load_int(tile, T_ADDRESS), load_int(tile, T_ADDRESS + 1)
    out, out_step = load_int(tile, X_GRAD_ADDRESS), load_int(tile, X_GRAD_ADDRESS + 1)
    label, weight, over_sum, small = (
        memory + LABEL * step,
        memory + LANE_WEIGHT * step,
        memory + OVER_SUM * step,
        memory + SMALL * step,
    )
    exponentials = memory + LANE_ROWS * step + 4 * classes * REALSIZE
    at_one = memory + LANE_ROWS * step
    at_zero = at_one + classes * REALSIZE
    ignored = zero
    if DENSE:
        ignored = real(load_double(arguments, IGNORED))
    if SOFTMAX:
        # The slope by the most probable class is what the others are measured from.
        reference, dot, live = memory + TOP * step, memory + DOT * step, memory + LIVE * step
        # The last lanes of a tile step back over some that were done.
        base = 0
        while base < n:
            first = min(base, max(0, n - LANE_GROUP))
            at = first * REALSIZE
            e, own, over, ref, mean = exponentials + at, label + at, over_sum + at, reference + at, dot + at
            if n >= LANE_GROUP:
                _from_top(e, step, classes, LANE_GROUP, own, t + at, t_step, ignored, at_one, at_zero, over, ref, mean)
            else:
                _from_top(e, step, classes, n, own, t + at, t_step, ignored, at_one, at_zero, over, ref, mean)
            base += LANE_GROUP
    for c in range(classes):
        one_c, zero_c = load_tile(at_one, c), load_tile(at_zero, c)
        for r in range(n):
            mine = load_tile(label, r) if INDEX else zero
            slope = _slope(c, mine, t + c * t_step, r, ignored, one_c, zero_c)
            if SOFTMAX:
                p = load_tile(exponentials + c * step, r) * load_tile(over_sum, r)
                slope = p * ((slope - load_tile(reference, r)) - load_tile(dot, r))
            if SIGMOID:
                p, q = _pair(x + c * x_step, exponentials, over_sum, small, r)
                slope *= p * q
            if WEIGHTED:
                slope *= load_tile(weight, r)
            # What does not count has none, whatever it holds.
            if INDEX:
                skip = load_tile(label, r) < zero
            if DENSE:
                skip = load_real(t + c * t_step, r) == ignored
                if SOFTMAX:
                    skip = load_tile(live, r) == zero
                elif WEIGHTED:
                    skip |= load_tile(weight, r) == zero
            store_real(out + c * out_step, r, select(skip, zero, slope))


@Template
def target_slopes(start, n, classes, tile, arguments):
    """The gradient by a dense target."""
    memory, step = load_int(tile, MEMORY), load_int(tile, TILE_ROW)
    zero = real(0.0)
    x, x_step = load_int(tile, X_ADDRESS), load_int(tile, X_ADDRESS + 1)
    t, t_step = load_int(tile, T_ADDRESS), load_int(tile, T_ADDRESS + 1)
    out, out_step = load_int(tile, T_GRAD_ADDRESS), load_int(tile, T_GRAD_ADDRESS + 1)
    weight, over_sum, small = memory + LANE_WEIGHT * step, memory + OVER_SUM * step, memory + SMALL * step
    exponentials = memory + LANE_ROWS * step + 4 * classes * REALSIZE
    at_one = memory + LANE_ROWS * step + 2 * classes * REALSIZE
    at_zero = at_one + classes * REALSIZE
    ignored = real(load_double(arguments, IGNORED))
    for c in range(classes):
        one_c, zero_c = load_tile(at_one, c), load_tile(at_zero, c)
        for r in range(n):
            p, q = _pair(x + c * x_step, exponentials + c * step, over_sum, small, r)
            slope = p * one_c + q * zero_c
            skip = load_real(t + c * t_step, r) == ignored
            if WEIGHTED:
                slope *= load_tile(weight, r)
                skip |= load_tile(weight, r) == zero
            store_real(out + c * out_step, r, select(skip, zero, slope))
