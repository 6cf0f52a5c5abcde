"""The loops of every elementwise loss, once: a formula says what happens to one element.

``FORMULA(x, t, z, q)`` returns (loss, d loss / d x, d loss / d t, d loss / d z) for one element: input ``x``, target
``t``, a third operand ``z`` (1 where absent) and the tuple ``q`` of the loss's parameters. A loop that uses only some
of the four pays for only those, because LLVM drops the rest.

Two layers, so that a new formula compiles nothing but its own loops:

- ``elementwise`` walks a block in tiles that stay in the first-level cache and finds where each operand's tile is: in
  place if contiguous, gathered into a buffer if strided or broadcast, a tile of ones if absent. It knows bytes only
  and is compiled once for all losses, dtypes and layouts.
- ``loops`` and ``slopes`` run over one tile; compiled for each formula, dtype and mode, without weights (``PLAIN``) or
  with.
  A formula in two halves (``STAGED``) takes two loops, a ``LONG`` one works on several vectors at once. Their choices
  are ``select``, never ``a if c else b``: LLVM turns such a branch into loads under a mask, which made a loop over
  memory twice as slow.
"""

from fastloss.kernels.build_cpu import Template
from fastloss.kernels.compiler_cpu import four_turns_together
from fastloss.kernels.launch_cpu import (
    ADDRESSES,
    COUNTING,
    FIND_DENOMINATOR,
    FLAGS,
    GRAD,
    GRAD_INPUT,
    GRAD_TARGET,
    GRAD_THIRD,
    INPUT,
    ITEMS,
    LOSSES,
    PARAMETERS,
    SAMPLE_WEIGHT,
    SCALE,
    SLOTS,
    TARGET,
    THIRD,
    UPSTREAM,
    VALUE,
    WEIGHT,
)
from fastloss.kernels.memory_cpu import (
    call_kernel,
    copy_2,
    copy_4,
    copy_8,
    load_double,
    load_int,
    stack_buffer,
    store_double,
    store_int,
)
from fastloss.kernels.streams_cpu import STREAMS, ask_in_streams, ask_in_streams_for_writing, left_of, streams_of

# The operands come first among the addresses. In the arguments of ``loops`` the same slots hold those of this tile.
OPERANDS = UPSTREAM - ADDRESSES + 1
# Parameters of a launch. LOOPS, SLOPES (of three operands) and COUNTS are C functions made from the templates below;
# LAYOUT is the address of: ndim, shape, and for each operand its kind and strides, in elements; ONES that of a tile of
# ones. Five numbers for the formula. CHECKED says which operands have a domain, from 0 to HIGHEST.
(
    LOOPS,
    SLOPES,
    COUNTS,
    LAYOUT,
    BYTES,
    ONES,
    Q,
    IGNORED,
    COUNT_WEIGHTS,
    CHECKED,
    HIGHEST,
) = (PARAMETERS + offset for offset in (0, 1, 4, 5, 6, 7, 8, 13, 14, 15, 16))
CHECK_NAN = 8  # shifted as the bits of CHECKED: NaN is outside the domain too
MAX_DIMS = 16
LAYOUT_SLOTS = 1 + MAX_DIMS + OPERANDS * (1 + MAX_DIMS)
ABSENT, CONTIGUOUS, STRIDED, ONE_FOR_ALL = range(4)

TILE = 2048
TILE_BYTES = 8 * TILE
GROUP = 64
BUFFERS_BYTES = (OPERANDS + 1) * TILE_BYTES  # one for each operand, and for losses that are only summed

# Modes of ``loops``, each a kernel of its own: a program that trains wants one of them, and one compiles in half of the
# time of all.
SUM, LOSS, SUM_AND_GRAD = range(3)
ARGUMENT_BYTES = 8 * SLOTS


@Template
def _parameters(arguments):
    return (
        real(load_double(arguments, Q)),
        real(load_double(arguments, Q + 1)),
        real(load_double(arguments, Q + 2)),
        real(load_double(arguments, Q + 3)),
        real(load_double(arguments, Q + 4)),
    )


@Template
def _find(x, t, z, first, n, q, found):
    # The first halves of a formula.
    if LONG:
        four_turns_together()
    if STAGED:
        for i in range(first, first + n):
            zi = load(z, i) if HAS_THIRD else real(1.0)
            store_tile(found, i, FIRST(load(x, i), load(t, i), zi, q))


