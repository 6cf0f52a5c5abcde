"""The loops over elements of losses of rows, where those of a row are neighbours in memory: see rows_cpu.py."""

from types import SimpleNamespace

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import GRAD_INPUT, INPUT
from fastloss.kernels.logsumexp_cpu import beside_top, largest_of, next_chunk
from fastloss.kernels.memory_cpu import load_int, not_before, stack_buffer
from fastloss.kernels.rows_cpu import (
    BUFFERS,
    COEFFICIENT,
    LANE_BYTES,
    LEFT,
    MAXIMA,
    MIDDLE_BYTES,
    OWN,
    SCALES,
    SMALL,
    STAGE,
    STEP,
    SUM,
    TOP,
    WEIGHTS,
    WHOLE,
    add_to,
    add_wide,
    find_middle,
    middle_at,
    parameters_of,
    select_wide,
)
from fastloss.kernels.streams_cpu import STREAMS, ask_in_streams, ask_in_streams_for_writing, streamed, streams_of

#: Numbers that are added up in the type of the arithmetic, in 64 sums side by side, before they join a float64.
SHORT_SUM = 256


@Template
def _raise(tops, i, found):
    store_wide(tops, i, from_ordinal(later(rank(real(load_wide(tops, i))), found)))


@Template
def row_tops(mode, n, count, tile, partial):
    """Raise the maxima of n rows by ``count`` elements of each."""
    q = parameters_of(tile)
    one = real(1.0)
    buffers = load_int(tile, BUFFERS)
    own, tops = buffers + OWN * LANE_BYTES, buffers + TOP * LANE_BYTES
    for r in range(n):
        x = load_int(tile, INPUT) + r * load_int(tile, STEP)
        t = load_int(tile, INPUT + 1) + r * load_int(tile, STEP + 1)
        z = load_int(tile, INPUT + 2) + r * load_int(tile, STEP + 2)
        y = real(load_wide(own, r)) if HAS_Y else one
        k0 = k1 = k2 = ordinal(-real(np.inf))
        start = 0
        while start < count:
            first, size, _ = next_chunk(start, 0, count, count)
            start = first + size
            for i in range(size):
                ti = load(t, first + i) if HAS_T else one
                zi = load(z, first + i) if HAS_Z else one
                a = TOPS(load(x, first + i), ti, zi, y, q)
                k0 = later(k0, rank(a[0]))
                if TOP_2:
                    k1 = later(k1, rank(a[1]))
                if TOP_3:
                    k2 = later(k2, rank(a[2]))
        _raise(tops, r, k0)
        if TOP_2:
            _raise(tops + LANE_BYTES, r, k1)
        if TOP_3:
            _raise(tops + 2 * LANE_BYTES, r, k2)


@Template
def softmax_row_tops(mode, n, count, tile, partial):
    tops = load_int(tile, BUFFERS) + TOP * LANE_BYTES
    for r in range(n):
        for array in range(2 if SOFTMAX_TWO else 1):
            row = load_int(tile, INPUT + array) + r * load_int(tile, STEP + array)
            _raise(tops + array * LANE_BYTES, r, largest_of(row, count, ordinal(-real(np.inf))))


@Template
def softmax_row_sums(mode, n, count, tile, partial):
    buffers = load_int(tile, BUFFERS)
    coming = _coming(tile, 0, n, count)
    for r in range(n):
        x, top = load_int(tile, INPUT) + r * load_int(tile, STEP), real(load_wide(buffers + TOP * LANE_BYTES, r))
        small, maxima = beside_top(x, count, (_from_row(r, coming), 0, 0, coming[2]), top, real(1.0))
        add_to(buffers + SMALL * LANE_BYTES, r, small)
        add_to(buffers + MAXIMA * LANE_BYTES, r, maxima)


@Template
def _coming(tile, array, n, count):
    """Where to ask for what comes after this tile: (how far on, bytes that each row adds to those asked for, apart).

    That is n rows further on, or ``count`` elements of the only row. It is asked for meanwhile: a look that computes
    more than it reads would else leave memory idle, and the first look at the next tile would wait. Huge rows are read
    in order, which a processor that needs no streams follows by itself (rmse of 10 million: 1.9 ms, and 2.1 with
    asking).
    """
    size, step, left = count * ITEMSIZE, load_int(tile, STEP + array), load_int(tile, LEFT)
    if n == 1:
        step = size
        if STREAMS == 1 and load_int(tile, STAGE) != WHOLE:
            return 0, 0, 0
    if step == size:  # the rows of a tile are one stretch, in which streams are longer than in each of them
        start, apart = streams_of(n * size, n * size, left)
        return start, size, apart
    start, apart = streams_of(size, n * step, left)
    return start, 0, apart


@Template
def _from_row(r, coming):
    # How far on from row r of a tile the streams have come.
    start, asked, _ = coming
    return start - r * asked + streamed(r * asked)


