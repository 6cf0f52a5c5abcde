"""Cross-entropy of positions with many classes, one at a time; huge rows in pieces. See classification_cpu.py."""

import math

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.classification_cpu import (
    CLASS_STRIDE,
    CLASSES,
    GRAD_CLASS_STRIDE,
    GRAD_INNER_STRIDE,
    GRAD_OUTER_STRIDE,
    IGNORE_INDEX,
    INNER,
    INNER_STRIDE,
    KEPT,
    OUTER_STRIDE,
    PIECES,
    SMOOTHING,
    SOFTCAP,
    TARGET_CLASS_STRIDE,
    TARGET_GRAD_CLASS_STRIDE,
    TARGET_GRAD_INNER_STRIDE,
    TARGET_GRAD_OUTER_STRIDE,
    TARGET_INNER_STRIDE,
    TARGET_OUTER_STRIDE,
    UPSTREAM_STRIDE,
    Z_LOSS,
    _label_gradient,
    _others,
    _row_loss,
)
from fastloss.kernels.launch_cpu import (
    COUNTING,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    GRAD_OF_TARGET,
    GRAD_TARGET,
    INPUT,
    ITEMS,
    LOSSES,
    NO_MEMORY,
    SAMPLE_WEIGHT,
    SCALE,
    STATISTICS,
    STATS,
    TARGET,
    THIRD,
    UPSTREAM,
    WEIGHT,
)
from fastloss.kernels.logsumexp_cpu import (
    CHUNK,
    GROUP,
    beside_top,
    capped,
    kept_exponential,
    largest_of,
    logit,
    next_chunk,
)
from fastloss.kernels.memory_cpu import (
    allocate,
    load_double,
    load_int,
    release,
    stack_buffer,
    store_double,
    store_int,
)
from fastloss.kernels.streams_cpu import (
    STREAMS,
    ask_in_streams,
    ask_in_streams_for_writing,
    left_of,
    rows_at_once,
    streamed,
    streams_of,
)

#: Classes in a piece of a huge row, and the bytes of what is noted of one: top, others, mass, dot, smooth_dot.
PIECE = 65536
PART_BYTES = 40
CHUNK_BYTES = 8 * CHUNK
KEEPS = False


@Template
def _side_by_side(address, stride, first, n, copy):
    """Where elements ``first`` to ``first + n`` of a row lie side by side: where they are, or in ``copy``."""
    if stride == 1:
        return address + first * ITEMSIZE
    for i in range(n):
        gather(copy, i, load(address, (first + i) * stride))
    return copy


@Template
def _spread(copy, n, address, stride, first):
    # The way back, for outputs.
    if stride != 1:
        for i in range(n):
            store(address, (first + i) * stride, load_back(copy, i))


@Template
def _top_and_others(x, n, coming, cap, exponentials, g):
    """The largest logit of a row, and what the others sum to beside it. ``exponentials``: where they are kept."""
    top = from_ordinal(largest_of(x, n, ordinal(-real(np.inf))))
    if SOFTCAP_ON:
        top = capped(top, cap)
    small, maxima = beside_top(x, n, coming, top, cap, exponentials, g)
    return top, real(_others(small, maxima))


@Template
def _target_mass(x, t, n, class_weight, top, cap):
    """The weighted sum of target probabilities, and their dot product with d."""
    zero = real(0.0)
    wide_mass = 0.0
    wide_dot = 0.0
    start = 0
    while start < n:
        start, count, skip = next_chunk(start, 0, n, CHUNK)
        z = x + start * ITEMSIZE
        tc = t + start * ITEMSIZE
        chunk_mass = zero
        chunk_dot = zero
        if skip == 0:
            for i in range(count):
                d = logit(z, i, cap) - top
                ti = load(tc, i)
                if FULL and class_weight != 0:
                    ti *= load_real(class_weight, start + i)
                chunk_mass = accumulate(chunk_mass, ti)
                chunk_dot = accumulate(chunk_dot, select(ti == zero, zero, ti * d))
        else:  # loads under a mask would wait for memory one by one
            for i in range(GROUP):
                d = logit(z, i, cap) - top
                ti = select(i < skip, zero, load(tc, i))
                if FULL and class_weight != 0:
                    ti *= load_real(class_weight, start + i)
                chunk_mass = accumulate(chunk_mass, ti)
                chunk_dot = accumulate(chunk_dot, select(ti == zero, zero, ti * d))
        wide_mass += chunk_mass
        wide_dot += chunk_dot
        start += count
    return real(wide_mass), real(wide_dot)