@Template
def _with(q, found, i):
    return (q[0], q[1], q[2], q[3], q[4], load_tile(found, i)) if STAGED else q


@Template
def _with_slopes(x, t, z, q, found, i):
    if STAGED and not SLOPES_STAGED:
        zi = load(z, i) if HAS_THIRD else real(1.0)
        return q[0], q[1], q[2], q[3], q[4], FIRST(load(x, i), load(t, i), zi, q)
    return _with(q, found, i)


@Template
def _loss_at(x, t, z, w, s, found, i, q, ignored):
    zero, one = real(0.0), real(1.0)
    ti = load(t, i)
    loss = FORMULA(load(x, i), ti, load(z, i) if HAS_THIRD else one, _with(q, found, i))[0]
    if PLAIN:
        return loss
    wi = load(w, i) * load(s, i)
    return select((ti == ignored) | (wi == zero), zero, loss * wi)


@Template
def _add_up(x, t, z, w, s, losses, found, first, n, q, ignored):
    # Losses first .. first+n, to be added up.
    if LONG:
        four_turns_together()
    for i in range(first, first + n):
        store_tile(losses, i, _loss_at(x, t, z, w, s, found, i, q, ignored))


@Template
def _add_up_and_slope(x, t, z, w, s, u, losses, grad, found, first, n, q, ignored, scale):
    if LONG:
        four_turns_together()
    zero, one = real(0.0), real(1.0)
    for i in range(first, first + n):
        ti = load(t, i)
        result = FORMULA(load(x, i), ti, load(z, i) if HAS_THIRD else one, _with_slopes(x, t, z, q, found, i))
        if PLAIN:
            store_tile(losses, i, result[0])
            store(grad, i, result[1] * scale)
        else:
            wi = load(w, i) * load(s, i)
            none = (ti == ignored) | (wi == zero)
            store_tile(losses, i, select(none, zero, result[0] * wi))
            store(grad, i, select(none, zero, result[1] * wi * (scale * load(u, i))))


@Template
def loops(phase, left, high, arguments, partial):
    """``MODE``: the losses of a tile of ``high`` elements, their sum, or that and their gradient.

    ``left``: see streams_cpu.left_of.
    """
    x = load_int(arguments, INPUT)
    t = load_int(arguments, TARGET)
    z = load_int(arguments, THIRD)
    w = load_int(arguments, WEIGHT)
    s = load_int(arguments, SAMPLE_WEIGHT)
    u = load_int(arguments, UPSTREAM)
    losses = load_int(arguments, LOSSES)
    grad = load_int(arguments, GRAD_INPUT)
    q = _parameters(arguments)
    ignored = real(load_double(arguments, IGNORED))  # NaN where nothing is ignored: it equals no target
    scale = real(load_double(arguments, SCALE))
    found = stack_buffer(TILE_BYTES)
    if SLOPES_STAGED or MODE != SUM_AND_GRAD:
        _find(x, t, z, 0, high, q, found)
    # A weight of 0 gives 0, whatever it stands before.
    if MODE == LOSS:
        for i in range(high):
            store(losses, i, _loss_at(x, t, z, w, s, found, i, q, ignored))
        store_double(partial, 0, 0.0)
        return
    done = 0
    next_tile, apart = streams_of(TILE * ITEMSIZE, TILE * ITEMSIZE, left)
    if ASKS or (STREAMS > 1 and left > 0):
        # A loop that comes before this one, over the first halves or for numbers outside of the domain, computes little
        # and would wait for memory: so here the next tile is asked for. Four vectors at once, too, are more than the
        # processor fetches by itself in time. What one short loop reads alone, it follows, if one stream is enough.
        for base in range(0, high - GROUP + 1, GROUP):
            ask_in_streams(x + next_tile, base * ITEMSIZE, GROUP * ITEMSIZE, apart)
            ask_in_streams(t + next_tile, base * ITEMSIZE, GROUP * ITEMSIZE, apart)
            if MODE == SUM:
                _add_up(x, t, z, w, s, losses, found, base, GROUP, q, ignored)
            else:
                ask_in_streams_for_writing(grad + next_tile, base * ITEMSIZE, GROUP * ITEMSIZE, apart)
                _add_up_and_slope(x, t, z, w, s, u, losses, grad, found, base, GROUP, q, ignored, scale)
            done = base + GROUP
    if MODE == SUM:
        _add_up(x, t, z, w, s, losses, found, done, high - done, q, ignored)
    else:
        _add_up_and_slope(x, t, z, w, s, u, losses, grad, found, done, high - done, q, ignored, scale)
    total = real(0.0)
    for i in range(high):
        total = accumulate(total, load_tile(losses, i))
    store_double(partial, 0, total)


