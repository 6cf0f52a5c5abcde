"""The maximum of logits that lie side by side, and what all their other exponentials sum to beside it.

``SOFTCAP_ON``: logits go through a tanh cap first. ``KEEPS``: the exponentials may be kept.
"""

import numpy as np

from fastloss.kernels.build_cpu import Template, rounded
from fastloss.kernels.memory_cpu import stack_buffer
from fastloss.kernels.ordinals_cpu import GROUP
from fastloss.kernels.streams_cpu import ask_in_streams, ask_in_streams_for_writing

#: Elements of a row that are summed in the type of the arithmetic before the sum joins a float64.
CHUNK = 4096
GROUP_BYTES = 8 * GROUP
SOFTCAP_ON = False
KEEPS = False


@Template
def next_chunk(start, first, last, most):
    """(begin, n, skip): the next elements of a row to work on, the first ``skip`` of which were worked on before.

    n is a multiple of GROUP wherever the row is that long, by stepping back at its end: a vector loop then has no
    remainder, whose scalar exponentials cost as much as a hundred elements do.
    """
    rest = last - start
    if rest >= GROUP:
        return start, min(most, rest) // GROUP * GROUP, 0
    if last - GROUP >= first:
        return last - GROUP, GROUP, GROUP - rest
    return start, rest, 0


@rounded
def capped(z, cap):
    # Rounded, so that the largest logit minus the largest capped logit is exactly 0.
    return cap * tanh(z / cap)


@Template
def logit(z, i, cap):
    return capped(load(z, i), cap) if SOFTCAP_ON else load(z, i)


@Template
def largest_of(z, n, largest):
    """The larger of ``largest`` and n logits before the cap, as ordinals. A NaN comes back in the sum."""
    if n >= GROUP:
        return later(largest, largest_in_groups(z, n))
    for i in range(n):
        largest = later(largest, ordinal(load(z, i)))
    return largest


@Template
def add_beside(sums, others, j, d):
    """Add exp(d) to a sum, and 1 to the count of what is beside the largest; nothing for the largest, where d is 0."""
    store_sum(sums, j, load_sum(sums, j) + exp_beside(d))
    store_count(others, j, count_other(load_count(others, j), d))


@Template
def _add_group(z, n, skip, top, cap, sums, others):
    zero = real(0.0)
    for j in range(n):
        d = logit(z, j, cap) - top
        if SOFTCAP_ON:  # no neighbour of the largest is rounded past it, however the tanh rounds
            d = at_most(d, zero)
        add_beside(sums, others, j, select(j < skip, zero, d))


@Template
def _keep_group(z, top, sums, others, kept):
    # A whole group, whose exponentials are wanted afterwards.
    for j in range(GROUP):
        d = load(z, j) - top
        e = exp_softmax(d)
        if ITEMSIZE < REALSIZE:
            store_tile(kept, j, e)
        else:
            store(kept, j, e)
        add_beside(sums, others, j, d)


@Template
def kept_exponential(kept, out, i):
    """One of those that beside_top kept. (Those in ``out`` are read there, or LLVM takes them for others.)"""
    return load_tile(kept, i) if ITEMSIZE < REALSIZE else load_back(out, i)


@Template
def beside_top(z, n, coming, top, cap, kept=0, out=0):
    """(sum of exp(z - top) of those of n logits that are below the top, how many are not).

    All maxima but one are among the others: they are counted, and left out of the sum, where small terms would be lost
    beside a 1. What is ``coming`` is asked for meanwhile, a few cache lines between two groups: asked for in larger
    portions, the memory stands idle while their exponentials are computed, and the exponentials wait while it works
    (2048 x 32000 on one thread: 11.7 ms with 256 elements at a time, 8.9 so). So the sums stay in memory, for a loop
    with a prefetch inside does not become one of vectors. ``coming`` are bytes from here to where the streams of the
    logits begin (0: nothing is asked for), of the first half of kept exponentials and of the rest, and between streams.

    ``KEEPS``: the exponentials of all whole groups go to ``kept`` (0: nowhere): the row of output ``out``, or where it
    has 16 bits a row of their own. Half of the next row of output is asked for here, and half by the loop that goes on
    with them. (Asked for in one of the two the memory is busy in that one only: 2048 x 32000 took 0.95 and 0.98 of the
    time of computing exponentials twice, and so 0.91.)
    """
    sums, others = stack_buffer(GROUP_BYTES), stack_buffer(GROUP_BYTES)
    small, count = 0.0, 0
    ahead, first_half, _, apart = coming
    for start in range(0, n, CHUNK):
        for j in range(GROUP):
            store_sum(sums, j, real(0.0))
            store_count(others, j, 0)
        last = min(n, start + CHUNK)
        base = start
        while base + GROUP <= last:
            if ahead != 0:
                ask_in_streams(z + ahead, base * ITEMSIZE, GROUP * ITEMSIZE, apart)
            if KEEPS and kept != 0:
                at = base // 2 * ITEMSIZE
                ask_in_streams_for_writing(out + first_half, at, GROUP // 2 * ITEMSIZE, apart)
                _keep_group(z + base * ITEMSIZE, top, sums, others, kept + base * REALSIZE)
            else:
                _add_group(z + base * ITEMSIZE, GROUP, 0, top, cap, sums, others)
            base += GROUP
        if base < last:
            if n >= GROUP:
                _add_group(z + (n - GROUP) * ITEMSIZE, GROUP, GROUP - (n - base), top, cap, sums, others)
            else:
                _add_group(z, n, 0, top, cap, sums, others)
        part = real(0.0)
        for j in range(GROUP):
            part = accumulate(part, load_sum(sums, j))
            count += load_count(others, j)
        small += part
    return small, np.float64(n - count)