@Template
def _ask(x, r, first, size, coming):
    ask_in_streams(x + _from_row(r, coming), first * ITEMSIZE, size * ITEMSIZE, coming[2])


@Template
def _ask_writing(x, r, first, size, coming):
    ask_in_streams_for_writing(x + _from_row(r, coming), first * ITEMSIZE, size * ITEMSIZE, coming[2])


@Template
def _nothing():
    if WIDE:
        return 0.0
    return real(0.0)


@Template
def _join(total, term, new):
    if WIDE:
        return add_wide(total, select_wide(new, term, 0.0))
    return accumulate(total, select(new, term, real(0.0)))


@Template
def row_sums(mode, n, count, tile, partial):
    """Add to the sums of n rows what ``count`` elements of each give."""
    q = parameters_of(tile)
    zero, one = real(0.0), real(1.0)
    buffers = load_int(tile, BUFFERS)
    own, tops, sums = buffers + OWN * LANE_BYTES, buffers + TOP * LANE_BYTES, buffers + SUM * LANE_BYTES
    small, maxima = buffers + SMALL * LANE_BYTES, buffers + MAXIMA * LANE_BYTES
    x_coming = _coming(tile, 0, n, count)
    t_coming = _coming(tile, 1, n, count)
    z_coming = _coming(tile, 2, n, count)
    for r in range(n):
        x = load_int(tile, INPUT) + r * load_int(tile, STEP)
        t = load_int(tile, INPUT + 1) + r * load_int(tile, STEP + 1)
        z = load_int(tile, INPUT + 2) + r * load_int(tile, STEP + 2)
        y = real(load_wide(own, r)) if HAS_Y else one
        m0 = real(load_wide(tops, r)) if TOP_1 else zero
        m1 = real(load_wide(tops + LANE_BYTES, r)) if TOP_2 else zero
        m2 = real(load_wide(tops + 2 * LANE_BYTES, r)) if TOP_3 else zero
        s0 = s1 = s2 = s3 = e0 = e1 = n0 = n1 = 0.0
        start = 0
        while start < count:
            first, size, skip = next_chunk(start, 0, count, SHORT_SUM)
            start = first + size
            _ask(x, r, first, size, x_coming)
            if HAS_T:
                _ask(t, r, first, size, t_coming)
            if HAS_Z:
                _ask(z, r, first, size, z_coming)
            short_e0 = short_e1 = zero
            others_0 = others_1 = none()
            short_0 = short_1 = short_2 = short_3 = _nothing()
            for i in range(size):
                new = not_before(i, skip)
                xi = load(x, first + i)
                ti = load(t, first + i) if HAS_T else one
                zi = load(z, first + i) if HAS_Z else one
                if SOFTMAX:
                    xi -= m0
                    short_e0 = accumulate(short_e0, select(new & is_other(xi), exp_softmax(xi), zero))
                    others_0 = count_other(others_0, select(new, xi, zero))
                if SOFTMAX_TWO:
                    ti -= m1
                    short_e1 = accumulate(short_e1, select(new & is_other(ti), exp_softmax(ti), zero))
                    others_1 = count_other(others_1, select(new, ti, zero))
                a = SUMS(xi, ti, zi, y, (m0, m1, m2), q)
                if SUM_1:
                    short_0 = _join(short_0, a[0], new)
                if SUM_2:
                    short_1 = _join(short_1, a[1], new)
                if SUM_3:
                    short_2 = _join(short_2, a[2], new)
                if SUM_4:
                    short_3 = _join(short_3, a[3], new)
            s0 += short_0
            s1 += short_1
            s2 += short_2
            s3 += short_3
            e0 += short_e0
            e1 += short_e1
            n0 += size - skip - others_0
            n1 += size - skip - others_1
        if SOFTMAX:
            add_to(small, r, e0)
            add_to(maxima, r, n0)
        if SOFTMAX_TWO:
            add_to(small + LANE_BYTES, r, e1)
            add_to(maxima + LANE_BYTES, r, n1)
        if SUM_1:
            add_to(sums, r, s0)
        if SUM_2:
            add_to(sums + LANE_BYTES, r, s1)
        if SUM_3:
            add_to(sums + 2 * LANE_BYTES, r, s2)
        if SUM_4:
            add_to(sums + 3 * LANE_BYTES, r, s3)


