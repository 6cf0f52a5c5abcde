"""Threads: the same bits from any number of them, beside other libraries' threads, and on Ctrl-C.

What could crash or hang runs in a process of its own: a function ``child_...`` of this file, with warnings as errors.
"""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import children
import numpy as np
import pytest
from workloads import bits, data, torch_bits, torch_workload, workload

import fastloss as fl
from fastloss import _openmp, _threads

THREADS = (2, 3, 8)


run_child = functools.partial(children.run_child, __name__, ())


def loads(layer):
    """Whether Numba's threading layer of that name can be loaded here."""
    module = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}[layer]
    code = f"import numba.np.ufunc.{module}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=100).returncode == 0


pytestmark = pytest.mark.usefixtures("same_settings")


# The same bits from any number of threads.

SHAPES = {
    "rows": ("cross_entropy", (1501, 130), "index"),
    "lanes": ("cross_entropy", (30011, 10), "index"),
    "image": ("cross_entropy", (5, 21, 67, 65), "index"),
    "image-many": ("cross_entropy", (5, 100, 37, 31), "index"),
    "soft-rows": ("cross_entropy", (701, 200), "probability"),
    "soft-lanes": ("cross_entropy", (20011, 7), "probability"),
    "soft-image": ("cross_entropy", (3, 12, 67, 65), "probability"),
    "one-row": ("cross_entropy", (1, 4_000_000), "index"),
    "nll": ("nll_loss", (9001, 70), "index"),
    "nll-image": ("nll_loss", (5, 21, 67, 65), "index"),
    "bce": ("binary_cross_entropy", (401, 1003), ""),
    "bce-logits": ("binary_cross_entropy_with_logits", (401, 1003), ""),
    "mse": ("mse_loss", (401, 1003), ""),
    "mse-large": ("mse_loss", (4_000_003,), ""),
}
OPTIONS = {
    "cross_entropy": [{}, {"label_smoothing": 0.1, "z_loss": 0.01}],
    "nll_loss": [{}],
    "binary_cross_entropy": [{}],
    "binary_cross_entropy_with_logits": [{"label_smoothing": 0.1}],
    "mse_loss": [{}],
}


def numpy_results(function, x, t, options):
    results = []
    for reduction in ("mean", "sum"):
        value, grad = function.value_and_grad(x, t, reduction=reduction, **options)
        alone = function(x, t, reduction=reduction, **options)
        assert bits(value) == bits(alone), f"value_and_grad has {value!r}, the function {alone!r}"
        assert bits(grad) == bits(function.grad(x, t, reduction=reduction, **options))
        results += [value, grad]
    losses, grad = function.value_and_grad(x, t, reduction="none", **options)
    assert bits(losses) == bits(function(x, t, reduction="none", **options))
    assert np.isfinite(np.float64(results[0]))
    return bits(*results, losses, grad)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("case", SHAPES)
def test_bits_do_not_depend_on_threads(case, dtype):
    loss, shape, target = SHAPES[case]
    x, t = data(loss, shape, dtype, target)
    function = getattr(fl, loss)
    for options in OPTIONS[loss][: 1 if x.size > 3_000_000 else None]:
        fl.set_num_threads(1)
        serial = numpy_results(function, x, t, options)
        for threads in THREADS:
            fl.set_num_threads(threads)
            assert numpy_results(function, x, t, options) == serial, f"{threads} threads, {options}"


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("case", [case for case in SHAPES if "large" not in case])
def test_autograd_bits_do_not_depend_on_threads(case, dtype):
    torch = pytest.importorskip("torch")
    loss, shape, target = SHAPES[case]
    x, t = data(loss, shape, "float32", target)
    x = torch.from_numpy(x.astype(np.float32)).to(getattr(torch, dtype)).requires_grad_()
    t = torch.from_numpy(t)
    t = t.to(x.dtype) if t.is_floating_point() else t
    function = getattr(fl, loss)
    before = torch.get_num_threads()

    def results():
        fused = function.value_and_grad(x.detach(), t, reduction="sum")
        value = function(x, t, reduction="sum")
        (grad,) = torch.autograd.grad(value, x)
        alone = function(x.detach(), t, reduction="sum")
        assert torch_bits(value) == torch_bits(alone) == torch_bits(fused[0])
        return torch_bits(value, grad, *fused)

    try:
        torch.set_num_threads(8)
        fl.set_num_threads(1)
        serial = results()
        (_, grad, _, fused_grad) = serial
        assert grad == fused_grad
        for threads in THREADS:
            fl.set_num_threads(threads)
            assert results() == serial, f"{threads} threads"
    finally:
        torch.set_num_threads(before)


