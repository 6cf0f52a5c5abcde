"""Cross-entropy of positions side by side, one in each lane of a vector. See classification_cpu.py."""

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
    LANES,
    OUTER_STRIDE,
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
from fastloss.kernels.lanes_cpu import LANE_GROUP, beside_tops, fetch_lanes, flush_lanes, largest_of_lanes
from fastloss.kernels.launch_cpu import (
    COUNTING,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    GRAD_OF_TARGET,
    GRAD_TARGET,
    INPUT,
    LOSSES,
    NO_MEMORY,
    SAMPLE_WEIGHT,
    SCALE,
    STATISTICS,
    STATS,
    TARGET,
    UPSTREAM,
    WEIGHT,
)
from fastloss.kernels.logsumexp_cpu import capped
from fastloss.kernels.memory_cpu import (
    allocate,
    ask_for,
    ask_for_writing,
    load_double,
    load_int,
    release,
    stack_buffer,
    store_double,
    store_int,
)

#: Classes that are summed, one after the other, in the type of the arithmetic before the sum joins a float64.
FOLD = 64
#: At most so many positions are worked on side by side, as long as their classes fit the tile on the stack.
MAX_LANES = 256
TILE_BYTES = 32768
LANE_BYTES = 8 * MAX_LANES


@Template
def _class_weight(class_weight, c):
    return load_real(class_weight, c) if FULL and class_weight != 0 else real(1.0)


@Template
def _target_masses(tile, target_tile, step, classes, n, class_weight, top, mass, dot):
    """Of n lanes: the weighted sum of target probabilities, and their dot product with d."""
    zero = real(0.0)
    for r in range(n):
        store_tile(mass, r, zero)
        store_tile(dot, r, zero)
    for c in range(classes):
        wc = _class_weight(class_weight, c)
        for r in range(n):
            ti = wc * load_tile(target_tile + c * step, r)
            d = load_tile(tile + c * step, r) - load_tile(top, r)
            store_tile(mass, r, load_tile(mass, r) + ti)
            store_tile(dot, r, load_tile(dot, r) + (zero if ti == zero else ti * d))


@Template
def _smooth_dots(tile, step, classes, n, class_weight, top, smooth_dot):
    """The dot product of class weights and d, for the part of the target that smoothing spreads."""
    zero = real(0.0)
    for c in range(classes):
        wc = _class_weight(class_weight, c)
        if wc != zero:
            for r in range(n):
                d = load_tile(tile + c * step, r) - load_tile(top, r)
                store_tile(smooth_dot, r, load_tile(smooth_dot, r) + wc * d)


@Template
def _target_slopes(
    tile, step, classes, n, class_weight, top, log_sum, row_scale, kept, out, out_class_stride, out_lane_stride
):
    """The gradient of target probabilities."""
    for c in range(classes):
        wc = kept * _class_weight(class_weight, c)
        for r in range(n):
            d = load_tile(tile + c * step, r) - load_tile(top, r)
            g = wc * load_tile(row_scale, r) * (load_tile(log_sum, r) - d)
            g = real(0.0) if wc == real(0.0) else g
            store(out, c * out_class_stride + r * out_lane_stride, g)


@Template
def _slopes_from_logits(row, target_row, n, c, class_weight, top, factor, row_scale, live, kept, smoothing, over_cap):
    """The gradient of class c, in the place of its logits."""
    zero, one = real(0.0), real(1.0)
    wc = _class_weight(class_weight, c)
    for r in range(n):
        z = load_tile(row, r)
        g = exp_softmax(z - load_tile(top, r)) * load_tile(factor, r)
        if FULL:
            mass_c = smoothing
            if PROBABILITIES:
                mass_c += kept * load_tile(target_row, r)
            g -= load_tile(row_scale, r) * wc * mass_c
            if SOFTCAP_ON:
                g *= one - (z * over_cap) * (z * over_cap)
        elif PROBABILITIES:
            g -= load_tile(row_scale, r) * load_tile(target_row, r)
        if INDEX:
            g = zero if load_tile(live, r) == zero else g
        store_tile(row, r, g)


