"""How many threads, and the pool they live in. Nothing of Numba's, torch's or BLAS's settings is touched."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import logging  # noqa: F401 - registers its fork hooks before ours, so that ours run first: see _before_fork
import math
import os
import sys
import threading
import time
from typing import Any

import numpy as np

#: Held while kernels are imported or compiled and while the pool grows, and across a fork: a child must not inherit
#: any of these half done, nor a lock that a thread holds which the child does not have.
LOCK = threading.RLock()

#: More than any processor has: a slip of the keyboard is no reason to start a million threads.
_MOST_THREADS = 1024

_requested: int | None = None
_pool: _Pool | None = None
#: Whether a call asked for a pool before.
_asked = False


def available_cpus() -> int:
    """The processors this process may use: its affinity, and the quota of its control group."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count() or 1
    return max(1, min(cpus, _quota()))


def _quota() -> int:
    # "max 100000" or "150000 100000": microseconds of processor time per period, in version 2 and 1 of cgroups.
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        pass
    try:
        with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as file:
            quota_us = int(file.read())
        with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as file:
            period_us = int(file.read())
        if quota_us > 0:
            return math.ceil(quota_us / period_us)
    except (OSError, ValueError):
        pass
    return 1 << 30


def set_num_threads(n: int) -> None:
    """Use at most ``n`` threads in every later call, from any thread. Results do not depend on it, bit for bit.

    Without it the environment variable ``FASTLOSS_NUM_THREADS`` counts, and without that one, all processors this
    process may use. Calls with torch tensors also stay within ``torch.get_num_threads()``.

    Raises ValueError for ``n < 1`` or ``n > 1024``, TypeError for what is not an integer.

    >>> import fastloss as fl
    >>> fl.set_num_threads(1)
    >>> fl.get_num_threads()
    1
    """
    global _requested
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads: n must be an integer, got {type(n).__name__}")
    n = n.__index__()
    if not 1 <= n <= _MOST_THREADS:
        raise ValueError(f"set_num_threads: n must be in [1, {_MOST_THREADS}], got {n}")
    _requested = n


def get_num_threads() -> int:
    """The number of threads a call may use: see :func:`set_num_threads`."""
    global _requested
    if _requested is None:
        text = os.environ.get("FASTLOSS_NUM_THREADS")
        if not text:
            _requested = min(available_cpus(), _MOST_THREADS)
        elif text.strip().isdecimal() and 1 <= int(text) <= _MOST_THREADS:
            _requested = int(text)
        else:
            raise ValueError(f"FASTLOSS_NUM_THREADS is {text!r}, expected an integer in [1, {_MOST_THREADS}]")
    return _requested


#: What may lie between two calls, for a worker spins some 20 us before it sleeps.
_PAUSE_NANOSECONDS = 12_000
#: After so many calls in a row the sleepers are woken: that has cost what waking does by then.
_CALLS_IN_A_ROW = 16


class _Rhythm:
    """Whether small calls follow each other so closely that workers, once awake, will be awake for the next one too."""

    def __init__(self) -> None:
        self.due = 0
        self.calls = 0

    def hot(self, nanoseconds: float) -> bool:
        """Of a call that takes one thread so long and begins now."""
        now = time.perf_counter_ns()
        self.calls = self.calls + 1 if now < self.due else 0
        self.due = now + int(nanoseconds) + _PAUSE_NANOSECONDS
        return self.calls >= _CALLS_IN_A_ROW


rhythm = _Rhythm()


def pool(threads: int, wakes: bool, gomp_parallel: int = 0) -> int:
    """The address of the state of a pool with at least ``threads - 1`` workers (the caller is the last hand).

    Without any where OpenMP brings the threads: see :mod:`fastloss._openmp`.

    0 where there is no pool: without POSIX threads everything runs serially. Nor is one started for the first call of a
    process that is worth no waking of sleepers, for only workers that still spin would help it.
    """
    global _asked
    current = _pool
    if current is None and not wakes and not _asked:
        _asked = True
        return 0
    workers = 0 if gomp_parallel else threads - 1
    if current is None or current.workers < workers or gomp_parallel not in (0, current.gomp_parallel):
        current = _grow(workers, gomp_parallel)
    return current.address if current.native else 0


def _grow(workers: int, gomp_parallel: int) -> _Pool:
    global _pool
    with LOCK:
        if _pool is None:
            _pool = _Pool()
        _pool.add(workers)
        if gomp_parallel:
            _pool.enable_teams(gomp_parallel)
        return _pool