@Template
def _smooth_dot(x, n, class_weight, top, cap):
    """The dot product of class weights and d, for the part of the target that smoothing spreads."""
    zero = real(0.0)
    wide_dot = 0.0
    start = 0
    while start < n:
        start, count, skip = next_chunk(start, 0, n, CHUNK)
        z = x + start * ITEMSIZE
        chunk_dot = zero
        if class_weight != 0:
            for i in range(count):
                d = logit(z, i, cap) - top
                wi = zero if i < skip else load_real(class_weight, start + i)
                chunk_dot = accumulate(chunk_dot, zero if wi == zero else wi * d)
        else:
            for i in range(count):
                d = logit(z, i, cap) - top
                chunk_dot = accumulate(chunk_dot, zero if i < skip else d)
        wide_dot += chunk_dot
        start += count
    return real(wide_dot)


@Template
def _slopes(x, g, n, exponentials, coming, top, factor, shift, slopes):
    """The gradient of a row but for its label, exp(d) * factor - shift.

    What is ``coming`` is asked for, logits too where nothing else reads them. ``exponentials``: those of whole groups
    lie there already (9 of 11 vector operations), and beside_top has asked for the first half of what comes.
    """
    start = 0
    ahead, _, rest, apart = coming
    if KEEPS and exponentials != 0:
        for base in range(0, n - GROUP + 1, GROUP):
            ask_in_streams_for_writing(g + rest, base // 2 * ITEMSIZE, GROUP // 2 * ITEMSIZE, apart)
            for i in range(base, base + GROUP):
                store(g, i, kept_exponential(exponentials, g, i) * factor - shift)
            start = base + GROUP
    while start < n:
        start, count, _ = next_chunk(start, 0, n, CHUNK)
        z = x + start * ITEMSIZE
        out = g + start * ITEMSIZE
        whole = count // GROUP * GROUP
        for base in range(0, whole, GROUP):
            if not SPLIT or STREAMS > 1:  # in one stream a huge row's gradient comes no sooner for it
                at = (start + base) * ITEMSIZE
                ask_in_streams_for_writing(g + ahead, at, GROUP * ITEMSIZE, apart)
                if not VALUES:
                    ask_in_streams(x + ahead, at, GROUP * ITEMSIZE, apart)
            if ITEMSIZE < REALSIZE:
                for i in range(GROUP):
                    store_tile(slopes, base + i, exp_softmax(load(z, base + i) - top) * factor - shift)
            else:
                for i in range(GROUP):
                    store(out, base + i, exp_softmax(load(z, base + i) - top) * factor - shift)
        # Rounding to 16 bits waits for a long chain of operations, in a loop of its own for none: the gradient of
        # bfloat16 takes three quarters of the time so.
        if ITEMSIZE < REALSIZE:
            for i in range(whole):
                store(out, i, load_tile(slopes, i))
        for i in range(whole, count):
            store(out, i, exp_softmax(load(z, i) - top) * factor - shift)
        start += count


@Template
def _dense_slope(e, t, i, class_weight, factor, scale, kept, spread):
    # That of a class with exponential e, whose weight lies at i, as does its target.
    wi = real(1.0)
    if FULL and class_weight != 0:
        wi = load_real(class_weight, i)
    mass = spread if FULL else real(0.0)
    if PROBABILITIES:
        mass += kept * load(t, i) if FULL else load(t, i)
    return e * factor - scale * wi * mass


@Template
def _dense_slopes(x, t, g, n, exponentials, coming, class_weight, top, cap, factor, scale, kept, spread):
    """The gradient of a row every class of which has a target mass: probabilities, or smoothed by ``spread``.

    ``exponentials``: as for _slopes.
    """
    one = real(1.0)
    over_cap = one / cap
    start = 0
    _, _, rest, apart = coming
    if KEEPS and exponentials != 0:
        for base in range(0, n - GROUP + 1, GROUP):
            ask_in_streams_for_writing(g + rest, base // 2 * ITEMSIZE, GROUP // 2 * ITEMSIZE, apart)
            for i in range(base, base + GROUP):
                e = kept_exponential(exponentials, g, i)
                store(g, i, _dense_slope(e, t, i, class_weight, factor, scale, kept, spread))
            start = base + GROUP
    while start < n:
        start, count, _ = next_chunk(start, 0, n, n)
        for i in range(start, start + count):
            zi = logit(x, i, cap)
            gi = _dense_slope(exp_softmax(zi - top), t, i, class_weight, factor, scale, kept, spread)
            if SOFTCAP_ON:
                gi *= one - (zi * over_cap) * (zi * over_cap)
            store(g, i, gi)
        start += count


@Template
def _target_slopes(x, g, n, class_weight, top, cap, log_sum, scale, kept):
    """The gradient of a row's target probabilities."""
    start = 0
    while start < n:
        start, count, _ = next_chunk(start, 0, n, n)
        for i in range(start, start + count):
            d = logit(x, i, cap) - top
            wi = scale
            if FULL:
                wi *= kept
                if class_weight != 0:
                    wi *= load_real(class_weight, i)
            store(g, i, select(wi == real(0.0), real(0.0), wi * (log_sum - d)))
        start += count


@Template
def cross_entropy_rows(phase, low, high, arguments, partial):
    """Positions whose classes lie side by side (or are copied so), one at a time.

    ``SPLIT``: a huge row is cut in pieces of PIECE classes, which are the items. With ``VALUES`` they only note in
    PARTS what combine_rows needs; from the statistics that it finds, they write their part of the gradient.
    """
    logits = load_int(arguments, INPUT)
    target = load_int(arguments, TARGET)
    class_weight = load_int(arguments, WEIGHT)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    grads = load_int(arguments, GRAD_INPUT)
    target_grads = load_int(arguments, GRAD_OF_TARGET)
    statistics = load_int(arguments, STATISTICS)
    flags = load_int(arguments, FLAGS)
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    class_stride = load_int(arguments, CLASS_STRIDE)
    grad_class_stride = load_int(arguments, GRAD_CLASS_STRIDE)
    upstream_stride = load_int(arguments, UPSTREAM_STRIDE)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    scale = real(load_double(arguments, SCALE))
    zero, one = real(0.0), real(1.0)
    kept, smoothing, z_loss, cap = one, zero, zero, one
    if FULL:
        kept = real(load_double(arguments, KEPT))
        smoothing = real(load_double(arguments, SMOOTHING))
        z_loss = real(load_double(arguments, Z_LOSS))
    if SOFTCAP_ON:
        cap = real(load_double(arguments, SOFTCAP))

    slopes = stack_buffer(CHUNK_BYTES)
    weigh_classes = FULL and class_weight != 0
    weighs_smoothing = weigh_classes and smoothing != zero
    weight_sum = real(classes)
    if FULL and weighs_smoothing:
        wide_sum = 0.0
        for c in range(classes):
            wide_sum += load_real(class_weight, c)
        weight_sum = real(wide_sum)
    pieces = load_int(arguments, PIECES) if SPLIT else 1
    # What comes next: the row after this one, or several, or the next piece of a huge row.
    size = ITEMSIZE * (PIECE if SPLIT else classes)
    ahead = ITEMSIZE * (load_int(arguments, OUTER_STRIDE) if inner == 1 else load_int(arguments, INNER_STRIDE))
    if SPLIT:
        ahead = size
    left = left_of(load_int(arguments, ITEMS), high, size)
    at_once = rows_at_once(size, ahead, left)
    start, apart = streams_of(at_once * size, at_once * ahead, left)
    # Where classes do not lie side by side: copies of logits and target, and both gradients before they are spread.
    target_stride = load_int(arguments, TARGET_CLASS_STRIDE) if PROBABILITIES else 1
    target_grad_stride = load_int(arguments, TARGET_GRAD_CLASS_STRIDE) if PROBABILITIES and GRADIENTS else 1
    strided = class_stride != 1 or target_stride != 1 or target_grad_stride != 1
    if GRADIENTS and grad_class_stride != 1:
        strided = True
    copies = 0
    if strided:
        copies = allocate(4 * size)
        if copies == 0:
            store_int(partial, 2, NO_MEMORY)
            return
    # Where the gradient is too narrow for exponentials. Without the memory they are computed twice.
    heap = 0
    if KEEPS and ITEMSIZE < REALSIZE and phase != COUNTING and classes <= PIECE:
        heap = allocate(classes * REALSIZE)
    total = 0.0
    counted = 0.0
    bad = -1
    for item in range(low, high):
        position = item // pieces if SPLIT else item
        first = 0
        last = classes
        if SPLIT:
            first = (item - position * pieces) * PIECE
            last = min(classes, first + PIECE)
        outer_index = position // inner
        inner_index = position - outer_index * inner
        row_weight = one
        if sample_weight != 0:
            row_weight = load_real(sample_weight, position)
        label = 0
        label_weight = one
        if INDEX:
            label = load_index(target, position)
            if label == ignore_index:
                if phase == COUNTING:
                    continue
                if VALUES and losses != 0:
                    store_real(losses, position, zero)
                if GRADIENTS:
                    g = grads + ITEMSIZE * (
                        outer_index * load_int(arguments, GRAD_OUTER_STRIDE)
                        + inner_index * load_int(arguments, GRAD_INNER_STRIDE)
                    )
                    for c in range(first, last):
                        store(g, c * grad_class_stride, zero)
                continue
            if label < 0 or label >= classes:
                bad = position
                break
            if weigh_classes:
                label_weight = load_real(class_weight, label)
            counted += label_weight * row_weight
        else:
            counted += row_weight
        if phase == COUNTING:
            continue

        x = logits + ITEMSIZE * (
            outer_index * load_int(arguments, OUTER_STRIDE) + inner_index * load_int(arguments, INNER_STRIDE)
        )
        t = target
        if not INDEX:
            t += ITEMSIZE * (
                outer_index * load_int(arguments, TARGET_OUTER_STRIDE)
                + inner_index * load_int(arguments, TARGET_INNER_STRIDE)
            )
        asked = 0 if SPLIT else (position - low) % at_once * size
        coming = (
            start - asked + streamed(asked),
            start - asked + streamed(asked // 2),
            start - asked + streamed((at_once * size + asked) // 2),
            apart,
        )
        if strided:
            coming = (0, 0, 0, 0)
        n = last - first
        row = _side_by_side(x, class_stride, first, n, copies)
        masses = t
        if PROBABILITIES:
            masses = _side_by_side(t, target_stride, first, n, copies + size)
        weights = class_weight
        if weigh_classes:
            weights += first * REALSIZE
        g = grads + ITEMSIZE * (
            outer_index * load_int(arguments, GRAD_OUTER_STRIDE) + inner_index * load_int(arguments, GRAD_INNER_STRIDE)
        )
        out = g + first * ITEMSIZE if grad_class_stride == 1 else copies + 2 * size
        exponentials = 0
        # The maximum and the others' sum: found, or remembered from the forward pass.
        if not VALUES:
            top = load_real(statistics, KEPT_NUMBERS * position)
            others = load_real(statistics, KEPT_NUMBERS * position + 1)
        else:
            if KEEPS:
                exponentials = heap if ITEMSIZE < REALSIZE else out
            top, others = _top_and_others(row, n, coming, cap, exponentials, out)
            if flags & STATS and not SPLIT:
                store_real(statistics, KEPT_NUMBERS * position, top)
                store_real(statistics, KEPT_NUMBERS * position + 1, others)
        log_sum = log1p(others)

        # Target mass and its dot product with d.
        mass = label_weight
        dot = zero
        d_label = zero
        if INDEX:
            d_label = logit(x, label * class_stride, cap) - top
            dot = zero if label_weight == zero else label_weight * d_label
        elif not VALUES:
            mass = load_real(statistics, KEPT_NUMBERS * position + 2)
        else:
            mass, dot = _target_mass(row, masses, n, weights, top, cap)
            if flags & STATS and not SPLIT:
                store_real(statistics, KEPT_NUMBERS * position + 2, mass)
        smooth_dot = zero
        if FULL and VALUES and smoothing != zero:
            smooth_dot = _smooth_dot(row, n, weights, top, cap)
        if SPLIT and VALUES:
            part = load_int(arguments, THIRD) + PART_BYTES * item
            store_double(part, 0, top)
            store_double(part, 1, others)
            store_double(part, 2, mass)
            store_double(part, 3, dot)
            store_double(part, 4, smooth_dot)
            continue
        if FULL:
            dot = (zero if kept == zero else kept * dot) + smoothing * smooth_dot
            mass = kept * mass + smoothing * weight_sum

        if VALUES:
            loss = row_weight * _row_loss(mass, dot, log_sum, top, z_loss)
            if row_weight == zero:
                loss = zero  # also where the loss is infinite
            total += loss
            if losses != 0:
                store_real(losses, position, loss)

        if GRADIENTS:
            row_scale = scale * row_weight
            if upstream != 0:
                row_scale *= load_real(upstream, position * upstream_stride)
            over_sum = one / (one + others)
            slope = mass + real(2.0) * z_loss * (top + log_sum) if FULL else mass
        if GRADIENTS and flags & GRAD:
            factor = row_scale * slope * over_sum
            if PROBABILITIES or SOFTCAP_ON or (FULL and weighs_smoothing):
                spread = smoothing if FULL else zero
                _dense_slopes(
                    row, masses, out, n, exponentials, coming, weights, top, cap, factor, row_scale, kept, spread
                )
            else:
                shift = row_scale * smoothing if FULL else zero
                _slopes(row, out, n, exponentials, coming, top, factor, shift, slopes)
            _spread(out, n, g, grad_class_stride, first)
            if INDEX and label >= first and label < last:
                gl = _label_gradient(d_label, others, mass, slope, label_weight, kept, smoothing, weight_sum)
                if SOFTCAP_ON:
                    zl = (d_label + top) / cap
                    gl *= one - zl * zl
                store(g, label * grad_class_stride, row_scale * gl)
        if GRADIENTS and PROBABILITIES and flags & GRAD_TARGET:
            g = target_grads + ITEMSIZE * (
                outer_index * load_int(arguments, TARGET_GRAD_OUTER_STRIDE)
                + inner_index * load_int(arguments, TARGET_GRAD_INNER_STRIDE)
            )
            out = g + first * ITEMSIZE if target_grad_stride == 1 else copies + 3 * size
            _target_slopes(row, out, n, weights, top, cap, log_sum, row_scale, kept)
            _spread(out, n, g, target_grad_stride, first)
    if copies != 0:
        release(copies)
    if heap != 0:
        release(heap)
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)


@Template
def combine_rows(phase, low, high, arguments, partial):
    """The losses and statistics of huge rows, from what cross_entropy_rows noted of their pieces."""
    logits = load_int(arguments, INPUT)
    target = load_int(arguments, TARGET)
    parts = load_int(arguments, THIRD)
    class_weight = load_int(arguments, WEIGHT)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    losses = load_int(arguments, LOSSES)
    statistics = load_int(arguments, STATISTICS)
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    pieces = load_int(arguments, PIECES)
    kept = real(load_double(arguments, KEPT))
    smoothing = real(load_double(arguments, SMOOTHING))
    z_loss = real(load_double(arguments, Z_LOSS))
    cap = real(load_double(arguments, SOFTCAP))
    one = real(1.0)
    weigh_classes = FULL and class_weight != 0
    weight_sum = 0.0
    if FULL and weigh_classes:
        for c in range(classes):
            weight_sum += load_real(class_weight, c)
    else:
        weight_sum = np.float64(classes)
    total = 0.0
    counted = 0.0
    bad = -1
    for position in range(low, high):
        label = 0
        mass = 1.0
        if INDEX:
            label = load_index(target, position)
            if label == load_int(arguments, IGNORE_INDEX):
                if losses != 0:
                    store_real(losses, position, real(0.0))
                continue
            if label < 0 or label >= classes:
                bad = position
                break
            if weigh_classes:
                mass = np.float64(load_real(class_weight, label))
        row_weight = one
        if sample_weight != 0:
            row_weight = load_real(sample_weight, position)
        counted += mass * row_weight if INDEX else row_weight

        first = parts + PART_BYTES * position * pieces
        top = -real(np.inf)
        for piece in range(pieces):
            top = maxnum(top, real(load_double(first + PART_BYTES * piece, 0)))
        small = 0.0
        maxima = 0.0
        dot = 0.0
        smooth_dot = 0.0
        if PROBABILITIES:
            mass = 0.0
        for piece in range(pieces):
            part = first + PART_BYTES * piece
            d = np.float64(load_double(part, 0) - top)
            # A piece's own maximum is exp(d) beside the row's; its dot products are moved from one to the other.
            own = load_double(part, 1)
            if d == 0.0:
                small += own
                maxima += 1.0
            else:
                small += (own + 1.0) * math.exp(d)
            if PROBABILITIES:
                own_mass = load_double(part, 2)
                mass += own_mass
                dot += load_double(part, 3) + (0.0 if own_mass == 0.0 else own_mass * d)
            if FULL and smoothing != real(0.0):
                own_weight = 0.0
                end = min(classes, (piece + 1) * PIECE)
                if weigh_classes:
                    for c in range(piece * PIECE, end):
                        own_weight += load_real(class_weight, c)
                else:
                    own_weight = np.float64(end - piece * PIECE)
                smooth_dot += load_double(part, 4) + (0.0 if own_weight == 0.0 else own_weight * d)
        if INDEX:
            outer_index = position // inner
            x = logits + ITEMSIZE * (
                outer_index * load_int(arguments, OUTER_STRIDE)
                + (position - outer_index * inner) * load_int(arguments, INNER_STRIDE)
            )
            d_label = logit(x, label * load_int(arguments, CLASS_STRIDE), cap) - top
            dot = 0.0 if mass == 0.0 else mass * d_label
        others = real(_others(small, maxima))
        log_sum = log1p(others)
        row_mass = real(mass)
        row_dot = real(dot)
        if FULL:
            row_mass = kept * row_mass + smoothing * real(weight_sum)
            row_dot = (real(0.0) if kept == real(0.0) else kept * row_dot) + smoothing * real(smooth_dot)
        loss = row_weight * _row_loss(row_mass, row_dot, log_sum, top, z_loss)
        if row_weight == real(0.0):
            loss = real(0.0)
        total += loss
        if losses != 0:
            store_real(losses, position, loss)
        if statistics != 0:
            store_real(statistics, KEPT_NUMBERS * position, top)
            store_real(statistics, KEPT_NUMBERS * position + 1, others)
            if PROBABILITIES:
                store_real(statistics, KEPT_NUMBERS * position + 2, real(mass))
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