@Template
def _slope(x, t, z, w, s, u, grad, found, first, n, q, ignored, scale):
    if LONG:
        four_turns_together()
    zero, one = real(0.0), real(1.0)
    for i in range(first, first + n):
        ti = load(t, i)
        zi = load(z, i) if HAS_THIRD else one
        slope = FORMULA(load(x, i), ti, zi, _with_slopes(x, t, z, q, found, i))[1 + WRT]
        if PLAIN:
            slope *= scale
        else:
            wi = load(w, i) * load(s, i)
            slope = select((ti == ignored) | (wi == zero), zero, slope * wi * (scale * load(u, i)))
        store(grad, i, slope)


@Template
def slopes(phase, left, high, arguments, partial):
    """One gradient alone: that of operand ``WRT``. ``left`` and ``high`` as in ``loops``."""
    x = load_int(arguments, INPUT)
    t = load_int(arguments, TARGET)
    z = load_int(arguments, THIRD)
    w = load_int(arguments, WEIGHT)
    s = load_int(arguments, SAMPLE_WEIGHT)
    u = load_int(arguments, UPSTREAM)
    grad = load_int(arguments, GRAD_INPUT + WRT)
    q = _parameters(arguments)
    ignored = real(load_double(arguments, IGNORED))
    scale = real(load_double(arguments, SCALE))
    found = stack_buffer(TILE_BYTES)
    if SLOPES_STAGED:
        _find(x, t, z, 0, high, q, found)
    done = 0
    if STREAMS > 1 and left > 0:
        next_tile, apart = streams_of(TILE * ITEMSIZE, TILE * ITEMSIZE, left)
        for base in range(0, high - GROUP + 1, GROUP):
            ask_in_streams(x + next_tile, base * ITEMSIZE, GROUP * ITEMSIZE, apart)
            ask_in_streams(t + next_tile, base * ITEMSIZE, GROUP * ITEMSIZE, apart)
            ask_in_streams_for_writing(grad + next_tile, base * ITEMSIZE, GROUP * ITEMSIZE, apart)
            _slope(x, t, z, w, s, u, grad, found, base, GROUP, q, ignored, scale)
            done = base + GROUP
    _slope(x, t, z, w, s, u, grad, found, done, high - done, q, ignored, scale)


# Modes of ``counts``.
COUNT, SCALE_BY_UPSTREAM, CHECK = range(3)


@Template
def counts(mode, low, high, arguments, partial):
    """What needs the dtype but not the formula: denominators, the one upstream gradient, the domain."""
    t = load_int(arguments, TARGET)
    ignored = real(load_double(arguments, IGNORED))
    zero, one = real(0.0), real(1.0)
    total = zero
    if mode == COUNT:
        w = load_int(arguments, WEIGHT)
        s = load_int(arguments, SAMPLE_WEIGHT)
        if load_int(arguments, COUNT_WEIGHTS) != 0:
            for i in range(high):
                total = accumulate(total, zero if load(t, i) == ignored else load(w, i) * load(s, i))
        else:
            for i in range(high):
                total = accumulate(total, zero if load(t, i) == ignored else one)
    elif mode == SCALE_BY_UPSTREAM:
        store_double(arguments, SCALE, load_double(arguments, SCALE) * load(load_int(arguments, UPSTREAM), 0))
    else:
        # Operands within their domain, but where the target is ignored. A first look at bits alone takes a tenth of the
        # time; it is suspicious of -0 and of any NaN, too.
        checked = load_int(arguments, CHECKED)
        suspicious = False
        for operand in range(3):
            if checked & (1 << operand):
                x = load_int(arguments, INPUT + operand)
                outermost = load_bits(x, 0)
                for i in range(1, high):
                    outermost = outermost_bits(outermost, load_bits(x, i))
                suspicious |= beyond(outermost, real(load_double(arguments, HIGHEST + operand)))
        first = -1
        if suspicious:
            for i in range(high):
                for operand in range(3):
                    xi = load(load_int(arguments, INPUT + operand), i)
                    highest = real(load_double(arguments, HIGHEST + operand))
                    nan_too = checked & (CHECK_NAN << operand) != 0
                    outside = (xi < zero) | (xi > highest) | (nan_too & (xi != xi))
                    if first < 0 and checked & (1 << operand) and outside and load(t, i) != ignored:
                        first = i
        store_int(partial, 2, first)
    store_double(partial, 0, total)


