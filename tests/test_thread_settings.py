"""The number of threads, what they leave alone, and the end of a process that has them.

What could crash or hang runs in a process of its own: a function ``child_...`` of this file, with warnings as errors.
"""

import functools
import gc
import os
import signal
import sys
import threading
import time

import children
import numpy as np
import pytest
from workloads import bits, data, torch_workload, workers, workload

import fastloss as fl
from fastloss import _openmp

run_child = functools.partial(children.run_child, __name__, ())


pytestmark = pytest.mark.usefixtures("same_settings")


def test_set_num_threads():
    for n in (1, 2, 7, np.int64(3)):
        fl.set_num_threads(n)
        assert fl.get_num_threads() == n
        assert type(fl.get_num_threads()) is int
    for bad in (0, -1, 1025, 10**30):
        with pytest.raises(ValueError, match=r"n must be in \[1, 1024\]"):
            fl.set_num_threads(bad)
    for bad in (1.0, "2", None, True):
        with pytest.raises(TypeError, match="integer"):
            fl.set_num_threads(bad)
    assert fl.get_num_threads() == 3, "a refused number must change nothing"


def child_environment(expected):
    if expected is None:
        try:
            fl.get_num_threads()
        except ValueError as error:
            assert "FASTLOSS_NUM_THREADS" in str(error)
            assert fl.info()["threads"] == str(error), "the rest of a report is wanted all the more"
            fl.set_num_threads(2)
            assert fl.get_num_threads() == 2
            return
        raise AssertionError("no error")
    assert fl.get_num_threads() == expected
    fl.set_num_threads(2)
    assert fl.get_num_threads() == 2
    assert os.environ["FASTLOSS_NUM_THREADS"]


@pytest.mark.parametrize(("text", "expected"), [("5", 5), ("1", 1), ("many", None), ("2.5", None), ("1000000", None)])
def test_environment_variable(text, expected):
    run_child("child_environment", expected, FASTLOSS_NUM_THREADS=text)


def child_one_thread(how):
    x, t = data("cross_entropy", (2000, 1000), "float32")
    if how == "torch":
        import torch

        torch.set_num_threads(1)
        fl.set_num_threads(4)
        leaf = torch.from_numpy(x).requires_grad_()
        target = torch.from_numpy(t)
        fl.cross_entropy(leaf, target).backward()
        fl.mse_loss(leaf.detach(), leaf.detach() + 1)
        assert workers() == []
        torch.set_num_threads(2)
        fl.cross_entropy(leaf, target)
        assert workers() == ([] if _openmp.gomp_parallel() else ["fastloss-0"])
    else:
        if how == "set":
            fl.set_num_threads(1)
        fl.cross_entropy.value_and_grad(x, t)
        assert workers() == []
        fl.set_num_threads(3)
        fl.cross_entropy(x[:2], t[:2])
        assert workers() == [], "a small call needs no workers"
        fl.cross_entropy(x, t)
        assert workers() == ["fastloss-0", "fastloss-1"]


@pytest.mark.parametrize("how", ["set", "environment", "torch"])
def test_one_thread_starts_no_workers(how):
    if how == "torch":
        pytest.importorskip("torch")
    run_child("child_one_thread", how, **({"FASTLOSS_NUM_THREADS": "1"} if how == "environment" else {}))


def child_settings():
    import numba
    import threadpoolctl
    import torch

    def settings():
        pools = {p["filepath"]: p["num_threads"] for p in threadpoolctl.threadpool_info()}
        config = {k: repr(v) for k, v in vars(numba.config).items() if k.isupper()}
        threads = torch.get_num_threads(), torch.get_num_interop_threads(), numba.get_num_threads()
        return {"threads": threads, **config, **pools}

    np.ones((50, 50)) @ np.ones((50, 50))
    torch.ones(50, 50) @ torch.ones(50, 50)
    settings()  # whatever it loads itself
    before, environment = settings(), dict(os.environ)
    assert any("blas" in name for name in before), "no BLAS found"
    fl.set_num_threads(3)
    for _, call in workload() + torch_workload():
        call()
    fl.set_num_threads(1)
    fl.info()
    after = settings()
    changed = {name: (value, after.get(name)) for name, value in before.items() if after.get(name) != value}
    assert changed == {}, changed
    assert dict(os.environ) == environment


def test_no_foreign_setting_changes():
    pytest.importorskip("torch")
    run_child("child_settings")


def child_no_more_threads():
    x, t = data("cross_entropy", (2000, 1000), "float32")
    fl.set_num_threads(1)
    expected = bits(fl.cross_entropy.value_and_grad(x, t))
    start = threading.Thread.start

    def refused(self):
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refused
    fl.set_num_threads(4)
    assert bits(fl.cross_entropy.value_and_grad(x, t)) == expected
    threading.Thread.start = start
    assert bits(fl.cross_entropy.value_and_grad(x, t)) == expected


def test_where_no_thread_can_be_started():
    # At a limit of the system or of a container: slower, not broken.
    run_child("child_no_more_threads")


# The end of the process.


def child_exit(how):
    import atexit

    fl.set_num_threads(4)
    x, t = data("cross_entropy", (2000, 1000), "float32")

    def call():
        return fl.cross_entropy.value_and_grad(x, t)

    if how == "atexit-first":
        atexit.register(call)
        return
    call()
    if how == "sys.exit":
        sys.exit(0)
    if how == "atexit":
        atexit.register(call)
    elif how == "thread":  # still calling when the main thread is through
        threading.Thread(target=lambda: [call() for _ in range(30)]).start()
    elif how == "first-in-thread":

        def late():
            time.sleep(0.3)
            fl.set_num_threads(6)
            print(len(bits(call())))

        threading.Thread(target=late).start()
    elif how == "sys.exit-in-thread":
        thread = threading.Thread(target=lambda: (call(), sys.exit(1)))
        thread.start()
        thread.join()
    elif how == "daemon":
        start_daemons(call)
        time.sleep(0.05)
        sys.exit(0)
    elif how == "cycle":

        class Late:
            def __del__(self):
                fl.cross_entropy.value_and_grad(x, t)

        gc.disable()
        late = Late()
        late.itself = late


def start_daemons(call):
    def loop():
        while True:
            call()

    for _ in range(4):
        threading.Thread(target=loop, daemon=True).start()


@pytest.mark.parametrize(
    "how",
    [
        "return",
        "sys.exit",
        "atexit",
        "atexit-first",
        "thread",
        "first-in-thread",
        "sys.exit-in-thread",
        "daemon",
        "cycle",
    ],
)
def test_exit(how):
    run_child("child_exit", how)


def child_daemons_at_exit(times):
    # A process that forks is ready at once: so twenty interpreters can end in a few seconds.
    x, t = data("cross_entropy", (2000, 1000), "float32")
    fl.set_num_threads(4)
    fl.cross_entropy.value_and_grad(x, t)
    for attempt in range(times):
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            start_daemons(lambda: fl.cross_entropy.value_and_grad(x, t))
            time.sleep(0.01 * (attempt % 7))
            sys.exit(0)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, f"attempt {attempt}: {status}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process")
def test_twenty_exits_with_daemon_threads():
    run_child("child_daemons_at_exit", 20)


def child_exit_uncompiled():
    fl.set_num_threads(3)
    x, t = data("mse_loss", (500, 1000), "float32")
    threading.Thread(target=lambda: fl.mse_loss(x, t), daemon=True).start()
    time.sleep(1.5)


def test_exit_while_compiling():
    run_child("child_exit_uncompiled", FASTLOSS_CACHE="0")
