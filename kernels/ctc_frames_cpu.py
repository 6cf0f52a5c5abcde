"""Connectionist temporal classification: scores in, gradients out. The program between them is in ctc_cpu.py.

What knows the dtype and the layout of arrays is here. Each function works on n frames of one sample from ``start`` on,
counted in the direction of the task. Few classes, or classes that do not lie side by side, are worked on ``IN_LANES``:
a frame in each lane of a vector.
"""

import numpy as np

from fastloss.kernels import math_cpu
from fastloss.kernels.build_cpu import Template
from fastloss.kernels.ctc_cpu import (
    BACKWARD,
    BLANK,
    CLASS_STRIDE,
    CLASSES,
    COLUMNS,
    EMISSIONS,
    FAR,
    FETCH,
    FETCH_REAL,
    FLUSH,
    FLUSH_REAL,
    FRAME_STRIDE,
    GATHERED,
    GATHERED_LANES,
    GRAD_CLASS_STRIDE,
    GRAD_FRAME_STRIDE,
    GRAD_SAMPLE_STRIDE,
    LANES,
    LOG_SUM,
    MINE,
    OCCUPIED,
    PRODUCTS,
    ROW_SCALE,
    SAMPLE,
    SAMPLE_STRIDE,
    SEGMENT_BYTES,
    STATS,
    TILE,
    TOPS,
    TOTAL_BYTES,
    TOTALS,
    WIDTH,
    ZERO,
    K,
    S,
    T,
    _bits,
    _either,
    _emission_words,
    state_words,
)
from fastloss.kernels.launch_cpu import GRAD_INPUT, INPUT
from fastloss.kernels.logsumexp_cpu import GROUP, beside_top, largest_of
from fastloss.kernels.memory_cpu import (
    ACCUMULATE,
    LOADS,
    STORES,
    TILE_LOADS,
    ask_for,
    ask_for_writing,
    call_kernel,
    load_double,
    load_int,
    stack_buffer,
    store_double,
    store_int,
)
from fastloss.kernels.streams_cpu import share_of

_LOG2_E, _ROUND = 1.4426950408889634, 1.5 * 2.0**52
_ROUND_BITS = int(np.float64(_ROUND).view(np.int64))
_LN2_HIGH, _LN2_LOW = math_cpu._FLOAT64.ln2_high, math_cpu._FLOAT64.ln2_low
_exp_polynomial = math_cpu._polynomial(math_cpu._FLOAT64.exp, math_cpu._FLOAT64)
_fma, _select, _log1p = (math_cpu.MATH["float64"][name] for name in ("fma", "select", "log1p"))
_accumulate = ACCUMULATE["float64"]
_load = LOADS["float64"]
_store, _store_int = STORES["float64"], STORES["int64"]
_load_tile = TILE_LOADS["float64"]


@Template
def _frames(task, arguments, start):
    # The first of the frames from ``start`` in the direction of the task, and which way they go.
    if load_int(task, BACKWARD):
        return load_int(task, T) - 1 - start, -1
    return start, 1


@Template
def _move(function, tile, address, class_step, lane_step, classes, n):
    # fetch_tile or flush_tile of overlap_cpu: between a tile of K lanes and memory, whose steps count bytes.
    place = stack_buffer(24)
    store_int(place, 0, address)
    store_int(place, 1, class_step)
    store_int(place, 2, lane_step)
    call_kernel(function, tile, n, classes, place, K)


@Template
def _sums_in_lanes(n, task, arguments, stats, stats_step):
    # (max, 1 / sum) of n frames side by side, and the sum of the logarithms of their sums.
    zero, one = real(0.0), real(1.0)
    classes = load_int(arguments, CLASSES)
    tile = load_int(task, TILE)
    row = K * REALSIZE
    top, others, maxima, group = (
        stack_buffer(SEGMENT_BYTES),
        stack_buffer(SEGMENT_BYTES),
        stack_buffer(SEGMENT_BYTES),
        stack_buffer(SEGMENT_BYTES),
    )
    for r in range(K):
        store_tile(top, r, load_tile(tile, r))
        store_wide(others, r, 0.0)
        store_tile(maxima, r, zero)
    for c in range(1, classes, 2):  # an odd last class goes in twice, here and below with a factor of 0
        d = min(c + 1, classes - 1)
        for r in range(K):
            two = maxnum(load_tile(tile + c * row, r), load_tile(tile + d * row, r))
            store_tile(top, r, maxnum(load_tile(top, r), two))
    for first in range(0, classes, GROUP):
        last = min(classes, first + GROUP)
        for r in range(K):
            store_tile(group, r, zero)
        for c in range(first, last, 2):
            d = min(c + 1, last - 1)
            twice = one if d > c else zero
            for r in range(K):
                u = load_tile(tile + c * row, r) - load_tile(top, r)
                v = load_tile(tile + d * row, r) - load_tile(top, r)
                small = select(u == zero, zero, exp_softmax(u)) + twice * select(v == zero, zero, exp_softmax(v))
                store_tile(group, r, load_tile(group, r) + small)
                count = select(u == zero, one, zero) + select(v == zero, twice, zero)
                store_tile(maxima, r, load_tile(maxima, r) + count)
        for r in range(K):
            store_wide(others, r, load_wide(others, r) + load_tile(group, r))
    for r in range(K):
        store_wide(others, r, (load_tile(maxima, r) - 1.0) + load_wide(others, r))
    for r in range(n, K):
        store_wide(others, r, 0.0)
    log_sum = 0.0
    for r in range(K):
        log_sum = _accumulate(log_sum, _log1p(load_wide(others, r)))
    for r in range(n):
        store_tile(stats + r * stats_step, 0, load_tile(top, r))
        store_tile(stats + r * stats_step, 1, real(1.0 / (1.0 + load_wide(others, r))))
    return log_sum