@Template
def _locate(arguments, slot, start, n, buffer):
    # The address of elements start .. start+n of an operand; strided ones are copied into the buffer, run by run.
    layout = load_int(arguments, LAYOUT)
    size = load_int(arguments, BYTES)
    description = layout + 8 * (1 + MAX_DIMS + (slot - ADDRESSES) * (1 + MAX_DIMS))
    kind = load_int(description, 0)
    address = load_int(arguments, slot)
    if kind == CONTIGUOUS:
        return address + start * size
    if kind != STRIDED:
        return load_int(arguments, ONES)
    strides = description + 8
    last = load_int(layout, 0) - 1
    run_length = load_int(layout, 1 + last)
    run_stride = load_int(strides, last)
    done = 0
    while done < n:
        rest = (start + done) // run_length
        first = (start + done) - rest * run_length
        offset = first * run_stride
        for axis in range(last - 1, -1, -1):
            quotient = rest // load_int(layout, 1 + axis)
            offset += (rest - quotient * load_int(layout, 1 + axis)) * load_int(strides, axis)
            rest = quotient
        count = min(n - done, run_length - first)
        source, destination = address + offset * size, buffer + done * size
        if size == 4:
            for i in range(count):
                copy_4(destination, i, source, i * run_stride)
        elif size == 8:
            for i in range(count):
                copy_8(destination, i, source, i * run_stride)
        else:
            for i in range(count):
                copy_2(destination, i, source, i * run_stride)
        done += count
    return buffer


@Template
def elementwise(phase, low, high, arguments, partial):
    flags = load_int(arguments, FLAGS)
    size = load_int(arguments, BYTES)
    loops_function = load_int(arguments, LOOPS)
    counts_function = load_int(arguments, COUNTS)
    find_denominator = phase == COUNTING or (flags & FIND_DENOMINATOR and flags & VALUE)
    losses = load_int(arguments, LOSSES)

    buffers = stack_buffer(BUFFERS_BYTES)
    tile = stack_buffer(ARGUMENT_BYTES)
    for slot in range(SLOTS):
        store_int(tile, slot, load_int(arguments, slot))
    layout = load_int(arguments, LAYOUT)
    if load_int(layout, 1 + MAX_DIMS + (UPSTREAM - ADDRESSES) * (1 + MAX_DIMS)) == ONE_FOR_ALL:
        call_kernel(counts_function, SCALE_BY_UPSTREAM, 0, 1, tile, partial)

    check = load_int(arguments, CHECKED) != 0 and flags & VALUE
    left = left_of(load_int(arguments, ITEMS), high, size)
    total = 0.0
    counted = 0.0
    bad = -1
    for start in range(low, high, TILE):
        n = min(TILE, high - start)
        for slot in range(ADDRESSES, ADDRESSES + OPERANDS):
            store_int(tile, slot, _locate(arguments, slot, start, n, buffers + (slot - ADDRESSES) * TILE_BYTES))
        if find_denominator:
            call_kernel(counts_function, COUNT, 0, n, tile, partial)
            counted += load_double(partial, 0)
            if phase == COUNTING:
                continue
        if check and bad < 0:
            call_kernel(counts_function, CHECK, 0, n, tile, partial)
            if load_int(partial, 2) >= 0:
                bad = start + load_int(partial, 2)
        store_int(tile, LOSSES, losses + start * size if losses != 0 else buffers + OPERANDS * TILE_BYTES)
        for wrt in range(3):
            store_int(tile, GRAD_INPUT + wrt, load_int(arguments, GRAD_INPUT + wrt) + start * size)
        if flags & VALUE:
            call_kernel(loops_function, 0, left, n, tile, partial)
            total += load_double(partial, 0)
        if flags & GRAD and (losses != 0 or not flags & VALUE):
            call_kernel(load_int(arguments, SLOPES), 0, left, n, tile, partial)
        if flags & GRAD_TARGET:
            call_kernel(load_int(arguments, SLOPES + 1), 0, left, n, tile, partial)
        if flags & GRAD_THIRD:
            call_kernel(load_int(arguments, SLOPES + 2), 0, left, n, tile, partial)
    store_double(partial, 0, total)
    store_double(partial, 1, counted)
    store_int(partial, 2, bad)
