"""Work in which matrix products and kernels alternate: strips, each run whole by one thread, with BLAS on one thread.

BLAS's own threads and ours would spin against each other (three times slower, measured), and the bits of a product
change with the number of its threads. So the product of a strip is computed by the thread that then runs the kernel
on it, while it is still in the cache. Which thread runs which strip does not change a bit, as long as the work of one
does not read what another writes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # 8 ms of the import of fastloss, with threadpoolctl, which losses of elements need not pay
    from concurrent.futures import Future, ThreadPoolExecutor

#: Elements that are worth another thread, whose waking takes some 100 us; rows that it takes at a time.
LEAST_WORK, BLOCK_ROWS = 1 << 18, 256


def run(work: Callable[[int], None], strips: int, threads: int) -> None:
    """Call ``work(i)`` once for every ``i`` in ``range(strips)``, on at most so many threads, the caller's included.

    An exception in any of them is raised here, after all have stopped.
    """
    if strips <= 0:
        return
    claims = _Claims(strips)
    futures = [future for _ in range(min(threads, strips) - 1) if (future := _submit(claims.work_off, work))]
    try:
        claims.work_off(work)
    finally:
        # One that waits behind the strips of another caller has nothing left to do.
        started = [future for future in futures if not future.cancel()]
        errors = [future.exception() for future in started]
    for error in errors:
        if error is not None:
            raise error


def over_rows(
    work: Callable[[int, int], Any], rows: int, threads: int, elements: int, block: int | None = None
) -> None:
    """``work(low, high)`` over all rows, ``block`` of them at a time, shared where there are elements enough for it.

    What it does to a row must not depend on where blocks end.
    """
    if threads == 1 or elements < LEAST_WORK:
        work(0, rows)
        return
    size = block or BLOCK_ROWS
    run(lambda i: work(i * size, min(rows, (i + 1) * size)), -(-rows // size), threads)


class Loans:
    """Memory that strips write, made for each thread at work and handed on from strip to strip."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._free = make, list[Any]()

    @contextlib.contextmanager
    def lent(self) -> Iterator[Any]:
        try:
            memory = self._free.pop()
        except IndexError:
            memory = self._make()
        try:
            yield memory
        finally:
            self._free.append(memory)


class _Claims:
    """Which strips are left."""

    def __init__(self, strips: int) -> None:
        self._next, self._strips, self._lock = 0, strips, threading.Lock()

    def work_off(self, work: Callable[[int], None]) -> None:
        try:
            with _one_blas_thread:
                while (strip := self._claim()) is not None:
                    work(strip)
        except BaseException:
            self._strips = 0
            raise

    def _claim(self) -> int | None:
        with self._lock:
            strip = self._next
            self._next += 1
        return strip if strip < self._strips else None


_executor: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def _submit(function: Callable[..., None], work: Callable[[int], None]) -> Future[None] | None:
    """None where no thread is to be had: at the end of the interpreter, or past a limit of the process."""
    global _executor
    from concurrent.futures import ThreadPoolExecutor

    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="fastloss-strips")
        try:
            return _executor.submit(function, work)
        except RuntimeError:
            return None


class _OneBlasThread:
    """While a thread is inside, NumPy's BLAS computes its products on that thread alone.

    The setting is the process's, or each thread's own where BLAS uses OpenMP. Of the process's, the first to enter
    changes it and the last to leave puts it back.
    """

    def __init__(self) -> None:
        self._inside, self._limits, self._lock = 0, None, threading.Lock()
        self._own = threading.local()

    def __enter__(self) -> None:
        shared, own = _blas()
        self._own.limits = own.limit(limits=1) if own.lib_controllers else None
        with self._lock:
            if self._inside == 0:
                _take_control()
                self._limits = shared.limit(limits=1)
            self._inside += 1

    def __exit__(self, *details: Any) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _take_control()
                self._limits.restore_original_limits()  # type: ignore[attr-defined]
                _take_control()
        if self._own.limits is not None:
            self._own.limits.restore_original_limits()


def _take_control() -> None:
    """threadpoolctl keeps the process's setting for the thread that changed it first: let this one change it."""
    import threadpoolctl

    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)  # in newer versions
    if clear is not None:
        clear(force=True)


@functools.cache
def _blas() -> tuple[Any, Any]:
    """The controllers of NumPy's BLAS, or of all there are where it cannot be told: for settings of the process, and
    for those of a thread. Finding them takes 0.6 ms."""
    import threadpoolctl

    found = threadpoolctl.ThreadpoolController().select(user_api="blas")
    own = [one.filepath for one in found.lib_controllers if pathlib.Path(one.filepath).parent.name == "numpy.libs"]
    found = found.select(filepath=own) if own else found
    layers = {getattr(one, "threading_layer", None) for one in found.lib_controllers}
    return found.select(threading_layer=[*(layers - {"openmp"})]), found.select(threading_layer="openmp")


_one_blas_thread = _OneBlasThread()


def _after_fork_in_child() -> None:
    # Threads do not survive a fork, and those of the parent may have been inside.
    global _executor, _lock, _one_blas_thread
    _executor, _lock = None, threading.Lock()
    inside, limits = _one_blas_thread._inside, _one_blas_thread._limits
    _one_blas_thread = _OneBlasThread()
    if inside and limits is not None:
        _take_control()
        limits.restore_original_limits()
        _take_control()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
