"""What is read next is asked for in several places at once, where one place is not enough to keep memory busy.

A core of Intel's follows each page of 4 KB that it reads by itself, some twenty lines ahead, no further: two threads
read 18 GB/s in one place each, 24 in two, 28 in four or more (Sapphire Rapids; ``memcpy`` copies four pages at a time
there, too). Zen 5 reads 29 of 32 GB/s in one place. Values of ``cross_entropy`` 2048 x 32000 take 0.75 of the time so,
value and gradient of ``mse_loss`` 0.65: see docs/notes/kernels.md.
"""

import pathlib
import platform

from fastloss.kernels.compiler_cpu import helper
from fastloss.kernels.intrinsics_cpu import EXTREMES
from fastloss.kernels.memory_cpu import LINE, prefetch, prefetch_to_write, unforeseen

max = EXTREMES["max"]


def _is_intel():
    if "GenuineIntel" in platform.processor():  # Windows
        return True
    try:
        with pathlib.Path("/proc/cpuinfo").open() as lines:
            return "GenuineIntel" in lines.read(256)  # of the first processor: all of a large machine take a while
    except OSError:
        return False


#: In how many places at once a thread asks for what it reads, or writes, in order.
STREAMS = 8 if _is_intel() else 1
#: The bytes of a line of each, as a power of two.
_MANY = LINE * STREAMS
_SHIFT = _MANY.bit_length() - 1
_PAGE = 4096
#: Bytes that a stream should go on for: of less the processor sees no stream.
_LEAST = 1024
#: Bytes of an operand that no second-level cache holds with another.
_SMALLEST = 1 << 22


@helper(())
def streamed(size):
    """How far each stream has come when so many bytes were asked for."""
    return (size >> _SHIFT) * LINE  # shifts: a division that rounds down takes six instructions


@helper(())
def share_of(size):
    """The bytes of a stream's share of ``size``: whole lines."""
    return streamed(size + (_MANY - 1))


@helper(())
def left_of(items, high, size):
    """The bytes after item ``high`` of items of ``size`` bytes; 0 where a cache holds them all and needs no streams."""
    return (items - high) * size if items * size >= _SMALLEST else 0


@helper(())
def streams_of(size, step, left):
    """(start, apart): where to ask in STREAMS for ``size`` bytes like those at hand, ``step`` bytes further on.

    Each stream has its share of them. Of what is shorter than a page for each, the shares are those of the next, of the
    one after it, and so on, the last share of the next one: the streams then lie in pages of their own. But not where
    fewer than as many bytes are ``left``: little is asked for that nobody wants.
    """
    share = share_of(size)
    if size < STREAMS * _PAGE and STREAMS * size <= left:
        return STREAMS * step, share - step
    return step, share


@helper(())
def rows_at_once(size, step, left):
    """How many rows of ``size`` bytes, ``step`` bytes apart, are asked for as one, so that streams are long enough."""
    if size != step or left < STREAMS * STREAMS * _LEAST:
        return 1
    return max(1, STREAMS * _LEAST // size)


def _in_streams(fetch):
    @helper(())
    def ask(address, first, size, apart):
        if STREAMS == 1:
            for byte in range(0, size, LINE):
                fetch(address + first + byte)
        elif first & (_MANY - 1) < size:  # less than a line of each stream: not every time
            for part in range(0, size, _MANY):
                # Else eight addresses, a register each, counted up for every group that asks for nothing (1.1 of the
                # time of a gradient of 16 bits).
                at = address + unforeseen(streamed(first + part))
                for stream in range(STREAMS):
                    fetch(at + stream * apart)

    return ask


#: Ask for bytes ``first`` to ``first + size`` of what comes next, dealt out to the streams that begin at ``address``,
#: so many bytes ``apart``: see ``streams_of``.
ask_in_streams, ask_in_streams_for_writing = _in_streams(prefetch), _in_streams(prefetch_to_write)
