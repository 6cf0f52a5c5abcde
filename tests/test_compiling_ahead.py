"""Python makes the code of one kernel while LLVM makes machine code of another."""

import contextlib
import ctypes
import functools
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import children
import llvmlite.binding
import numpy as np
import pytest
from numba import types

from fastloss.kernels import beside_cpu, compiler_cpu
from fastloss.kernels.compiler_cpu import Kernel, helper
from fastloss.kernels.memory_cpu import load_int, store_int

#: Python 3.12 warns of fork beside threads.
run_child = functools.partial(children.run_child, __name__, ("This process",))


def begun():
    """A kernel that writes one more than it reads."""

    @helper(())
    def one_more(x):
        return x + 1

    def read_and_write(a):
        store_int(a, 1, one_more(load_int(a, 0)))

    return Kernel(lambda: read_and_write, types.void(types.intp), set())


def call(kernel):
    places = np.array([6, 0], np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(kernel.address)(places.ctypes.data)
    return places[1]


class Busy:
    """LLVM, busy with what it is given until it is told to ``go`` on."""

    def __init__(self, monkeypatch):
        self.go, self._busy = threading.Event(), threading.Event()

        def emit(machine, module, real=llvmlite.binding.TargetMachine.emit_object):
            with llvmlite.binding.ffi.lib._lock:  # which each of LLVM's functions holds
                self._busy.set()
                assert self.go.wait(60)
                return real(machine, module)

        monkeypatch.setattr(llvmlite.binding.TargetMachine, "emit_object", emit)

    def begun(self):
        kernel = begun()
        assert self._busy.wait(60)
        return kernel


@pytest.fixture
def llvm(monkeypatch):
    assert call(begun()) == 7  # what is made only once is made
    busy = Busy(monkeypatch)
    yield busy
    busy.go.set()
    compiler_cpu.finish()


def test_llvm_is_asked_for_nothing_before_its_turn(llvm, monkeypatch):
    """The code of the second kernel, helper included, is made while LLVM is busy with the first."""
    first, made = llvm.begun(), threading.Event()
    monkeypatch.setattr(compiler_cpu, "finish", lambda before=compiler_cpu.finish: made.set() or before())
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(begun)
        in_time = made.wait(30)
        llvm.go.set()
        assert in_time
        assert call(first) == call(second.result()) == 7


def test_several_threads_wait_for_one_kernel(llvm):
    kernel = llvm.begun()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call, kernel) for _ in range(4)]
        llvm.go.set()
        assert [one.result() for one in calls] == [7] * 4


def test_an_error_of_llvm_is_told_to_whoever_asks_for_that_kernel(monkeypatch):
    def fail(machine, module):
        raise MemoryError("LLVM")

    with monkeypatch.context() as patch:
        patch.setattr(llvmlite.binding.TargetMachine, "emit_object", fail)
        kernel = begun()
        compiler_cpu.finish()
    assert call(begun()) == 7
    for _ in range(2):
        with pytest.raises(MemoryError, match="LLVM"):
            _ = kernel.address


def test_where_no_thread_can_be_had(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert call(begun()) == 7


def test_an_interruption_where_no_thread_can_be_had(monkeypatch):
    """It is no result that later calls would be told."""

    def start(thread):
        raise RuntimeError("can't start new thread")

    def interrupted(self, module):
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)
    with monkeypatch.context() as patch:
        patch.setattr(llvmlite.binding.TargetMachine, "emit_object", interrupted)
        with pytest.raises(KeyboardInterrupt):
            begun()
    assert call(begun()) == 7


def test_an_interruption_while_llvm_works(llvm, monkeypatch):
    """The thread is not taken for dead, and who asks again waits for it."""

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    kernel = llvm.begun()
    with monkeypatch.context() as patch:
        patch.setattr(beside_cpu, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _ = kernel.address
    (thread,) = (one for one in threading.enumerate() if one.name == "fastloss compiler")
    assert thread.is_alive() and not thread.daemon
    llvm.go.set()
    assert call(kernel) == 7


def test_a_lock_that_an_interruption_left_behind():
    lock = llvmlite.binding.ffi.lib._lock._lock
    kernel = begun()
    lock.acquire()
    assert call(kernel) == 7
    lock.acquire()
    assert call(begun()) == 7
    assert not lock._is_owned()


def test_the_collector_sleeps_until_llvm_is_done(llvm):
    """It would run finalisers in LLVM's thread, which may wait for a lock of whoever waits for that thread."""
    assert gc.isenabled()
    kernel = llvm.begun()
    assert not gc.isenabled()
    llvm.go.set()
    assert call(kernel) == 7
    for _ in range(100):  # the thread wakes it right after it has its result
        if gc.isenabled():
            break
        time.sleep(0.01)
    assert gc.isenabled()


def test_a_stack_of_its_own():
    before = threading.stack_size(65536)
    try:
        assert call(begun()) == 7
        assert threading.stack_size() == 65536
    finally:
        threading.stack_size(before)


def child_fork_beside_llvm():
    assert call(begun()) == 7
    kernel = begun()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os._exit(0 if call(kernel) == call(begun()) == 7 else 1)
        os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert call(kernel) == call(begun()) == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_waits_for_llvm():
    """A child would inherit a lock of LLVM's that nobody there could release."""
    run_child("child_fork_beside_llvm")
