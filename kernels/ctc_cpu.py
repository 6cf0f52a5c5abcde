"""Connectionist temporal classification: the forward-backward program over a target with blanks between its labels.

A sample has T frames and S labels l. Its 2S + 1 states are held as two rows: blanks b[0..S] and labels y[0..S-1]. With
p the probabilities of a frame, a step is

    b'[j] = p(blank) (b[j] + y[j-1])            y'[j] = p(l[j]) (y[j] + b[j] + y[j-1] where l[j] != l[j-1])

beginning at a b[0] of 1 before the first frame. The backward recursion is the same one over the frames and labels in
reverse order, so one step serves both directions.

Numbers. A state is m 2^e, a mantissa m in [1, 2) and an integer exponent e, each in 64 bits; an impossible state has
e <= ZERO. Adding aligns mantissas by building powers of two from the differences of exponents, multiplying adds
exponents. So the program needs no exponential and no logarithm, keeps the relative accuracy of a float64 at any
magnitude (a float64 of a logarithm near -1e5 has lost five digits), and neither overflows nor underflows. A factor
exp(d) is split the same way: d = n log 2 + r, m = exp(r).

Launches, all of ``program``. The first has two items a sample: the forward half, over the first T // 2 frames, and the
backward half over the rest. Each finds maximum and sum of exponentials of its frames, and keeps its states at every
K-th frame and at the end. The second meets in the middle: the probability of the target is the sum over states of
both. The last goes on where each half stopped, through the frames of the other half, whose states come back K frames
at a time from what was kept; the product of both, over its sum, is the occupancy of each state in that frame, from
which the row of the gradient is written at once. So a value costs one visit of each cell and of the scores, a gradient
two and one more, and no array over all frames and states or classes is needed beside the gradient itself.

Only states that can be reached from the beginning and can still reach the end are visited. What lies outside is
impossible or is multiplied by what is impossible.

What knows the dtype and layout of scores and gradients is in ctc_frames_cpu.py.

Occupancies. ``ROWS_OUT`` may be ``occupancies_out``, which writes all 2S + 1 occupancies of a frame in place of a
gradient: b[0], y[0], b[1], ..., zeros from 2 S_i + 1 on.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastloss.kernels import math_cpu
from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import (
    LOSSES,
    NO_MEMORY,
    PARAMETERS,
    SCALE,
    TARGET,
    THIRD,
    UPSTREAM,
    WEIGHT,
)
from fastloss.kernels.memory_cpu import (
    ACCUMULATE,
    LOADS,
    STORES,
    TILE_LOADS,
    allocate,
    call_kernel,
    load_double,
    load_int,
    release,
    stack_buffer,
    store_double,
    store_int,
)

#: Operands beside the scores (INPUT) and labels (TARGET): the table of samples, and the memory between launches.
TABLE, WORKSPACE = THIRD, WEIGHT
#: Parameters of a launch. Strides count elements: of the scores, of the gradient.
(
    CLASSES,
    BLANK,
    FRAME_STRIDE,
    SAMPLE_STRIDE,
    CLASS_STRIDE,
    GRAD_FRAME_STRIDE,
    GRAD_SAMPLE_STRIDE,
    GRAD_CLASS_STRIDE,
    COLUMNS,  # of a row of the gradient
    FRAMES,  # of the array: rows past a sample's own get zeros
    ZERO_INFINITY,
    BY_LENGTH,  # whether losses are divided by the number of labels
    UPSTREAM_STRIDE,
    TILE_BYTES,
    FRAMES_IN,
    FACTORS,
    STEP,  # that of the last launch meets what the other direction has kept
    STEP_KEEPING,
    PROBABILITY,
    ROWS_OUT,
    FILL,
    FETCH,  # 0 unless frames are worked on side by side
    FLUSH,
    FETCH_REAL,  # within buffers of the type of the arithmetic
    FLUSH_REAL,
    STATES,
    SKIPS_OF,
    WORDS,
    STAGE,
    NORMALISED,  # whether probabilities add up to 1, so that no loss is negative
) = range(PARAMETERS, PARAMETERS + 30)
#: Stages: the first launch, where the halves meet, the last launch.
HALVES, MEETING, GRADIENTS = range(3)
#: What becomes of a state vector.
NONE, BEGIN, SAVE, RESTORE = range(4)

#: Frames of a segment: checkpoints lie so far apart.
K = 32
SEGMENT_BYTES = 8 * K
#: States are worked on in multiples of this many.
LANES = 8

# The table: of each sample, longest first, its number, frames, labels, where its labels begin, and the byte of the
# workspace where its part begins.
NUMBER, LENGTH, LABELS, FIRST_LABEL, PART = range(5)
TABLE_SLOTS = 5

# The workspace: a part for each sample. First the sum of the frames' log-sums of both halves, the loss, and an exponent
# which the target's probability does not exceed; then the final states and checkpoints of both halves, then the maximum
# and 1 / sum of each frame.
LOG_SUMS, LOSS, EXPONENT, HEAD_SLOTS = 0, 2, 3, 4

# What steps are told of the task at hand.
(
    T,
    S,
    WIDTH,  # S + 1 rounded up to whole vectors
    MINE,  # the labels' address
    SAMPLE,
    BACKWARD,
    SKIPS,
    LOW,
    HIGH,
    STATS,
    EMISSIONS,
    GATHERED,
    GATHERED_LANES,
    TOPS,
    PRODUCTS,  # of each frame's states: rows of b and of y, which lie a state vector apart
    TOTALS,
    ROW_SCALE,
    TILE,
    OCCUPIED,
    LOG_SUM,
    STEP_PRODUCTS,  # of a step: where its row of products and their sums go, and the exponent they are relative to
    STEP_SUMS,
    RELATIVE_TO,
) = range(23)
TASK_BYTES = 8 * 23
#: Of the sums of a frame's products: over the blanks, over the labels.
TOTAL_BYTES = 16

#: Exponents of impossible states are at or below half of it. Those of possible ones stay above: a factor has an
#: exponent of +-FAR at most, below which a probability counts as 0. As the bits of a float64 it is a finite number.
ZERO = -(1 << 54)
FAR = 6.0e9  # in nats: 2**33 bits
EMPTY = ZERO // 2

_LN2 = 0.6931471805599453
_log = math_cpu.MATH["float64"]["log"]
_larger = math_cpu.MATH["float64"]["later"]
_accumulate = ACCUMULATE["float64"]
_load, _load_int = LOADS["float64"], LOADS["int64"]
_store, _store_int = STORES["float64"], STORES["int64"]
_load_tile, _load_tile_int = TILE_LOADS["float64"], TILE_LOADS["int64"]


@intrinsic
def _bits(typingctx, x):
    return types.int64(types.float64), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.IntType(64)
    )


@intrinsic
def _double(typingctx, bits):
    return types.float64(types.int64), lambda context, builder, signature, args: builder.bitcast(
        args[0], ir.DoubleType()
    )


@intrinsic
def _either(typingctx, condition, a, b):
    return types.int64(
        types.boolean, types.int64, types.int64
    ), lambda context, builder, signature, args: builder.select(*args)


@Template
def _power(exponent):
    # 2^exponent for exponent <= 0, and 0 from -1023 on.
    return _double(_larger(exponent + 1023, 0) << 52)


@Template
def _mantissa(bits):
    return _double((bits & ((1 << 52) - 1)) | (1023 << 52))


@Template
def _exponent(bits):
    return (bits >> 52) - 1023


#: Bytes of a blank's and a label's state where they are saved.
SAVED_BYTES = 32

# A state vector is LANES impossible exponents and four rows of W = WIDTH: exponents of y, of b, mantissas of b, of y.
# A row's last states, after its S or S + 1, are impossible. What is read before the beginning of a row, a state's
# predecessor or what stands opposite to a state past the end, is thus an exponent of something impossible, or a finite
# number whose exponent is.


@Template
def state_words(width):
    return LANES + 4 * width


@Template
def _emission_words(width):
    # The factors of a frame: the blank's exponent and LANES - 1 impossible ones, the labels' exponents, then their
    # mantissas, and the blank's after the last.
    return LANES + 2 * width


@Template
def _impossible(state, width):
    for i in range(LANES + 2 * width):
        store_int(state, i, ZERO)
    for i in range(LANES + 2 * width, state_words(width)):
        store_double(state, i, 1.0)


@Template
def states(what, place, state, width, count):
    """A state vector without possible states; or what is possible before the first frame: the first blank; or its
    ``count`` first blanks and labels saved at ``place``; or restored from there."""
    if what == SAVE:
        for row in range(4):
            for i in range(count):
                store_int(place, row * count + i, load_int(state, LANES + row * width + i))
    else:
        _impossible(state, width)
    if what == BEGIN:
        store_int(state, LANES + width, 0)
    if what == RESTORE:
        for row in range(4):
            for i in range(count):
                store_int(state, LANES + row * width + i, load_int(place, row * count + i))


@Template
def words(first, count, value, unused_1, unused_2):
    """``count`` times the same 8 bytes."""
    for i in range(count):
        store_int(first, i, value)


@Template
def _rows(state, width):
    # Of y's and b's exponents, b's and y's mantissas.
    first = state + 8 * LANES
    return first, first + 8 * width, first + 16 * width, first + 24 * width


@Template
def step(old, new, emission, other, task):
    """One frame further, for the states from LOW to HIGH.

    KEEP: ``other`` gets them before this frame's factors. MEET: ``other`` holds those that the other direction has kept
    so, and their products with the new ones, relative to an exponent, go to STEP_PRODUCTS, a row of b and a row of y,
    the sums of both rows to STEP_SUMS. Whatever is of the other direction, ``emission`` too, counts from the end.
    """
    width = load_int(task, WIDTH)
    low, high, labels = load_int(task, LOW), load_int(task, HIGH), load_int(task, S)
    skips = load_int(task, SKIPS)
    ye, be, bm, ym = _rows(old, width)
    new_ye, new_be, new_bm, new_ym = _rows(new, width)
    other_ye, other_be, other_bm, other_ym = _rows(other, width)
    label_e = emission + 8 * LANES
    label_m = label_e + 8 * width
    blank_m, blank_e = _load_tile(label_m, labels), _load_tile_int(emission, 0)
    sum_b = sum_y = 0.0
    if MEET:
        relative_to = load_int(task, RELATIVE_TO)
        out_b = load_int(task, STEP_PRODUCTS)
        out_y = out_b + 8 * width
        for j in range(low):
            _store(out_b, j, 0.0)
            _store(out_y, j, 0.0)
        for j in range(high, width):
            _store(out_b, j, 0.0)
            _store(out_y, j, 0.0)
    for j in range(low, high):
        m_b, e_b = _load(bm, j), _load_int(be, j)
        m_y, e_y = _load(ym, j), _load_int(ye, j)
        m_p, e_p = _load(ym, j - 1), _load_int(ye, j - 1)
        # The blank.
        top = _larger(e_b, e_p)
        total = m_b * _power(e_b - top) + m_p * _power(e_p - top)
        if KEEP:
            bits = _bits(total)
            _store(other_bm, j, _mantissa(bits))
            _store_int(other_be, j, _larger(top + _exponent(bits), ZERO))
        bits = _bits(total * blank_m)
        m, e = _mantissa(bits), _larger(top + blank_e + _exponent(bits), ZERO)
        _store(new_bm, j, m)
        _store_int(new_be, j, e)
        if MEET:
            b = m * _load(other_bm, labels - j) * _power(e + _load_int(other_be, labels - j) - relative_to)
            _store(out_b, j, b)
            sum_b = _accumulate(sum_b, b)
        # The label.
        e_p += _load_tile_int(skips, j)
        top = _larger(_larger(e_b, e_p), e_y)
        total = (m_b * _power(e_b - top) + m_p * _power(e_p - top)) + m_y * _power(e_y - top)
        if KEEP:
            bits = _bits(total)
            _store(other_ym, j, _mantissa(bits))
            _store_int(other_ye, j, _larger(top + _exponent(bits), ZERO))
        at = labels - 1 - j if MEET else j
        bits = _bits(total * _load_tile(label_m, at))
        m, e = _mantissa(bits), _larger(top + _load_tile_int(label_e, at) + _exponent(bits), ZERO)
        _store(new_ym, j, m)
        _store_int(new_ye, j, e)
        if MEET:
            y = m * _load(other_ym, at) * _power(e + _load_int(other_ye, at) - relative_to)
            _store(out_y, j, y)
            sum_y = _accumulate(sum_y, y)
    if MEET:
        place = load_int(task, STEP_SUMS)
        _store(place, 0, sum_b)
        _store(place, 1, sum_y)


@Template
def probability(forward, backward, place, task, unused):
    """The sum over the states where the directions meet, as a float64 and the exponent it is relative to."""
    labels, width = load_int(task, S), load_int(task, WIDTH)
    ye, be, bm, ym = _rows(forward, width)
    other_ye, other_be, other_bm, other_ym = _rows(backward, width)
    top = 2 * ZERO
    for j in range(width):
        e_b = _load_int(be, j) + _load_int(other_be, labels - j)
        e_y = _load_int(ye, j) + _load_int(other_ye, labels - 1 - j)
        top = _larger(top, _larger(e_b, e_y))
    total = 0.0
    for j in range(width):
        e_b = _load_int(be, j) + _load_int(other_be, labels - j)
        e_y = _load_int(ye, j) + _load_int(other_ye, labels - 1 - j)
        b = _load(bm, j) * _load(other_bm, labels - j) * _power(e_b - top)
        y = _load(ym, j) * _load(other_ym, labels - 1 - j) * _power(e_y - top)
        total = _accumulate(total, b + y)
    _store(place, 0, total)
    _store_int(place, 1, top)


@Template
def _band(task, frame):
    # The states that can be reached in ``frame`` and from which the end can be reached, in whole vectors.
    width = load_int(task, WIDTH)
    missing = load_int(task, S) - (load_int(task, T) - frame)
    low = max(0, missing) // LANES * LANES
    high = min(width, (frame + LANES) // LANES * LANES)
    store_int(task, LOW, min(low, high))
    store_int(task, HIGH, high)


@Template
def _take_up(task, item, arguments):
    # The sample of an item, and the byte of its part of the workspace.
    row = load_int(arguments, TABLE) + 8 * TABLE_SLOTS * (item // 2)
    labels = load_int(row, LABELS)
    store_int(task, T, load_int(row, LENGTH))
    store_int(task, S, labels)
    store_int(task, WIDTH, (labels + LANES) // LANES * LANES)
    store_int(task, MINE, load_int(arguments, TARGET) + 8 * load_int(row, FIRST_LABEL))
    store_int(task, SAMPLE, load_int(row, NUMBER))
    store_int(task, BACKWARD, item % 2)
    part = load_int(arguments, WORKSPACE) + load_int(row, PART)
    return part


@Template
def _segments(frames):
    return (frames + K - 1) // K


@Template
def _places(task, part, backward):
    # In a part: the final state of a half, its checkpoints, before its second segment and each one after; and where
    # the frames' numbers begin.
    length, saved = load_int(task, T), SAVED_BYTES * (load_int(task, S) + 1)
    half = length // 2
    final = part + 8 * HEAD_SLOTS + backward * saved
    forward = max(0, _segments(half) - 1)
    first = part + 8 * HEAD_SLOTS + 2 * saved
    stats = first + (forward + max(0, _segments(length - half) - 1)) * saved
    return final, first + backward * forward * saved, stats


@Template
def _lay_out(task, arguments, memory, frames):
    # Memory for a segment of so many frames; its bytes. What has been used makes room: scores gathered in lanes lie
    # where factors will be, scores gathered in rows a row further than the factors that are made of them. After the
    # last factors the occupancies of classes and labels, in lanes, lie there, and the labels', in rows, where scores
    # in rows were.
    width, tile_bytes = load_int(task, WIDTH), load_int(arguments, TILE_BYTES)
    row, factors = REALSIZE * width, 8 * _emission_words(width)
    emissions, occupied = memory + tile_bytes, memory
    gathered = emissions + factors * frames - row * max(0, frames - 1)
    if load_int(arguments, FETCH) != 0:
        occupied = emissions + K * row
        gathered = max(gathered, occupied + tile_bytes)
    tops = gathered + row * frames
    store_int(task, TILE, memory)
    store_int(task, EMISSIONS, emissions)
    store_int(task, GATHERED_LANES, emissions)
    store_int(task, OCCUPIED, occupied)
    store_int(task, GATHERED, gathered)
    store_int(task, TOPS, tops)
    return tops + 8 * frames - memory


@Template
def skips(backward, place, task, unused_1, unused_2):
    """ZERO where a label may not follow its predecessor directly, in the order of the direction; else 0."""
    labels, width, mine = load_int(task, S), load_int(task, WIDTH), load_int(task, MINE)
    for j in range(width):
        store_int(place, j, ZERO)
    for j in range(1, labels):
        i = labels - 1 - j if backward else j
        before = i + 1 if backward else i - 1
        if load_int(mine, i) != load_int(mine, before):
            store_int(place, j, 0)


@Template
def _half(item, task, arguments):
    # Of the first launch: item 2 i is the forward half of the table's sample i, item 2 i + 1 its backward half.
    step_function, factors_function = load_int(arguments, STEP), load_int(arguments, FACTORS)
    frames_in = load_int(arguments, FRAMES_IN)
    states_function, skips_function = load_int(arguments, STATES), load_int(arguments, SKIPS_OF)
    part = _take_up(task, item, arguments)
    backward = item % 2
    width = load_int(task, WIDTH)
    state_bytes, emission_bytes = 8 * state_words(width), 8 * _emission_words(width)
    count, length = load_int(task, S) + 1, load_int(task, T)
    half = length // 2
    if backward:
        half = length - half
    final, checkpoint, stats = _places(task, part, backward)
    own = 2 * state_bytes + 8 * width
    memory = allocate(own + _lay_out(task, arguments, 0, min(K, half)))
    if memory == 0:
        return False
    old, new = memory, memory + state_bytes
    skips = new + state_bytes
    _lay_out(task, arguments, memory + own, min(K, half))
    emissions = load_int(task, EMISSIONS)
    store_int(task, SKIPS, skips)
    store_int(task, STATS, stats)
    store_double(task, LOG_SUM, 0.0)
    call_kernel(skips_function, backward, skips, task, 0, 0)
    call_kernel(states_function, BEGIN, 0, old, width, 0)
    call_kernel(states_function, NONE, 0, new, width, 0)
    for start in range(0, half, K):
        n = min(K, half - start)
        if start > 0:
            call_kernel(states_function, SAVE, checkpoint, old, width, count)
            checkpoint += SAVED_BYTES * count
        call_kernel(frames_in, start, n, 1, task, arguments)
        call_kernel(factors_function, n, 0, 0, task, arguments)
        for i in range(n):
            _band(task, start + i)
            call_kernel(step_function, old, new, emissions + emission_bytes * i, 0, task)
            old, new = new, old
    call_kernel(states_function, SAVE, final, old, width, count)
    store_double(part, LOG_SUMS + backward, load_double(task, LOG_SUM))
    release(memory)
    return True


@Template
def _meeting(item, task, arguments):
    # Where the halves of the table's sample ``item`` meet: its loss, as it enters the sum.
    losses = load_int(arguments, LOSSES)
    states_function, skips_function = load_int(arguments, STATES), load_int(arguments, SKIPS_OF)
    words_function = load_int(arguments, WORDS)
    found = stack_buffer(16)
    part = _take_up(task, 2 * item, arguments)
    width, length, count = load_int(task, WIDTH), load_int(task, T), load_int(task, S) + 1
    state_bytes = 8 * state_words(width)
    memory = allocate(4 * state_bytes + 8 * _emission_words(width) + 8 * width)
    if memory == 0:
        return 0.0, False
    forward, passed, kept, back = (
        memory,
        memory + state_bytes,
        memory + 2 * state_bytes,
        memory + 3 * state_bytes,
    )
    emission = memory + 4 * state_bytes
    skips = emission + 8 * _emission_words(width)
    call_kernel(words_function, emission, _emission_words(width), 0, 0, 0)
    store_int(task, SKIPS, skips)
    call_kernel(skips_function, 0, skips, task, 0, 0)
    call_kernel(states_function, RESTORE, _places(task, part, 0)[0], forward, width, count)
    call_kernel(states_function, RESTORE, _places(task, part, 1)[0], back, width, count)
    call_kernel(states_function, NONE, 0, kept, width, 0)
    call_kernel(states_function, NONE, 0, passed, width, 0)
    store_int(task, LOW, 0)
    store_int(task, HIGH, width)
    call_kernel(load_int(arguments, STEP_KEEPING), forward, passed, emission, kept, task)
    if length == 0:  # no frame is left to take that step in
        call_kernel(states_function, RESTORE, _places(task, part, 0)[0], kept, width, count)
    call_kernel(load_int(arguments, PROBABILITY), kept, back, found, task, 0)
    total, exponent = load_double(found, 0), load_int(found, 1)
    sums = load_double(part, LOG_SUMS) + load_double(part, LOG_SUMS + 1)
    if exponent <= EMPTY:
        loss = np.inf if sums == sums else np.nan
    else:
        loss = sums - exponent * _LN2 - _log(total)
        if loss < 0.0 and load_int(arguments, NORMALISED):
            loss = 0.0
    store_double(part, LOSS, loss)
    # The products of any frame have the same sum, so none of them is larger than this.
    store_int(part, EXPONENT, exponent + 1 + _exponent(_bits(total)))
    if loss == np.inf and load_int(arguments, ZERO_INFINITY):
        loss = 0.0
    if losses != 0:
        store_real(losses, load_int(task, SAMPLE), real(loss))
    labels = load_int(task, S)
    if load_int(arguments, BY_LENGTH) and labels > 1:
        loss /= labels
    release(memory)
    return loss, True


@Template
def _gradient(item, task, arguments):
    # Of the last launch: item 2 i goes on forward through the later half of the frames, item 2 i + 1 backward.
    step_meeting, step_keeping = load_int(arguments, STEP), load_int(arguments, STEP_KEEPING)
    frames_function, rows_function = load_int(arguments, FRAMES_IN), load_int(arguments, ROWS_OUT)
    factors_function = load_int(arguments, FACTORS)
    fill_function = load_int(arguments, FILL)
    states_function, skips_function = load_int(arguments, STATES), load_int(arguments, SKIPS_OF)
    words_function = load_int(arguments, WORDS)
    upstream = load_int(arguments, UPSTREAM)
    frames = load_int(arguments, FRAMES)
    part = _take_up(task, item, arguments)
    backward = item % 2
    length, labels, width = load_int(task, T), load_int(task, S), load_int(task, WIDTH)
    half = length // 2
    padding = (frames + length) // 2
    if backward:
        call_kernel(fill_function, length, padding, 0, task, arguments)
    else:
        call_kernel(fill_function, padding, frames, 0, task, arguments)
    scale = load_double(arguments, SCALE)
    if upstream != 0:
        scale *= load_real(upstream, load_int(task, SAMPLE) * load_int(arguments, UPSTREAM_STRIDE))
    if load_int(arguments, BY_LENGTH) and labels > 1:
        scale /= labels
    store_double(task, ROW_SCALE, scale)
    loss = load_double(part, LOSS)
    if not loss < np.inf or scale == 0.0:
        first = 0 if backward else half
        last = half if backward else length
        call_kernel(fill_function, first, last, 1 if loss != loss else 0, task, arguments)
        return True
    state_bytes, emission_bytes = 8 * state_words(width), 8 * _emission_words(width)
    count = half if backward else length - half
    most = min(K, count)  # frames of a segment
    # What the other direction has kept in each frame; then, a frame further, its products.
    own = (4 + most) * state_bytes + TOTAL_BYTES * most + 16 * width
    memory = allocate(own + _lay_out(task, arguments, 0, most))
    if memory == 0:
        return False
    ahead, ahead_new, kept = memory, memory + state_bytes, memory + 2 * state_bytes
    back = kept + most * state_bytes
    back_new = back + state_bytes
    totals = back_new + state_bytes
    skips = totals + TOTAL_BYTES * most
    back_skips = skips + 8 * width
    _lay_out(task, arguments, memory + own, most)
    emissions = load_int(task, EMISSIONS)
    products = _rows(kept + state_bytes, width)[2]
    final, _, stats = _places(task, part, backward)
    _, checkpoints, _ = _places(task, part, 1 - backward)
    saved = SAVED_BYTES * (labels + 1)
    store_int(task, BACKWARD, 1 - backward)
    store_int(task, STATS, stats)
    store_int(task, PRODUCTS, products)
    store_int(task, TOTALS, totals)
    store_int(task, RELATIVE_TO, load_int(part, EXPONENT))
    call_kernel(words_function, load_int(task, TILE), load_int(arguments, TILE_BYTES) // 8, 0, 0, 0)
    for i in range(most):
        call_kernel(states_function, NONE, 0, kept + state_bytes * i, width, 0)
    call_kernel(skips_function, backward, skips, task, 0, 0)
    call_kernel(skips_function, 1 - backward, back_skips, task, 0, 0)
    call_kernel(states_function, RESTORE, final, ahead, width, labels + 1)
    call_kernel(states_function, NONE, 0, ahead_new, width, 0)
    for segment in range(_segments(count) - 1, -1, -1):
        start = segment * K
        n = min(K, count - start)
        call_kernel(frames_function, start, n, 0, task, arguments)
        call_kernel(factors_function, n, 0, 0, task, arguments)
        if segment > 0:
            call_kernel(states_function, RESTORE, checkpoints + saved * (segment - 1), back, width, labels + 1)
        else:
            call_kernel(states_function, BEGIN, 0, back, width, 0)
        call_kernel(states_function, NONE, 0, back_new, width, 0)
        store_int(task, SKIPS, back_skips)
        for i in range(n):
            _band(task, start + i)
            row = kept + state_bytes * i
            call_kernel(step_keeping, back, back_new, emissions + emission_bytes * i, row, task)
            # Those of an earlier visit that are out of reach in this frame.
            ye, be, _, _ = _rows(row, width)
            high = load_int(task, HIGH)
            if high < width:
                call_kernel(words_function, ye + 8 * high, width - high, ZERO, 0, 0)
                call_kernel(words_function, be + 8 * high, width - high, ZERO, 0, 0)
            back, back_new = back_new, back
        store_int(task, SKIPS, skips)
        for i in range(n - 1, -1, -1):
            _band(task, length - 1 - (start + i))
            store_int(task, STEP_PRODUCTS, products + state_bytes * i)
            store_int(task, STEP_SUMS, totals + TOTAL_BYTES * i)
            row = kept + state_bytes * i
            call_kernel(step_meeting, ahead, ahead_new, emissions + emission_bytes * i, row, task)
            ahead, ahead_new = ahead_new, ahead
        call_kernel(rows_function, start, n, 0, task, arguments)
    release(memory)
    return True


@Template
def program(phase, low, high, arguments, partial):
    """A launch, of the plan's STAGE: two items a sample, but one where the halves meet."""
    task = stack_buffer(TASK_BYTES)
    stage = load_int(arguments, STAGE)
    total = 0.0
    enough = True
    for item in range(low, high):
        if stage == HALVES:
            enough = _half(item, task, arguments)
        elif stage == MEETING:
            loss, enough = _meeting(item, task, arguments)
            total += loss
        else:
            enough = _gradient(item, task, arguments)
        if not enough:
            break
    store_double(partial, 0, total)
    store_double(partial, 1, 0.0)
    store_int(partial, 2, -1 if enough else NO_MEMORY)