@Template
def _sums_of_row(x, next_x, classes, stats):
    # Likewise of one frame, whose classes lie side by side.
    top = from_ordinal(largest_of(x, classes, ordinal(-real(np.inf))))
    small, maxima = beside_top(x, classes, (next_x - x, 0, 0, share_of(classes * ITEMSIZE)), top, real(1.0))
    others = (maxima - 1.0) + small
    store_tile(stats, 0, top)
    store_tile(stats, 1, real(1.0 / (1.0 + others)))
    return _log1p(others)


@Template
def factors(n, unused_1, unused_2, task, arguments):
    """exp(x - top) in two parts, for n frames; impossible before the first label and after the last."""
    labels, width = load_int(task, S), load_int(task, WIDTH)
    gathered, tops, emission = load_int(task, GATHERED), load_int(task, TOPS), load_int(task, EMISSIONS)
    for i in range(n):
        e = emission + 8 * LANES
        m = e + 8 * width
        top = _load(tops, i)
        for j in range(width):
            d = np.float64(load_real(gathered, j)) - top
            near = _select(d > FAR, FAR, _select(d < -FAR, -FAR, d))
            t = _fma(near, _LOG2_E, _ROUND)
            whole = t - _ROUND
            r = _fma(whole, -_LN2_LOW, _fma(whole, -_LN2_HIGH, near))
            square = r * r
            mantissa = 1.0 + _fma(square, _exp_polynomial(r, square), r)
            exponent = _either(d < -FAR, ZERO, _bits(t) - _ROUND_BITS)
            _store(m, j, mantissa)
            _store_int(e, j, exponent)
        # The blank came last of the labels.
        for j in range(LANES):
            _store_int(emission, j, ZERO)
        store_int(emission, 0, load_int(e, labels))
        store_int(e, labels, ZERO)
        gathered += REALSIZE * width
        emission += 8 * _emission_words(width)


@Template
def _grad_row(task, arguments, frame):
    return load_int(arguments, GRAD_INPUT) + ITEMSIZE * (
        load_int(task, SAMPLE) * load_int(arguments, GRAD_SAMPLE_STRIDE)
        + frame * load_int(arguments, GRAD_FRAME_STRIDE)
    )