class _Pool:
    """Parked threads, woken through a condition variable of the C library: no GIL is needed to start them."""

    def __init__(self) -> None:
        from fastloss.kernels import launch_cpu

        self._kernels = launch_cpu
        memory = np.zeros(launch_cpu.POOL_SLOTS + 8, np.int64)
        # The hot slots must not share cache lines: start on one.
        skip = -memory.ctypes.data % 64 // 8
        self._state = memory[skip : skip + launch_cpu.POOL_SLOTS]
        self.address = self._state.ctypes.data
        self._state[launch_cpu.SHARE] = launch_cpu.compile_pool()
        self._threads: list[threading.Thread] = []
        self._exhausted = False
        self.gomp_parallel = 0
        self.native = self._prepare(self._state)

    def _prepare(self, state: Any) -> bool:
        try:
            libc = ctypes.CDLL(None)
            # Generously sized: 40 and 48 bytes with glibc, 64 and 48 on macOS.
            self._mutex, self._condition = np.zeros(32, np.int64), np.zeros(32, np.int64)
            mutex, condition = self._mutex.ctypes.data, self._condition.ctypes.data
            if libc.pthread_mutex_init(ctypes.c_void_p(mutex), None):
                return False
            if libc.pthread_cond_init(ctypes.c_void_p(condition), None):
                return False
            functions = {
                self._kernels.MUTEX_LOCK: libc.pthread_mutex_lock,
                self._kernels.MUTEX_UNLOCK: libc.pthread_mutex_unlock,
                self._kernels.CONDITION_WAIT: libc.pthread_cond_wait,
                self._kernels.CONDITION_BROADCAST: libc.pthread_cond_broadcast,
                self._kernels.YIELD: libc.sched_yield,
                self._kernels.ALLOCATE: libc.malloc,
                self._kernels.RELEASE: libc.free,
            }
        except (OSError, AttributeError, TypeError):  # no POSIX threads here
            return False
        state[self._kernels.MUTEX], state[self._kernels.CONDITION] = mutex, condition
        state[self._kernels.KEPT_OFF] = -1
        with contextlib.suppress(AttributeError):  # Linux alone has them
            functions |= {
                self._kernels.GET_AFFINITY: libc.sched_getaffinity,
                self._kernels.SET_AFFINITY: libc.sched_setaffinity,
                self._kernels.GET_CPU: libc.sched_getcpu,
            }
        for slot, function in functions.items():
            state[slot] = ctypes.cast(function, ctypes.c_void_p).value
        return True

    @property
    def workers(self) -> int:
        """How many there are; more than anybody wants where no more can be had."""
        return len(self._threads) if self.native and not self._exhausted else 1 << 30

    def add(self, workers: int) -> None:
        while self.native and len(self._threads) < workers:
            thread = threading.Thread(
                target=self._kernels.worker, args=(self.address,), name=f"fastloss-{len(self._threads)}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # a limit of the process or its container: make do with those there are
                self._exhausted = True
                return
            self._threads.append(thread)
            count = self._state[self._kernels.WORKERS]
            if count < self._kernels.MOST_IDS:
                self._state[self._kernels.WORKER_IDS + count] = thread.native_id
                self._state[self._kernels.WORKERS] = count + 1
                self._state[self._kernels.KEPT_OFF] = -1  # which it is not yet

    def enable_teams(self, gomp_parallel: int) -> None:
        self._state[self._kernels.TEAM_WORK] = self._kernels.compile_team_work()
        self._state[self._kernels.GOMP_PARALLEL] = gomp_parallel
        self.gomp_parallel = gomp_parallel

    def close(self) -> None:
        self._kernels.close(self.address)
        for thread in self._threads:
            thread.join(timeout=1.0)


def _close() -> None:
    # A worker must not run compiled code while the interpreter takes that code down.
    if _pool is not None:
        _pool.close()


_held: contextlib.ExitStack | None = None  # the locks of a fork in progress
#: Seconds a fork waits for somebody's compilation; then it goes on, as it would without us.
PATIENCE = 60.0


def _before_fork() -> None:
    # Hooks run in the reverse order of their registration. A compiling thread may want logging's lock, which logging
    # takes for a fork too: ours must be taken first, else each waits for the other.
    global _held
    locks = [LOCK]
    numba_lock = sys.modules.get("numba.core.compiler_lock")
    if numba_lock is not None:  # another library may be compiling, and a child of ours could never compile again
        locks.append(numba_lock.global_compiler_lock._lock)
    held = contextlib.ExitStack()
    acquired = 0
    try:
        for lock in locks:
            if lock.acquire(timeout=PATIENCE):
                held.callback(lock.release)
                acquired += 1
    except BaseException:  # an interruption: the fork goes on, and nobody would give them back
        held.close()
        raise
    _held = held  # not before the locks are ours: others may be about to fork, too
    compiler = sys.modules.get("fastloss.kernels.compiler_cpu")
    if compiler is not None and acquired == len(locks):
        compiler.finish()  # LLVM may be at work on a kernel that nobody waited for, after an interruption


def _after_fork() -> None:
    global _held
    held, _held = _held, None
    if held is not None:
        held.close()


def _after_fork_in_child() -> None:
    # Threads do not survive a fork, and the state may be that of a job in progress: begin with a new pool.
    global _pool
    _pool = None
    _after_fork()


def description() -> str:
    """The threads in words, for ``info``."""
    if _pool is None:
        return "own pool, not started"
    if not _pool.native:
        return "serial: no POSIX threads"
    teams = "; tensors on the OpenMP threads of torch" if _pool.gomp_parallel else ""
    return f"own pool, {len(_pool._threads)} workers{teams}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
atexit.register(_close)
