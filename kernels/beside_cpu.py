"""LLVM's work in a thread of its own, while Python goes on; what went wrong at first is in docs/notes/kernels.md."""

import contextlib
import gc
import threading
from concurrent.futures import Future, wait

import llvmlite.binding as llvm

#: How many want the collector asleep, and whether it was awake before the first of them.
_sleep = {"wanted": 0, "before": False}
_sleep_lock = threading.Lock()


@contextlib.contextmanager
def collector_asleep():
    """Compiling makes objects by the million, and they stay: looking for garbage among them took a seventh of it.

    Nor may LLVM's thread run somebody's finaliser, which could wait for who waits for that thread.
    """
    with _sleep_lock:
        if _sleep["wanted"] == 0:
            _sleep["before"] = gc.isenabled()
            gc.disable()
        _sleep["wanted"] += 1
    try:
        yield
    finally:
        with _sleep_lock:
            _sleep["wanted"] -= 1
            if _sleep["wanted"] == 0 and _sleep["before"]:
                gc.enable()


#: Of LLVM's thread; that of others may be what a program asked for, or a system's 128 KB.
_STACK_BYTES = 8 << 20


class Work:
    """A function that runs in a thread of its own."""

    def __init__(self, function):
        self._outcome = Future()
        # Nobody is to hold the function when it is done: see ``_run``. Daemons would be stopped in the midst of LLVM.
        thread = threading.Thread(target=self._run, args=([function],), name="fastloss compiler", daemon=False)
        before = threading.stack_size(_STACK_BYTES)
        try:
            thread.start()
        except RuntimeError:  # no more threads for this process
            self._outcome.set_result(function())
        finally:
            threading.stack_size(before)

    def _run(self, functions):
        with collector_asleep():
            try:
                result = functions.pop()()
            except BaseException as error:
                self._outcome.set_exception(error)
            else:
                # The function is gone before anybody hears of it: what it held asks LLVM at its end, and a fork then
                # would leave the child without LLVM's lock.
                self._outcome.set_result(result)

    def result(self):
        """What it gave, or raised."""
        # Not by ``join``, which takes a thread for dead where it is interrupted (Python 3.11).
        while not wait([self._outcome], timeout=1.0).done:
            let_go()
        return self._outcome.result()


def let_go():
    """Give LLVM's lock back. llvmlite takes it in Python, and an interruption there may leave it with this thread."""
    lock = llvm.ffi.lib._lock._lock
    while lock._is_owned():
        lock.release()
