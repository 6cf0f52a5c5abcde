"""What a network trained with CTC says: the best alignment of a known target, the best path, the best sequences.

An item is a sample, and each is worked on by one thread. Frames are read once; all scores are sums of log-probabilities
in float64, whose error stays below 1e-9 over 100,000 frames.

``align`` (Viterbi). With S labels there are S + 1 blanks, blank j standing before label j. At each frame

    blank j = max(blank j, label j-1) + y(blank)
    label j = max(label j, blank j, label j-1 if that is another label) + y(label j)

where of equal terms the first counts, over those j alone that can be reached by now and that can still reach the end.
A byte per frame and j holds the three comparisons (two states), from which the path is read backwards.

``beam_search`` (prefix search). For each prefix of the beam it knows the log-probability of all alignments that end in
a blank, and of those that end in its last label. At a frame a prefix stays, or grows by a label; a prefix of the beam
that another one grows into takes both. Then the best ``BEAM`` of all candidates are the beam. Candidates that cannot
get in are not looked at: prefixes are sorted, the labels of the frame are sorted as far as that can matter (2 * BEAM of
them, those above what the last of the beam asks), and the first that is too low ends the search. Prefixes are
nodes of a tree (parent, label); a table by both finds the one node of a prefix, whichever way it came into the beam.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.launch_cpu import (
    GRAD_INPUT,
    GRAD_OF_TARGET,
    INPUT,
    LOSSES,
    NO_MEMORY,
    PARAMETERS,
    SAMPLE_WEIGHT,
    TARGET,
    THIRD,
    WEIGHT,
)
from fastloss.kernels.math_cpu import MATH
from fastloss.kernels.memory_cpu import (
    allocate,
    load_byte,
    load_double,
    load_int,
    release,
    store_byte,
    store_double,
    store_int,
)
from fastloss.kernels.scores_cpu import fetch_scores

#: Strides count elements. FRAMES is the length of the longest sample: the stride of labels and scores of samples.
CLASSES, BLANK, CLASS_STRIDE, FRAME_STRIDE, SAMPLE_STRIDE, FRAMES, FROM_LOGITS, BEAM, TOP_K = range(
    PARAMETERS, PARAMETERS + 9
)
INPUT_LENGTHS, TARGET_LENGTHS, TARGET_STARTS = THIRD, WEIGHT, SAMPLE_WEIGHT
LABELS, SCORES, COUNTS = GRAD_INPUT, GRAD_OF_TARGET, LOSSES

#: Elements of a row summed in the type of the arithmetic before the sum joins a float64.
CHUNK = 4096
#: Classes whose maximum decides whether each of them is looked at.
GROUP = 64
#: States of ``align`` are worked on in multiples of this many: four vectors of the widest registers, so that nothing is
#: left to a scalar loop.
LANES = 32
#: Frames whose scores are fetched before the first of them is used: in memory they may lie a page apart each.
AHEAD = 8

_INF = np.inf
#: Where a variable begins at a constant, Numba types it as that very number first, and compiles what it is passed to
#: twice: for the number and for integers. This one is an integer.
_ZERO = np.int64(0)
_log64, _log1p64, _exp64 = (MATH["float64"][name] for name in ("log", "log1p_unit", "exp_nonpositive"))
_select64 = MATH["float64"]["select"]


@Template
def _highest(row, first, last):
    # NaN if there is one among them.
    top = ordinal(real(-_INF))
    for c in range(first, last):
        top = later(top, rank(load_tile(row, c)))
    return from_ordinal(top)


@Template
def _log_sum_exp(row, classes):
    top = _highest(row, _ZERO, classes)
    total = 0.0
    for start in range(0, classes, CHUNK):
        part = real(0.0)
        for c in range(start, min(start + CHUNK, classes)):
            part = accumulate(part, exp_softmax(load_tile(row, c) - top))
        total += np.float64(part)
    return np.float64(top) + _log64(total)


@Template
def _log_add(a, b):
    # log(exp(a) + exp(b)); of -inf and -inf too.
    top = _select64(a > b, a, b)
    low = _select64(a > b, b, a)
    return _select64(low == -_INF, top, top + _log1p64(_exp64(low - top)))


@Template
def _sample_address(arguments, sample):
    return load_int(arguments, INPUT) + ITEMSIZE * sample * load_int(arguments, SAMPLE_STRIDE)


@Template
def _advance(blanks, labels, skips, emitted, first, last, y_blank, new_blanks, new_labels, pointers):
    # One frame of ``align`` for first <= j < last; label j lies at j + 1, so that there is one before the first.
    for j in range(first, last):
        b = load_wide(blanks, j)
        before = load_wide(labels, j)
        own = load_wide(labels, j + 1)
        skip = before + load_wide(skips, j)
        best = _select64(b > own, b, own)
        bits = np.int64(b > own) | np.int64(skip > best) << 1 | np.int64(before > b) << 2
        store_wide(new_blanks, j, _select64(before > b, before, b) + y_blank)
        store_wide(new_labels, j + 1, _select64(skip > best, skip, best) + load_wide(emitted, j))
        store_byte(pointers, j, bits)


@Template
def _padded(states):
    return (states + LANES - 1) // LANES * LANES


@Template
def _trace(pointers, width, target, length, blank, frames, from_blank, path):
    # The path that ends in the last blank, or in the last label.
    is_blank, j = from_blank, length if from_blank else length - 1
    for back in range(frames):
        t = frames - 1 - back
        store_int(path, t, blank if is_blank else load_index(target, j))
        bits = load_byte(pointers + t * width, j)
        if is_blank:
            if bits & 4:
                is_blank, j = False, j - 1
        elif bits & 2:
            j -= 1
        elif bits & 1:
            is_blank = True


@Template
def _first_label(t, frames, length):
    # What cannot reach the end any more is nonsense, which leads nowhere.
    return max(0, length - (frames - t))


@Template
def _emissions(arguments, frame, target, first, last, norm, blank_place, emitted):
    # The scores of a frame's labels, and behind them the blank's; whether they are sound.
    class_stride = load_int(arguments, CLASS_STRIDE)
    y_blank = np.float64(load(frame, load_int(arguments, BLANK) * class_stride))
    store_wide(emitted, blank_place, y_blank)
    sound = y_blank - norm < _INF
    for j in range(first, last):
        y = np.float64(load(frame, load_index(target, j) * class_stride))
        sound &= y - norm < _INF
        store_wide(emitted, j, y)
    return sound


@Template
def _align_sample(arguments, sample, memory, length, frames, classes):
    # -1, or the frame where a number is NaN or inf, or ``frames`` where no path has a probability above 0.
    x = _sample_address(arguments, sample)
    class_stride = load_int(arguments, CLASS_STRIDE)
    frame_stride = load_int(arguments, FRAME_STRIDE)
    target = load_int(arguments, TARGET) + 8 * load_index(load_int(arguments, TARGET_STARTS), sample)
    width = _padded(length + 1)
    step = 8 * (width + 1)
    blanks, new_blanks, labels, new_labels = memory, memory + step, memory + 2 * step, memory + 3 * step
    skips, emitted, norms = memory + 4 * step, memory + 5 * step, memory + (5 + AHEAD) * step
    row = norms + 8 * frames
    pointers = row + REALSIZE * classes
    for i in range((5 + AHEAD) * (width + 1)):
        store_wide(memory, i, -_INF)
    for j in range(1, length):
        if load_index(target, j) != load_index(target, j - 1):
            store_wide(skips, j, 0.0)

    store_wide(blanks, 0, 0.0)  # before the first frame
    for start in range(0, frames, AHEAD):
        end = min(start + AHEAD, frames)
        for t in range(start, end):
            frame = x + ITEMSIZE * t * frame_stride
            norm = 0.0
            if load_int(arguments, FROM_LOGITS) != 0:
                fetch_scores(frame, class_stride, classes, row)
                norm = _log_sum_exp(row, classes)
            store_wide(norms, t, norm)
            first, last = _first_label(t, frames, length), min(length, t + 1)
            if not _emissions(arguments, frame, target, first, last, norm, width, emitted + (t - start) * step):
                return t
        for t in range(start, end):
            own = emitted + (t - start) * step
            _advance(
                blanks,
                labels,
                skips,
                own,
                _first_label(t, frames, length) // LANES * LANES,
                _padded(min(length, t + 1) + 1),  # what is beyond cannot be reached yet: -inf
                load_wide(own, width),
                new_blanks,
                new_labels,
                pointers + t * width,
            )
            blanks, new_blanks = new_blanks, blanks
            labels, new_labels = new_labels, labels

    from_blank = load_wide(blanks, length) > load_wide(labels, length)
    if not max(load_wide(blanks, length), load_wide(labels, length)) > -_INF:
        return frames
    longest = load_int(arguments, FRAMES)
    path = load_int(arguments, LABELS) + 8 * sample * longest
    scores = load_int(arguments, SCORES) + ITEMSIZE * sample * longest
    _trace(pointers, width, target, length, load_int(arguments, BLANK), frames, from_blank, path)
    for t in range(frames):
        y = load(x, t * frame_stride + load_int(path, t) * class_stride)
        store(scores, t, real(np.float64(y) - load_wide(norms, t)))
    return -1


@Template
def align(phase, low, high, arguments, partial):
    """Labels and scores of the best alignment, -1 and 0 behind the end of a sample.

    The bad item is sample * (FRAMES + 1) + the frame where a number is NaN or inf, or FRAMES where no path has a
    probability above 0.
    """
    longest = load_int(arguments, FRAMES)
    classes = load_int(arguments, CLASSES)
    bad = -1
    for sample in range(low, high):
        frames = load_index(load_int(arguments, INPUT_LENGTHS), sample)
        length = load_index(load_int(arguments, TARGET_LENGTHS), sample)
        if frames > 0:
            width = _padded(length + 1)
            memory = allocate(8 * (5 + AHEAD) * (width + 1) + 8 * frames + REALSIZE * classes + frames * width)
            if memory == 0:
                bad = np.int64(NO_MEMORY)
                break
            wrong = _align_sample(arguments, sample, memory, length, frames, classes)
            release(memory)
            if wrong != -1:
                bad = sample * (longest + 1) + (wrong if wrong < frames else longest)
                break
        for t in range(sample * longest + frames, (sample + 1) * longest):
            store_int(load_int(arguments, LABELS), t, -1)
            store(load_int(arguments, SCORES), t, real(0.0))
    store_double(partial, 0, 0.0)
    store_double(partial, 1, 0.0)
    store_int(partial, 2, bad)


@Template
def best_path(phase, low, high, arguments, partial):
    """The best class of each frame, the first of equals; repeats merged, then blanks dropped.

    The bad item is sample * (FRAMES + 1) + the frame where a number is NaN or inf.
    """
    classes = load_int(arguments, CLASSES)
    blank = load_int(arguments, BLANK)
    longest = load_int(arguments, FRAMES)
    class_stride = load_int(arguments, CLASS_STRIDE)
    frame_stride = load_int(arguments, FRAME_STRIDE)
    row = allocate(REALSIZE * classes + 64)
    bad = -1 if row != 0 else NO_MEMORY
    for sample in range(low, high if row != 0 else low):
        x = _sample_address(arguments, sample)
        labels = load_int(arguments, LABELS) + 8 * sample * longest
        count, before, score = 0, blank, 0.0
        for t in range(load_index(load_int(arguments, INPUT_LENGTHS), sample)):
            fetch_scores(x + ITEMSIZE * t * frame_stride, class_stride, classes, row)
            top, group = real(-_INF), 0
            sound = True
            for start in range(0, classes, GROUP):
                own = _highest(row, start, min(start + GROUP, classes))
                sound &= own < real(_INF)
                if own > top:
                    top, group = own, start
            y = np.float64(top)
            if load_int(arguments, FROM_LOGITS) != 0:
                y -= _log_sum_exp(row, classes)
                sound &= y < _INF
            if not sound:
                bad = sample * (longest + 1) + t
                break
            best = group
            while load_tile(row, best) != top:
                best += 1
            score += y
            if best != before and best != blank:
                store_int(labels, count, best)
                count += 1
            before = best
        if bad != -1:
            break
        store_int(load_int(arguments, COUNTS), sample, count)
        store_double(load_int(arguments, SCORES), sample, score)
    if row != 0:
        release(row)
    store_double(partial, 0, 0.0)
    store_double(partial, 1, 0.0)
    store_int(partial, 2, bad)


# Heaps of pairs (score, key), the worst on top: lower scores are worse, and of equal scores higher keys.


@Template
def _worse(score, key, than, than_key):
    return score < than or (score == than and key > than_key)


@Template
def _put(heap, i, score, key):
    store_double(heap, 2 * i, score)
    store_int(heap, 2 * i + 1, key)


@Template
def _sink(heap, size, score, key):
    # Put this at the top, and let it sink to its place.
    i, child = _ZERO, 1
    while child < size:
        own, own_key = load_double(heap, 2 * child), load_int(heap, 2 * child + 1)
        if child + 1 < size:
            other, other_key = load_double(heap, 2 * child + 2), load_int(heap, 2 * child + 3)
            if _worse(other, other_key, own, own_key):
                own, own_key = other, other_key
                child += 1
        if not _worse(own, own_key, score, key):
            break
        _put(heap, i, own, own_key)
        i, child = child, 2 * child + 1
    _put(heap, i, score, key)


@Template
def _push(heap, size, capacity, score, key):
    # Keep the best ``capacity`` of all that come; the new size.
    if size == capacity:
        if _worse(load_double(heap, 0), load_int(heap, 1), score, key):
            _sink(heap, size, score, key)
        return size
    i = size
    while i > 0:
        up = (i - 1) // 2
        own, own_key = load_double(heap, 2 * up), load_int(heap, 2 * up + 1)
        if not _worse(score, key, own, own_key):
            break
        _put(heap, i, own, own_key)
        i = up
    _put(heap, i, score, key)
    return size + 1


@Template
def _sort(heap, size):
    # The best first.
    for taken in range(size - 1):
        last = size - 1 - taken
        score, key = load_double(heap, 2 * last), load_int(heap, 2 * last + 1)
        _put(heap, last, load_double(heap, 0), load_int(heap, 1))
        _sink(heap, last, score, key)


# The tree of prefixes: records of (parent, label, next of those with the same hash, place in the beam), then the first
# node of each hash, as many as there is room for nodes, a power of two. Node 0 is the empty prefix.
PARENT, LABEL, NEXT, PLACE = range(4)
NODE_SLOTS = 4
NODE_BYTES = 8 * (NODE_SLOTS + 1)


@Template
def _chain(nodes, room, node, label):
    # The address of the first node of the hash of (node, label).
    mixed = (node * 2654435761 + label * 40503 + 12345) * 0x9E3779B97F4A7C1
    return nodes + 8 * (NODE_SLOTS * room + (mixed >> 24 & (room - 1)))


@Template
def _child(nodes, room, node, label):
    # The node of a prefix and one more label, or -1.
    found = load_int(_chain(nodes, room, node, label), 0)
    while found != -1 and (
        load_int(nodes, NODE_SLOTS * found + PARENT) != node or load_int(nodes, NODE_SLOTS * found + LABEL) != label
    ):
        found = load_int(nodes, NODE_SLOTS * found + NEXT)
    return found


@Template
def _link(nodes, room, new, node, label):
    chain = _chain(nodes, room, node, label)
    store_int(nodes, NODE_SLOTS * new + PARENT, node)
    store_int(nodes, NODE_SLOTS * new + LABEL, label)
    store_int(nodes, NODE_SLOTS * new + NEXT, load_int(chain, 0))
    store_int(nodes, NODE_SLOTS * new + PLACE, 0)
    store_int(chain, 0, new)


@Template
def _tree(room, old, count):
    # Room for so many nodes, and those of the old tree in it; 0 where there is no memory.
    nodes = allocate(NODE_BYTES * room)
    if nodes != 0:
        for i in range(room):
            store_int(nodes, NODE_SLOTS * room + i, -1)
        for i in range(count):
            _link(nodes, room, i, load_int(old, NODE_SLOTS * i + PARENT), load_int(old, NODE_SLOTS * i + LABEL))
            store_int(nodes, NODE_SLOTS * i + PLACE, load_int(old, NODE_SLOTS * i + PLACE))
    return nodes


@Template
def _place(nodes, beam, size, node):
    # Where a node is in the beam, or -1.
    place = load_int(nodes, NODE_SLOTS * node + PLACE)
    return place if place < size and load_int(beam, place) == node else -1


@Template
def _stay(size, y_blank, total, grown, entering, in_blank, in_label, stays):
    # The alignments of each prefix of the beam after one more frame that adds no label to it.
    for j in range(size):
        b = load_wide(total, j) + y_blank
        n = _log_add(load_wide(grown, j), load_wide(entering, j))
        store_wide(in_blank, j, b)
        store_wide(in_label, j, n)
        store_wide(stays, j, _log_add(b, n))


@Template
def _rank_labels(row, classes, floor, heap, capacity):
    # The best ``capacity`` of the labels above ``floor``, sorted; how many there are.
    count = _ZERO
    for start in range(0, classes, GROUP):
        end = min(start + GROUP, classes)
        if np.float64(_highest(row, start, end)) > floor:
            for c in range(start, end):
                y = np.float64(load_tile(row, c))
                if y > floor:
                    count = _push(heap, count, capacity, y, c)
                    if count == capacity and load_double(heap, 0) > floor:
                        floor = load_double(heap, 0)
    _sort(heap, count)
    return count


@Template
def _grow(nodes, room, beam, size, total, blank_total, ranked, labels, norm, classes, heap, kept, width):
    # Candidates of one more label: (score, width + place * classes + label); how many candidates there are now.
    for i in range(size):
        node = load_int(beam, i)
        last = load_int(nodes, NODE_SLOTS * node + LABEL)
        for r in range(labels):
            y = load_double(ranked, 2 * r) - norm
            score = load_double(total, i) + y
            if kept == width and score < load_double(heap, 0):
                if r == 0:
                    return kept
                break
            c = load_int(ranked, 2 * r + 1)
            if c == last:
                score = load_double(blank_total, i) + y
            key = width + i * classes + c
            if score > -_INF and (kept < width or _worse(load_double(heap, 0), load_int(heap, 1), score, key)):
                child = _child(nodes, room, node, c)
                if child == -1 or _place(nodes, beam, size, child) == -1:
                    kept = _push(heap, kept, width, score, key)
    return kept


@Template
def _write_best(arguments, sample, nodes, beam, size, total):
    # The labels of the best prefixes, which are read from their ends.
    wanted = load_int(arguments, TOP_K)
    longest = load_int(arguments, FRAMES)
    for k in range(wanted):
        place = sample * wanted + k
        count, score = -1, -_INF
        if k < size:
            count, score = 0, load_double(total, k)
            node = load_int(beam, k)
            while node != 0:
                count += 1
                node = load_int(nodes, NODE_SLOTS * node + PARENT)
            node = load_int(beam, k)
            for back in range(count):
                label = load_int(nodes, NODE_SLOTS * node + LABEL)
                store_int(load_int(arguments, LABELS), place * longest + count - 1 - back, label)
                node = load_int(nodes, NODE_SLOTS * node + PARENT)
        store_int(load_int(arguments, COUNTS), place, count)
        store_double(load_int(arguments, SCORES), place, score)


@Template
def _search_sample(arguments, sample, memory, width, classes):
    # -1, or the frame where a number is NaN or inf, or NO_MEMORY.
    x = _sample_address(arguments, sample)
    class_stride = load_int(arguments, CLASS_STRIDE)
    frame_stride = load_int(arguments, FRAME_STRIDE)
    blank = load_int(arguments, BLANK)
    from_logits = load_int(arguments, FROM_LOGITS)
    step = 8 * width
    beam, next_beam, total, blank_total, label_total = (
        memory,
        memory + step,
        memory + 2 * step,
        memory + 3 * step,
        memory + 4 * step,
    )
    grown, entering, in_blank, in_label, stays = (
        memory + 5 * step,
        memory + 6 * step,
        memory + 7 * step,
        memory + 8 * step,
        memory + 9 * step,
    )
    heap, ranked, row = memory + 10 * step, memory + 12 * step, memory + 16 * step
    room = _ZERO + 1024
    nodes = _tree(room, _ZERO, _ZERO)
    if nodes == 0:
        return NO_MEMORY
    _link(nodes, room, _ZERO, _ZERO - 1, _ZERO - 1)
    count, size = _ZERO + 1, _ZERO + 1
    store_int(beam, 0, 0)
    store_double(total, 0, 0.0)
    store_double(blank_total, 0, 0.0)
    store_double(label_total, 0, -_INF)
    wrong = -1
    for t in range(load_index(load_int(arguments, INPUT_LENGTHS), sample)):
        fetch_scores(x + ITEMSIZE * t * frame_stride, class_stride, classes, row)
        norm = _log_sum_exp(row, classes) if from_logits != 0 else 0.0
        if not np.float64(_highest(row, _ZERO, classes)) - norm < _INF:
            wrong = t
            break
        y_blank = np.float64(load_tile(row, blank)) - norm
        store_tile(row, blank, real(-_INF))

        for j in range(size):
            node = load_int(beam, j)
            last, parent = load_int(nodes, NODE_SLOTS * node + LABEL), load_int(nodes, NODE_SLOTS * node + PARENT)
            y = np.float64(load_tile(row, last)) - norm if last != -1 else -_INF
            place = _place(nodes, beam, size, parent) if parent != -1 else -1
            enters = -_INF
            if place != -1:
                repeats = load_int(nodes, NODE_SLOTS * parent + LABEL) == last
                enters = (load_double(blank_total, place) if repeats else load_double(total, place)) + y
            store_double(grown, j, load_double(label_total, j) + y)
            store_double(entering, j, enters)
        _stay(size, y_blank, total, grown, entering, in_blank, in_label, stays)
        kept = _ZERO
        for j in range(size):
            if load_double(stays, j) > -_INF:
                kept = _push(heap, kept, width, load_double(stays, j), j)
        if size > 0:
            floor = load_double(heap, 0) - load_double(total, 0) + norm if kept == width else -_INF
            labels = _rank_labels(row, classes, floor, ranked, 2 * width)
            kept = _grow(nodes, room, beam, size, total, blank_total, ranked, labels, norm, classes, heap, kept, width)
        _sort(heap, kept)

        if count + width > room:
            larger = room
            while count + width > larger:
                larger *= 2
            moved = _tree(larger, nodes, count)
            if moved == 0:
                wrong = np.int64(NO_MEMORY)
                break
            release(nodes)
            nodes, room = moved, larger
        for k in range(kept):
            score, key = load_double(heap, 2 * k), load_int(heap, 2 * k + 1)
            if key < width:
                node, b, n = load_int(beam, key), load_double(in_blank, key), load_double(in_label, key)
            else:
                parent, label = load_int(beam, (key - width) // classes), (key - width) % classes
                b, n = -_INF, score
                node = _child(nodes, room, parent, label)
                if node == -1:
                    node = count
                    count += 1
                    _link(nodes, room, node, parent, label)
            store_int(next_beam, k, node)
            store_double(total, k, score)
            store_double(blank_total, k, b)
            store_double(label_total, k, n)
        for k in range(kept):
            store_int(nodes, NODE_SLOTS * load_int(next_beam, k) + PLACE, k)
        beam, next_beam, size = next_beam, beam, kept
    if wrong == -1:
        _write_best(arguments, sample, nodes, beam, size, total)
    release(nodes)
    return wrong


@Template
def beam_search(phase, low, high, arguments, partial):
    """The best label sequences and their log-probabilities: TOP_K of each sample, a count of -1 where there are fewer.

    The bad item is sample * (FRAMES + 1) + the frame where a number is NaN or inf.
    """
    width = load_int(arguments, BEAM)
    classes = load_int(arguments, CLASSES)
    memory = allocate(16 * 8 * width + REALSIZE * classes + 64)
    bad = -1 if memory != 0 else NO_MEMORY
    for sample in range(low, high if memory != 0 else low):
        wrong = _search_sample(arguments, sample, memory, width, classes)
        if wrong != -1:
            bad = wrong if wrong == NO_MEMORY else sample * (load_int(arguments, FRAMES) + 1) + wrong
            break
    if memory != 0:
        release(memory)
    store_double(partial, 0, 0.0)
    store_double(partial, 1, 0.0)
    store_int(partial, 2, bad)