@Template
def row_later(mode, n, count, tile, partial):
    """Add to the third and fourth sum of n positions what ``count`` elements give that need the first sums."""
    q = parameters_of(tile)
    buffers = load_int(tile, BUFFERS)
    zero, one = real(0.0), real(1.0)
    own, sums, top = buffers + OWN * LANE_BYTES, buffers + SUM * LANE_BYTES, buffers + TOP * LANE_BYTES
    middle = stack_buffer(MIDDLE_BYTES)
    find_middle(buffers, n, q, middle)
    t_coming = _coming(tile, 1, n, count)
    for r in range(n):
        x = load_int(tile, INPUT) + r * load_int(tile, STEP)
        t = load_int(tile, INPUT + 1) + r * load_int(tile, STEP + 1)
        z = load_int(tile, INPUT + 2) + r * load_int(tile, STEP + 2)
        m0 = real(load_wide(top, r)) if TOP_1 else zero
        y = real(load_wide(own, r)) if HAS_Y else one
        g = middle_at(middle, r)
        s2 = s3 = 0.0
        start = 0
        while start < count:
            first, size, skip = next_chunk(start, 0, count, SHORT_SUM)
            start = first + size
            if HAS_T:
                _ask(t, r, first, size, t_coming)
            short_2 = short_3 = zero
            for i in range(size):
                new = not_before(i, skip)
                xi = load(x, first + i) - m0 if SOFTMAX else load(x, first + i)
                ti = load(t, first + i) if HAS_T else one
                zi = load(z, first + i) if HAS_Z else one
                a = LATER(xi, ti, zi, y, (m0, zero, zero), g, q)
                short_2 = accumulate(short_2, select(new, a[0], zero))
                short_3 = accumulate(short_3, select(new, a[1], zero))
            s2 += short_2
            s3 += short_3
        add_to(sums + 2 * LANE_BYTES, r, s2)
        add_to(sums + 3 * LANE_BYTES, r, s3)


@Template
def _slopes_at(x, t, z, i, y, m, c, q):
    one = real(1.0)
    xi = load(x, i)
    ti = load(t, i) if HAS_T else one
    zi = load(z, i) if HAS_Z else one
    if SOFTMAX:
        xi -= m[0]
    if SOFTMAX_TWO:
        ti -= m[1]
    return SLOPES(xi, ti, zi, y, m, c, q)


@Template
def row_slopes(mode, n, count, tile, partial):
    """The slopes of ``count`` elements of n rows, times the factor of each row."""
    q = parameters_of(tile)
    zero, one = real(0.0), real(1.0)
    buffers = load_int(tile, BUFFERS)
    own, tops, coefficient = buffers + OWN * LANE_BYTES, buffers + TOP * LANE_BYTES, buffers + COEFFICIENT * LANE_BYTES
    gx_coming = _coming(tile, 3, n, count)
    gt_coming = _coming(tile, 4, n, count)
    for r in range(n):
        x = load_int(tile, INPUT) + r * load_int(tile, STEP)
        t = load_int(tile, INPUT + 1) + r * load_int(tile, STEP + 1)
        z = load_int(tile, INPUT + 2) + r * load_int(tile, STEP + 2)
        gx = load_int(tile, GRAD_INPUT) + r * load_int(tile, STEP + 3)
        gt = load_int(tile, GRAD_INPUT + 1) + r * load_int(tile, STEP + 4)
        gz = load_int(tile, GRAD_INPUT + 2) + r * load_int(tile, STEP + 5)
        y = real(load_wide(own, r)) if HAS_Y else one
        m = (
            real(load_wide(tops, r)) if TOP_1 else zero,
            real(load_wide(tops + LANE_BYTES, r)) if TOP_2 else zero,
            real(load_wide(tops + 2 * LANE_BYTES, r)) if TOP_3 else zero,
        )
        c = (
            real(load_wide(coefficient, r)),
            real(load_wide(coefficient + LANE_BYTES, r)),
            real(load_wide(coefficient + 2 * LANE_BYTES, r)),
            real(load_wide(coefficient + 3 * LANE_BYTES, r)),
        )
        dead = load_wide(buffers + WEIGHTS * LANE_BYTES, r) == 0.0
        scale = real(load_wide(buffers + SCALES * LANE_BYTES, r))
        start = 0
        while start < count:
            first, size, _ = next_chunk(start, 0, count, SHORT_SUM)
            start = first + size
            if WANT_X:
                _ask_writing(gx, r, first, size, gx_coming)
            if WANT_T:
                _ask_writing(gt, r, first, size, gt_coming)
            # One stream of stores at a time: more of them break up the writing of whole lines.
            if WANT_X:
                for i in range(first, first + size):
                    store(gx, i, select(dead, zero, _slopes_at(x, t, z, i, y, m, c, q)[0] * scale))
            if WANT_T:
                for i in range(first, first + size):
                    store(gt, i, select(dead, zero, _slopes_at(x, t, z, i, y, m, c, q)[1] * scale))
            if WANT_Z:
                for i in range(first, first + size):
                    store(gz, i, select(dead, zero, _slopes_at(x, t, z, i, y, m, c, q)[2] * scale))


LOOPS = SimpleNamespace(
    tops=row_tops,
    softmax_tops=softmax_row_tops,
    softmax_sums=softmax_row_sums,
    sums=row_sums,
    later=row_later,
    slopes=row_slopes,
)
