"""What kernels ask memory for ahead of time: prefetches change no result, so they are looked at one by one here."""

import itertools

import pytest

from fastloss.kernels import streams_cpu

LINE, PAGE = 64, 4096


@pytest.fixture(params=[1, 8])
def streams(request, monkeypatch):
    """The module as a processor with so many streams has it, in Python."""
    monkeypatch.setattr(streams_cpu, "STREAMS", request.param)
    monkeypatch.setattr(streams_cpu, "_MANY", LINE * request.param)
    monkeypatch.setattr(streams_cpu, "_SHIFT", (LINE * request.param).bit_length() - 1)
    monkeypatch.setattr(streams_cpu, "max", max)
    monkeypatch.setattr(streams_cpu, "unforeseen", lambda number: number)
    for name in ("streamed", "share_of", "left_of", "streams_of", "rows_at_once"):
        monkeypatch.setattr(streams_cpu, name, getattr(streams_cpu, name).py_func)
    return streams_cpu


def asked(streams, stretches, size, group, left):
    """The lines that are asked for while so many stretches are worked on, group by group; a list for each group."""
    start, apart = streams.streams_of(size, size, left)
    lines = []
    ask = streams._in_streams(lines.append).py_func
    for stretch, first in itertools.product(range(stretches), range(0, size, group)):
        lines.clear()
        ask(stretch * size + start, first, group, apart)
        yield stretch * size + first, lines


@pytest.mark.parametrize("left", [0, 1 << 30])
@pytest.mark.parametrize("group", [128, 256, 512])
@pytest.mark.parametrize("size", [4096, 8192, 1 << 17])
def test_every_line_is_asked_for_once_and_in_time(streams, size, group, left):
    found = {}
    stretches = 24
    for now, lines in asked(streams, stretches, size, group, left):
        for line in lines:
            assert line not in found
            assert line > now
            found[line] = now
    complete = range(streams.STREAMS * size, stretches * size, LINE)
    assert set(complete) <= set(found)


@pytest.mark.parametrize("size", [4096, 8192, 1 << 17])
def test_streams_lie_in_pages_of_their_own(streams, size):
    for _, lines in asked(streams, 16, size, 512, 1 << 30):
        assert len({line // PAGE for line in lines}) >= streams.STREAMS


def test_little_is_asked_for_past_the_end(streams):
    size, items = 8192, 1024
    for high in (64, items - 1, items):
        left = streams.left_of(items, high, size)
        for _, lines in asked(streams, 1, size, 256, left):
            assert max(lines, default=0) < max(left, size) + size


def test_what_a_cache_holds_needs_no_streams(streams):
    assert streams.left_of(100, 50, 4096) == 0
    assert streams.left_of(10_000, 50, 4096) == 9_950 * 4096


def test_short_rows_are_asked_for_together(streams):
    many = streams.STREAMS
    assert streams.rows_at_once(1024 * many, 1024 * many, 1 << 30) == 1
    assert streams.rows_at_once(512 * many, 512 * many, 1 << 30) == 2
    assert streams.rows_at_once(512 * many, 600 * many, 1 << 30) == 1  # not side by side
    assert streams.rows_at_once(512 * many, 512 * many, 0) == 1  # nothing left