@Template
def cross_entropy_lanes(phase, low, high, arguments, partial):
    """Positions side by side, one in each lane of a vector: few classes, or a class axis that is not the last.

    The steps and names are those of cross_entropy_rows. ``KEEPS``: exponentials stay in the tile, for the gradient of
    class indices, where nothing else is made of logits. Loops over lanes are the inner ones and free of branches.
    """
    target = load_int(arguments, TARGET)
    class_weight = load_int(arguments, WEIGHT)
    sample_weight = load_int(arguments, SAMPLE_WEIGHT)
    upstream = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    statistics = load_int(arguments, STATISTICS)
    classes = load_int(arguments, CLASSES)
    inner = load_int(arguments, INNER)
    lanes = load_int(arguments, LANES)
    upstream_stride = load_int(arguments, UPSTREAM_STRIDE)
    ignore_index = load_int(arguments, IGNORE_INDEX)
    scale = real(load_double(arguments, SCALE))
    zero, one = real(0.0), real(1.0)
    kept, smoothing, cap, over_cap = one, zero, one, one
    if FULL:
        kept = real(load_double(arguments, KEPT))
        smoothing = real(load_double(arguments, SMOOTHING))
        z_loss = real(load_double(arguments, Z_LOSS))
        weigh_classes = class_weight != 0
        weight_sum = real(classes)
        if weigh_classes:
            wide_sum = 0.0
            for c in range(classes):
                wide_sum += load_real(class_weight, c)
            weight_sum = real(wide_sum)
    if SOFTCAP_ON:
        cap = real(load_double(arguments, SOFTCAP))
        over_cap = one / cap

    # One value a lane.
    label = stack_buffer(LANE_BYTES)  # the class, 0 where there is none
    weight = stack_buffer(LANE_BYTES)  # of the sample; 0 for an ignored position, which is also not live
    live = stack_buffer(LANE_BYTES)
    mass = stack_buffer(LANE_BYTES)
    dot = stack_buffer(LANE_BYTES)
    smooth_dot = stack_buffer(LANE_BYTES)
    top = stack_buffer(LANE_BYTES)
    others = stack_buffer(LANE_BYTES)
    maxima = stack_buffer(LANE_BYTES)
    folded = stack_buffer(LANE_BYTES)
    loss = stack_buffer(LANE_BYTES)
    row_scale = stack_buffer(LANE_BYTES)
    factor = stack_buffer(LANE_BYTES)
    label_grad = stack_buffer(LANE_BYTES)

    if INDEX:
        for r in range(MAX_LANES):  # lanes past the last position have some class, too
            store_wide_index(label, r, 0)

    # The tiles of logits and of target probabilities: class c, lane r at c * lanes + r.
    step = lanes * REALSIZE
    needed = step * classes * (1 if INDEX else 2)
    tile = stack_buffer(TILE_BYTES)
    heap = 0
    if needed > TILE_BYTES:
        heap = allocate(needed)
        tile = heap
        if heap == 0:
            store_int(partial, 2, NO_MEMORY)
            return
    target_tile = tile + step * classes

    total = 0.0
    counted = 0.0
    bad = -1
    start = low
    while start < high:
        outer_index = start // inner
        inner_index = start - outer_index * inner
        n = min(min(lanes, high - start), inner - inner_index)
        # Loops that stay in the tile run over whole groups, lanes past the last position too, which weigh nothing: what
        # LLVM makes for a remainder was a fifth of the time to compile this.
        wide = (n + (LANE_GROUP - 1)) & -LANE_GROUP
        # 1. What each position weighs, and its label.
        if sample_weight != 0:
            for r in range(n):
                store_tile(weight, r, load_real(sample_weight, start + r))
        else:
            for r in range(n):
                store_tile(weight, r, one)
        for r in range(n, wide):
            store_tile(weight, r, zero)
        wrong = 0
        if INDEX:
            for r in range(n):
                index = load_index(target, start + r)
                ignored = index == ignore_index
                outside = (index < 0) | (index >= classes)
                wrong += np.int64(outside & (not ignored))
                store_wide_index(label, r, 0 if outside | ignored else index)
                store_tile(live, r, zero if ignored else one)
                store_tile(weight, r, zero if ignored else load_tile(weight, r))
        tile_count = zero
        if FULL and INDEX:
            for r in range(n):
                m = load_real(class_weight, load_wide_index(label, r)) if weigh_classes else one
                store_tile(mass, r, m)
                tile_count = accumulate(tile_count, load_tile(weight, r) * m)
        else:
            for r in range(wide):
                tile_count = accumulate(tile_count, load_tile(weight, r))
        counted += tile_count
        if wrong > 0:
            for r in range(n):
                index = load_index(target, start + r)
                if bad < 0 and index != ignore_index and (index < 0 or index >= classes):
                    bad = start + r
        if bad >= 0:
            break
        if VALUES and GRADIENTS and phase == COUNTING:
            start += n
            continue

        # 2. The logits, so that a lane is a position.
        offset = outer_index * load_int(arguments, OUTER_STRIDE) + inner_index * load_int(arguments, INNER_STRIDE)
        fetch_lanes(
            load_int(arguments, INPUT) + offset * ITEMSIZE,
            load_int(arguments, CLASS_STRIDE),
            load_int(arguments, INNER_STRIDE),
            classes,
            n,
            tile,
            lanes,
        )
        # The tile after this one, where it lies in as many places as there are classes (fetch_lanes asks for others).
        in_places = load_int(arguments, INNER_STRIDE) == 1
        next_tile = load_int(arguments, INPUT) + (offset + n) * ITEMSIZE
        class_bytes = load_int(arguments, CLASS_STRIDE) * ITEMSIZE
        if SOFTCAP_ON:
            for c in range(classes):
                for r in range(wide):
                    store_tile(tile + c * step, r, capped(load_tile(tile + c * step, r), cap))
        if PROBABILITIES:
            offset = outer_index * load_int(arguments, TARGET_OUTER_STRIDE) + inner_index * load_int(
                arguments, TARGET_INNER_STRIDE
            )
            fetch_lanes(
                target + offset * ITEMSIZE,
                load_int(arguments, TARGET_CLASS_STRIDE),
                load_int(arguments, TARGET_INNER_STRIDE),
                classes,
                n,
                target_tile,
                lanes,
            )

        # 3. The maximum and the others' sum: found, or remembered from the forward pass.
        if INDEX:
            for r in range(wide):
                store_tile(dot, r, load_tile(tile, load_wide_index(label, r) * lanes + r))
        if not VALUES:
            for r in range(n):
                store_tile(top, r, load_real(statistics, KEPT_NUMBERS * (start + r)))
                store_tile(others, r, load_real(statistics, KEPT_NUMBERS * (start + r) + 1))
        else:
            for base in range(0, n, LANE_GROUP):
                largest_of_lanes(tile + base * REALSIZE, step, classes, top + base * REALSIZE)
            for r in range(wide):
                store_wide(folded, r, 0.0)
                store_tile(maxima, r, zero)
            for first in range(0, classes, FOLD):
                last = min(classes, first + FOLD)
                for base in range(0, n, LANE_GROUP):
                    at = base * REALSIZE
                    ahead = next_tile + base * ITEMSIZE if in_places else 0
                    beside_tops(tile + at, step, first, last, top + at, ahead, class_bytes, others + at, maxima + at)
                for r in range(wide):
                    store_wide(folded, r, load_wide(folded, r) + load_tile(others, r))
            for r in range(wide):
                store_tile(others, r, real(_others(load_wide(folded, r), load_tile(maxima, r))))
            if load_int(arguments, FLAGS) & STATS:
                for r in range(n):
                    store_real(statistics, KEPT_NUMBERS * (start + r), load_tile(top, r))
                    store_real(statistics, KEPT_NUMBERS * (start + r) + 1, load_tile(others, r))

        # 4. Target mass and its dot product with d, where they are more than one class's.
        if PROBABILITIES:
            _target_masses(tile, target_tile, step, classes, wide, class_weight, top, mass, dot)
        if FULL and VALUES:
            for r in range(wide):
                store_tile(smooth_dot, r, zero)
            if smoothing != zero:
                _smooth_dots(tile, step, classes, wide, class_weight, top, smooth_dot)

        # 5. What is left to do for a lane alone: its loss, and the factors of its gradient. What reads or writes at
        # an index of its own stands in loops of its own: those do not vectorise.
        if GRADIENTS:
            for r in range(wide):
                store_tile(row_scale, r, scale * load_tile(weight, r))
            if upstream != 0:
                for r in range(n):
                    u = load_real(upstream, (start + r) * upstream_stride)
                    store_tile(row_scale, r, load_tile(row_scale, r) * u)
        for r in range(wide):
            m_top = load_tile(top, r)
            o = load_tile(others, r)
            log_sum = log1p(o)
            if INDEX:
                d = load_tile(dot, r) - m_top
                label_mass = load_tile(mass, r) if FULL else one
                lane_mass = label_mass
                lane_dot = zero if label_mass == zero else label_mass * d
            else:
                lane_mass = load_tile(mass, r)
                lane_dot = load_tile(dot, r)
            slope = lane_mass
            if FULL:
                lane_mass = slope = kept * lane_mass + smoothing * weight_sum
                slope += real(2.0) * z_loss * (m_top + log_sum)
            if VALUES:
                w = load_tile(weight, r)
                if FULL:
                    lane_dot = (zero if kept == zero else kept * lane_dot) + smoothing * load_tile(smooth_dot, r)
                    lane_loss = _row_loss(lane_mass, lane_dot, log_sum, m_top, z_loss)
                else:
                    lane_loss = _row_loss(lane_mass, lane_dot, log_sum, m_top, zero)
                store_tile(loss, r, zero if w == zero else lane_loss * w)
            if GRADIENTS:
                lane_scale = load_tile(row_scale, r)
                store_tile(factor, r, lane_scale * slope * (one / (one + o)))
                if INDEX:
                    if FULL:
                        gl = _label_gradient(d, o, lane_mass, slope, label_mass, kept, smoothing, weight_sum)
                        if SOFTCAP_ON:
                            zl = (d + m_top) * over_cap
                            gl *= one - zl * zl
                    else:
                        gl = _label_gradient(d, o, lane_mass, slope, label_mass, one, zero, zero)
                    store_tile(label_grad, r, zero if load_tile(live, r) == zero else lane_scale * gl)
                else:
                    store_tile(smooth_dot, r, log_sum)  # for the gradient of the target
        if VALUES:
            # In a loop of its own, which is the same with gradients and without: LLVM chooses the order of the sum.
            tile_total = zero
            for r in range(wide):
                tile_total = accumulate(tile_total, load_tile(loss, r))
            total += tile_total
            if losses != 0:
                for r in range(n):
                    store_real(losses, start + r, load_tile(loss, r))

        # 6. Gradients.
        if GRADIENTS and PROBABILITIES and load_int(arguments, FLAGS) & GRAD_TARGET:
            out = load_int(arguments, GRAD_OF_TARGET) + ITEMSIZE * (
                outer_index * load_int(arguments, TARGET_GRAD_OUTER_STRIDE)
                + inner_index * load_int(arguments, TARGET_GRAD_INNER_STRIDE)
            )
            _target_slopes(
                tile,
                step,
                classes,
                n,
                class_weight,
                top,
                smooth_dot,
                row_scale,
                kept,
                out,
                load_int(arguments, TARGET_GRAD_CLASS_STRIDE),
                load_int(arguments, TARGET_GRAD_INNER_STRIDE),
            )
        if GRADIENTS and load_int(arguments, FLAGS) & GRAD:
            offset = outer_index * load_int(arguments, GRAD_OUTER_STRIDE) + inner_index * load_int(
                arguments, GRAD_INNER_STRIDE
            )
            out = load_int(arguments, GRAD_INPUT) + offset * ITEMSIZE
            out_in_places = load_int(arguments, GRAD_INNER_STRIDE) == 1
            grad_class_stride = load_int(arguments, GRAD_CLASS_STRIDE)
            grad_class_bytes = grad_class_stride * ITEMSIZE
            # Where lanes lie side by side there too, nothing has to be gathered in the tile before it is written.
            direct = out_in_places and grad_class_stride != 1
            for c in range(classes):
                if out_in_places:
                    ask_for_writing(out + n * ITEMSIZE + c * grad_class_bytes, n * ITEMSIZE)
                if not VALUES and in_places:
                    ask_for(next_tile + c * class_bytes, n * ITEMSIZE)
                if KEEPS:
                    if direct:
                        for r in range(n):
                            g = load_tile(tile + c * step, r) * load_tile(factor, r)
                            store(out + c * grad_class_bytes, r, zero if load_tile(live, r) == zero else g)
                    else:
                        for r in range(wide):
                            g = load_tile(tile + c * step, r) * load_tile(factor, r)
                            store_tile(tile + c * step, r, zero if load_tile(live, r) == zero else g)
                    continue
                _slopes_from_logits(
                    tile + c * step,
                    target_tile + c * step,
                    wide,
                    c,
                    class_weight,
                    top,
                    factor,
                    row_scale,
                    live,
                    kept,
                    smoothing,
                    over_cap,
                )
            if KEEPS and direct:
                for r in range(n):
                    store(out, load_wide_index(label, r) * grad_class_stride + r, load_tile(label_grad, r))
            else:
                if INDEX:
                    for r in range(n):
                        store_tile(tile, load_wide_index(label, r) * lanes + r, load_tile(label_grad, r))
                flush_lanes(tile, lanes, out, grad_class_stride, load_int(arguments, GRAD_INNER_STRIDE), classes, n)
        start += n
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
    if heap != 0:
        release(heap)