def test_workers_do_work():
    # Otherwise the tests above compare serial with serial.
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("needs /proc")
    fl.set_num_threads(3)
    x, t = data("cross_entropy", (2000, 1000), "float32")
    ticks, deadline = 0, time.monotonic() + 30
    while ticks < 3 and time.monotonic() < deadline:
        for _ in range(20):
            fl.cross_entropy(x, t)
        ticks = 0
        for thread in threading.enumerate():
            if thread.name.startswith("fastloss-"):
                with open(f"/proc/self/task/{thread.native_id}/stat") as file:
                    ticks += int(file.read().rsplit(")")[-1].split()[11])
    assert ticks >= 3


def processor_time(threads):
    """Nanoseconds that these threads of the process have run."""
    return sum(int(pathlib.Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[0]) for thread in threads)


def child_team():
    import torch

    torch.set_num_threads(3)
    fl.set_num_threads(3)
    x, t = data("cross_entropy", (2000, 1000), "float32")
    expected = bits(fl.cross_entropy.value_and_grad(x, t))
    ours = {str(thread.native_id) for thread in threading.enumerate()}
    assert len(ours) == 3, "NumPy's arrays have threads of our own"
    leaf, target = torch.from_numpy(x), torch.from_numpy(t)
    leaf.relu()  # torch's threads begin
    theirs = set(os.listdir("/proc/self/task")) - ours
    before = processor_time(theirs), processor_time(ours - {str(threading.get_native_id())})
    deadline = time.monotonic() + 30
    while processor_time(theirs) - before[0] < 50_000_000 and time.monotonic() < deadline:
        found = fl.cross_entropy.value_and_grad(leaf, target)
        assert bits(*(part.numpy() for part in found)) == expected
    assert processor_time(theirs) - before[0] >= 50_000_000
    assert processor_time(ours - {str(threading.get_native_id())}) - before[1] < 5_000_000
    assert fl.info()["threading"] == "own pool, 2 workers; tensors on the OpenMP threads of torch"
    # Three of torch's eight threads do it, if that is what may be used; nor does the team of torch shrink.
    torch.set_num_threads(8)
    leaf.relu()
    size = len(os.listdir("/proc/self/task"))
    assert bits(*(part.numpy() for part in fl.cross_entropy.value_and_grad(leaf, target))) == expected
    assert len(os.listdir("/proc/self/task")) == size
    seen = []
    for _ in range(4):  # each Python thread has a team of its own
        thread = threading.Thread(target=lambda: seen.append(float(fl.cross_entropy(leaf, target))))
        thread.start()
        thread.join()
    assert len(set(seen)) == 1


def test_tensors_run_on_the_threads_of_torch():
    pytest.importorskip("torch")
    if not _openmp.gomp_parallel():
        pytest.skip("torch has no GNU OpenMP here")
    run_child("child_team")


def child_kept_off():
    fl.set_num_threads(3)
    allowed = os.sched_getaffinity(0)
    x, t = data("cross_entropy", (2000, 1000), "float32")
    expected = bits(fl.cross_entropy.value_and_grad(x, t))
    for _ in range(3):
        time.sleep(0.01)  # longer than workers spin
        assert bits(fl.cross_entropy.value_and_grad(x, t)) == expected
    for thread in threading.enumerate():
        if thread.name.startswith("fastloss-"):
            left = os.sched_getaffinity(thread.native_id)
            assert left < allowed and len(left) == len(allowed) - 1
    assert os.sched_getaffinity(0) == allowed
    # A caller that may use one processor only leaves them where they are.
    os.sched_setaffinity(0, {min(allowed)})
    time.sleep(0.01)
    assert bits(fl.cross_entropy.value_and_grad(x, t)) == expected


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two processors"
)
def test_workers_keep_off_their_callers_processor():
    run_child("child_kept_off")


# Small calls in a row.


def test_the_rhythm_of_small_calls(monkeypatch):
    now = 0
    monkeypatch.setattr(_threads.time, "perf_counter_ns", lambda: now)
    rhythm = _threads._Rhythm()
    calls, pause = _threads._CALLS_IN_A_ROW, _threads._PAUSE_NANOSECONDS

    def follow(gap):
        nonlocal now
        now += gap
        return rhythm.hot(8_000)

    assert not any(follow(10_000) for _ in range(calls))
    assert all(follow(gap) for gap in (10_000, 8_000 + pause - 1, 100))
    assert not any(follow(8_000 + pause) for _ in range(3 * calls))  # a worker would sleep again each time
    assert not any(follow(10_000) for _ in range(calls - 1))
    assert follow(10_000)


def child_follows():
    class Rhythm:
        def hot(self, nanoseconds):
            return follows

    follows, workers = False, ()
    _threads.rhythm = Rhythm()
    fl.set_num_threads(2)
    x, t = data("cross_entropy", (256, 100), "float32", "index")
    expected = bits(fl.cross_entropy.value_and_grad(x, t))

    def work(calls, pause):
        before = processor_time(workers)
        for _ in range(calls):
            time.sleep(pause)
            assert bits(fl.cross_entropy.value_and_grad(x, t)) == expected
        time.sleep(0.01)
        return processor_time(workers) - before

    work(3, 0.0)
    workers = [thread.native_id for thread in threading.enumerate() if thread.name.startswith("fastloss-")]
    assert len(workers) == 1
    assert work(50, 0.002) == 0  # asleep, and not worth waking
    follows = True
    assert work(50, 0.002) > 0
    follows = False
    work(1, 0.0)
    assert work(50, 0.002) == 0


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_sleepers_are_woken_for_calls_in_a_row():
    run_child("child_follows")


