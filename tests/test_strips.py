"""Strips: every one once, BLAS on one thread inside and as before outside, errors, forks."""

import functools
import multiprocessing
import os
import threading
import time

import children
import numpy as np
import pytest

from fastloss import _strips

#: The warning against fork beside threads (Python 3.12) is what a test here is about.
run_child = functools.partial(children.run_child, __name__, ("This process",))


def blas_threads():
    return [one.num_threads for controller in _strips._blas() for one in controller.lib_controllers]


@pytest.mark.parametrize("threads", (1, 2, 8))
@pytest.mark.parametrize("strips", (0, 1, 3, 100))
def test_every_strip_runs_once(strips, threads):
    seen = []
    _strips.run(seen.append, strips, threads)
    assert sorted(seen) == list(range(strips))


def test_strips_run_side_by_side():
    barrier = threading.Barrier(2, timeout=20)
    _strips.run(lambda strip: barrier.wait(), 2, 2)  # a single thread would wait for ever
    assert not barrier.broken


def test_blas_has_one_thread_inside_and_as_many_as_before_outside():
    before = blas_threads()
    inside = []

    def work(strip):
        inside.append(blas_threads())
        np.ones((64, 64)) @ np.ones((64, 64))

    _strips.run(work, 4, 2)
    assert inside == [[1] * len(before)] * 4
    assert blas_threads() == before


def test_callers_that_overlap_restore_what_was_before_both():
    before = blas_threads()
    first_is_in, first_may_leave = threading.Event(), threading.Event()

    def first(strip):
        first_is_in.set()
        assert first_may_leave.wait(20)

    thread = threading.Thread(target=_strips.run, args=(first, 1, 1))
    thread.start()
    assert first_is_in.wait(20)
    _strips.run(lambda strip: None, 1, 1)
    assert blas_threads() == [1] * len(before)
    first_may_leave.set()
    thread.join()
    assert blas_threads() == before


@pytest.mark.parametrize("threads", (1, 2))
def test_an_error_in_any_strip_is_raised_and_ends_the_rest(threads):
    before = blas_threads()
    seen = []

    def work(strip):
        seen.append(strip)
        if strip == 3:
            raise ValueError("in strip 3")
        time.sleep(0.001)

    with pytest.raises(ValueError, match="in strip 3"):
        _strips.run(work, 1000, threads)
    assert len(seen) < 20
    assert blas_threads() == before


def forked(queue):
    seen = []
    _strips.run(seen.append, 5, 2)
    queue.put((sorted(seen), blas_threads()))


def child_forks():
    before = blas_threads()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def work(strip):
        if strip == 0:
            process = context.Process(target=forked, args=(queue,))
            process.start()
            assert queue.get(timeout=20) == (list(range(5)), before)
            process.join()

    _strips.run(work, 2, 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_strips_run_has_its_own():
    """In a process of its own: what other tests have imported may object to forks."""
    run_child("child_forks")