@Template
def frames_in(start, n, first_time, task, arguments):
    """The scores of the labels and the blank in n frames from ``start``, in the task's direction.

    The first time, the maximum and 1 / sum of each frame too.
    """
    labels, width = load_int(task, S), load_int(task, WIDTH)
    class_stride = load_int(arguments, CLASS_STRIDE)
    blank = load_int(arguments, BLANK)
    frame, sign = _frames(task, arguments, start)
    x_step = sign * load_int(arguments, FRAME_STRIDE) * ITEMSIZE
    x = load_int(arguments, INPUT) + ITEMSIZE * (
        load_int(task, SAMPLE) * load_int(arguments, SAMPLE_STRIDE) + frame * load_int(arguments, FRAME_STRIDE)
    )
    stats, stats_step = load_int(task, STATS) + 2 * REALSIZE * frame, sign * 2 * REALSIZE
    zero, one, log_sum = real(0.0), real(1.0), 0.0
    tile = load_int(task, TILE)
    if IN_LANES:
        fetch, classes = load_int(arguments, FETCH), load_int(arguments, CLASSES)
        _move(fetch, tile, x, class_stride * ITEMSIZE, x_step, classes, n)
        if class_stride == 1:
            # The rows of the next visit, which lie too far apart for the hardware to foresee them, and those of this
            # segment's gradient, which are written when its steps are done.
            next_x = x + (n if first_time else -K) * x_step
            for i in range(n if first_time else K):
                ask_for(next_x + i * x_step, classes * ITEMSIZE)
            if not first_time and load_int(arguments, GRAD_CLASS_STRIDE) == 1:
                out = _grad_row(task, arguments, frame)
                out_step = sign * load_int(arguments, GRAD_FRAME_STRIDE) * ITEMSIZE
                for i in range(n):
                    ask_for_writing(out + i * out_step, classes * ITEMSIZE)
    if LOGITS and first_time:
        if IN_LANES:
            log_sum = _sums_in_lanes(n, task, arguments, stats, stats_step)
        else:
            for i in range(n):
                row = x + i * x_step
                log_sum += _sums_of_row(row, row + x_step, load_int(arguments, CLASSES), stats + i * stats_step)
    gathered = load_int(task, GATHERED)
    tops = load_int(task, TOPS)
    mine = load_int(task, MINE)
    if sign < 0:
        mine += 8 * (labels - 1)
    if IN_LANES:
        lanes = load_int(task, GATHERED_LANES)
        for j in range(labels):
            source = tile + load_index(mine, sign * j) * K * REALSIZE
            for r in range(K):
                store_tile(lanes, j * K + r, load_tile(source, r))
        for r in range(K):
            store_tile(lanes, labels * K + r, load_tile(tile + blank * K * REALSIZE, r))
        for i in range((labels + 1) * K, width * K):
            store_tile(lanes, i, -real(np.inf))
        _move(load_int(arguments, FLUSH_REAL), lanes, gathered, REALSIZE, width * REALSIZE, width, n)
    else:
        for i in range(n):
            row = x + i * x_step
            for j in range(labels):
                store_tile(gathered, j, load(row, load_index(mine, sign * j) * class_stride))
            store_tile(gathered, labels, load(row, blank * class_stride))
            for j in range(labels + 1, width):
                store_tile(gathered, j, -real(np.inf))
            gathered += REALSIZE * width
    if first_time and not LOGITS:  # whose sums would have found them
        invalid = zero
        gathered = load_int(task, GATHERED)
        for i in range(n * width):
            invalid = accumulate(invalid, select(load_tile(gathered, i) <= real(FAR), zero, one))
        if invalid > zero:  # NaN, or infinite
            log_sum = np.nan
    for i in range(n):
        store_wide(tops, i, np.float64(load_tile(stats + i * stats_step, 0)) if LOGITS else 0.0)
    store_double(task, LOG_SUM, load_double(task, LOG_SUM) + log_sum)


@Template
def _slope(x, top, over):
    # What the occupancy is taken from: the probability, or what stands for it.
    if LOGITS:
        return exp_softmax(x - top) * over
    return exp(x) if LESS else real(0.0)