# Many threads, and other libraries'.


def child_concurrent(seconds, with_prange, with_torch):
    import numba

    work = workload() + (torch_workload() if with_torch else [])
    fl.set_num_threads(1)
    expected = {name: call() for name, call in work}
    fl.set_num_threads(4)
    for name, call in work:
        assert call() == expected[name], name
    stop, failures, rounds = threading.Event(), [], []

    def guarded(function):
        def body(*arguments):
            try:
                while not stop.is_set():
                    function(*arguments)
                    rounds.append(function.__name__)
            except BaseException as error:
                failures.append(repr(error))
                raise

        return body

    def losses(shift):
        for name, call in work[shift:] + work[:shift]:
            if call() != expected[name]:
                raise AssertionError(f"{name} has other bits")

    @numba.njit(parallel=True)
    def prange_sum(a):
        total = 0.0
        for i in numba.prange(a.size):
            total += a[i]
        return total

    ones = np.ones(200_000)
    square = np.random.default_rng(0).standard_normal((300, 300))
    product = square @ square

    def others_prange():
        if prange_sum(ones) != ones.size:
            raise AssertionError("prange")

    def others_blas():
        if not np.allclose(square @ square, product):
            raise AssertionError("blas")

    bodies = [(losses, (i % len(work),)) for i in range(8)] + [(others_blas, ())]
    if with_prange:
        others_prange()
        bodies.append((others_prange, ()))
    threads = [threading.Thread(target=guarded(f), args=arguments) for f, arguments in bodies]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert rounds.count("losses") >= 8 and rounds.count("others_blas") >= 1
    assert not with_prange or rounds.count("others_prange") >= 1


@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_eight_threads_beside_other_libraries(layer):
    if not loads(layer):
        pytest.skip(f"Numba's threading layer {layer} does not load here")
    run_child("child_concurrent", 2, True, False, NUMBA_THREADING_LAYER=layer)


def test_eight_threads_with_torch():
    pytest.importorskip("torch")
    run_child("child_concurrent", 2, False, True)


def child_first_calls():
    # The very first calls, from eight threads at once: imports, compilation and the pool's start.
    fl.set_num_threads(4)
    work = workload()
    results, barrier = [None] * 8, threading.Barrier(8)

    def body(i):
        barrier.wait()
        results[i] = {name: call() for name, call in (work if i % 2 else work[::-1])}

    threads = [threading.Thread(target=body, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] is not None and all(result == results[0] for result in results)


def test_first_calls_from_eight_threads():
    run_child("child_first_calls")


# The GIL and signals. A long call without much memory: one row, read again and again.


def long_call(rows, classes=1000):
    x = np.broadcast_to(np.linspace(-1, 1, classes), (rows, classes))
    t = np.zeros(rows, np.int64)
    return lambda: fl.cross_entropy(x, t)


def calibrated(seconds):
    """A call that takes at least about ``seconds``."""
    rows = 20_000
    while True:
        call = long_call(rows)
        call()
        start = time.perf_counter()
        call()
        took = time.perf_counter() - start
        if took >= seconds:
            return call, took
        rows = int(rows * max(1.5, 1.3 * seconds / took))


def test_python_threads_go_on_during_a_call():
    fl.set_num_threads(1)  # one core is left for the other thread
    call, _ = calibrated(0.4)
    counter, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counter[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        best = 0.0
        for _ in range(5):
            before, start = counter[0], time.perf_counter()
            time.sleep(0.2)
            alone = (counter[0] - before) / (time.perf_counter() - start)
            before, start = counter[0], time.perf_counter()
            call()
            during = (counter[0] - before) / (time.perf_counter() - start)
            best = max(best, during / alone)
            if best > 0.1:
                break
    finally:
        stop.set()
        thread.join()
    assert best > 0.1, f"another thread ran at {best:.3f} of its speed"


def child_interrupt():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
    for threads in (1, 4):
        fl.set_num_threads(threads)
        call, _ = calibrated(0.5)
        expected = bits(call())
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        interrupted = False
        try:
            timer.start()
            call()
            for _ in range(1000):  # the signal came late: it interrupts this
                time.sleep(0.01)
        except KeyboardInterrupt:
            interrupted = True
        timer.join()
        assert interrupted
        assert bits(call()) == expected
        x, t = data("mse_loss", (500, 1000), "float32")
        assert np.isfinite(fl.mse_loss(x, t))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_keyboard_interrupt():
    run_child("child_interrupt")