@Template
def rows_out(start, n, unused, task, arguments):
    """The rows of the gradient of n frames, from the products of the frames' states.

    Without ``LOGITS``, ``LESS`` says that the gradient is taken as if a log-softmax had made the log-probabilities.
    """
    zero = real(0.0)
    labels, width = load_int(task, S), load_int(task, WIDTH)
    classes, blank = load_int(arguments, CLASSES), load_int(arguments, BLANK)
    frame, sign = _frames(task, arguments, start)
    x_step = sign * load_int(arguments, FRAME_STRIDE) * ITEMSIZE
    x = load_int(arguments, INPUT) + ITEMSIZE * (
        load_int(task, SAMPLE) * load_int(arguments, SAMPLE_STRIDE) + frame * load_int(arguments, FRAME_STRIDE)
    )
    out, out_step = _grad_row(task, arguments, frame), sign * load_int(arguments, GRAD_FRAME_STRIDE) * ITEMSIZE
    stats, stats_step = load_int(task, STATS) + 2 * REALSIZE * frame, sign * 2 * REALSIZE
    # The products were made travelling the other way.
    mine = load_int(task, MINE)
    if sign > 0:
        mine += 8 * (labels - 1)
    scale = real(load_double(task, ROW_SCALE))
    tile, occupied = load_int(task, TILE), load_int(task, OCCUPIED)
    if IN_LANES:
        for i in range(classes * K):
            store_tile(occupied, i, zero)
    shares, lanes = load_int(task, GATHERED), load_int(task, GATHERED_LANES)
    for i in range(n):
        products = load_int(task, PRODUCTS) + 8 * state_words(width) * i
        totals = load_int(task, TOTALS) + TOTAL_BYTES * i
        over_total = 1.0 / (load_double(totals, 0) + load_double(totals, 1))
        blanks = real(load_double(totals, 0) * over_total)
        if IN_LANES:
            store_tile(occupied, blank * K + i, blanks)
            for j in range(width):
                store_real(shares, i * width + j, real(_load_tile(products, width + j) * over_total))
        else:
            store_tile(occupied, blank, blanks)
            for j in range(labels):
                at = load_index(mine, -sign * j)
                share = real(_load_tile(products, width + j) * over_total)
                store_tile(occupied, at, load_tile(occupied, at) + share)
        if not IN_LANES:
            top = over = zero
            if LOGITS:
                top, over = load_tile(stats + i * stats_step, 0), load_tile(stats + i * stats_step, 1)
            z, g = x + i * x_step, out + i * out_step
            whole = classes // GROUP * GROUP
            for first in range(0, whole, GROUP):
                ask_for(z + x_step + first * ITEMSIZE, GROUP * ITEMSIZE)
                ask_for_writing(g + out_step + first * ITEMSIZE, GROUP * ITEMSIZE)
                for c in range(GROUP):
                    slope = _slope(load(z, first + c), top, over)
                    store(g, first + c, scale * (slope - load_tile(occupied, first + c)))
            for c in range(max(0, classes - GROUP) if whole < classes else classes, classes):
                store(g, c, scale * (_slope(load(z, c), top, over) - load_tile(occupied, c)))
            store_tile(occupied, blank, zero)
            for j in range(labels):
                store_tile(occupied, load_index(mine, -sign * j), zero)
    if IN_LANES:
        _move(load_int(arguments, FETCH_REAL), lanes, shares, REALSIZE, width * REALSIZE, labels, n)
        for j in range(labels):
            place, source = occupied + load_index(mine, -sign * j) * K * REALSIZE, lanes + j * K * REALSIZE
            for r in range(K):
                store_tile(place, r, load_tile(place, r) + load_tile(source, r))
        top, over = stack_buffer(SEGMENT_BYTES), stack_buffer(SEGMENT_BYTES)
        for r in range(K):
            store_tile(top, r, zero)
            store_tile(over, r, zero)
        if LOGITS:
            for r in range(n):
                store_tile(top, r, load_tile(stats + r * stats_step, 0))
                store_tile(over, r, load_tile(stats + r * stats_step, 1))
        for c in range(classes):
            z, o = tile + c * K * REALSIZE, occupied + c * K * REALSIZE
            for r in range(K):
                slope = _slope(load_tile(z, r), load_tile(top, r), load_tile(over, r))
                store_tile(z, r, scale * (slope - load_tile(o, r)))
        flush, class_step = load_int(arguments, FLUSH), load_int(arguments, GRAD_CLASS_STRIDE) * ITEMSIZE
        _move(flush, tile, out, class_step, out_step, classes, n)


@Template
def occupancies_out(start, n, unused, task, arguments):
    """The occupancies of all states in n frames."""
    labels, width = load_int(task, S), load_int(task, WIDTH)
    columns, stride = load_int(arguments, COLUMNS), load_int(arguments, GRAD_CLASS_STRIDE)
    frame, sign = _frames(task, arguments, start)
    out, out_step = _grad_row(task, arguments, frame), sign * load_int(arguments, GRAD_FRAME_STRIDE) * ITEMSIZE
    for i in range(n):
        b = load_int(task, PRODUCTS) + 8 * state_words(width) * i
        y = b + 8 * width
        totals = load_int(task, TOTALS) + TOTAL_BYTES * i
        over_total = 1.0 / (load_double(totals, 0) + load_double(totals, 1))
        row = out + i * out_step
        last = labels - 1
        if sign > 0:  # the products were made travelling the other way: states count from the end
            for j in range(labels + 1):
                store(row, 2 * j * stride, real(_load_tile(b, labels - j) * over_total))
            for j in range(labels):
                store(row, (2 * j + 1) * stride, real(_load_tile(y, last - j) * over_total))
        else:
            for j in range(labels + 1):
                store(row, 2 * j * stride, real(_load_tile(b, j) * over_total))
            for j in range(labels):
                store(row, (2 * j + 1) * stride, real(_load_tile(y, j) * over_total))
        for c in range(2 * labels + 1, columns):
            store(row, c * stride, real(0.0))


@Template
def fill(first, last, invalid, task, arguments):
    """Rows of zeros, or of NaN, for the frames ``first`` to ``last``."""
    columns, stride = load_int(arguments, COLUMNS), load_int(arguments, GRAD_CLASS_STRIDE)
    value = real(np.nan) if invalid else real(0.0)
    for frame in range(first, last):
        row = _grad_row(task, arguments, frame)
        if stride == 1:
            for c in range(columns):
                store(row, c, value)
        else:
            for c in range(columns):
                store(row, c * stride, value)
