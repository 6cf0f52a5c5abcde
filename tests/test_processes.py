"""Processes: fork at any moment, multiprocessing, and what PyTorch builds on them.

Everything runs in a process of its own, a function ``child_...`` of this file: a deadlock is a failure, not a hang.
"""

import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings

import children
import numpy as np
import pytest

import fastloss as fl

HERE = os.path.dirname(os.path.abspath(__file__))
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


#: The warning against fork beside threads (Python 3.12) is what these tests are about.
run_child = functools.partial(children.run_child, __name__, ("This process",))


def results():
    """The bits of some losses, all large enough to be shared out."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 1000), np.float32)
    labels = rng.integers(0, 1000, 400)
    few = rng.standard_normal((30000, 10), np.float32)
    found = [
        *fl.cross_entropy.value_and_grad(x, labels),
        *fl.cross_entropy.value_and_grad(few, rng.integers(0, 10, 30000)),
        *fl.mse_loss.value_and_grad(x, x[::-1]),
        fl.binary_cross_entropy_with_logits(x, (x > 0).astype(np.float32)),
    ]
    return b"".join(np.asarray(a).tobytes() for a in found)


def serial_results():
    fl.set_num_threads(1)
    expected = results()
    fl.set_num_threads(4)
    return expected


def workers():
    return sum(thread.name.startswith("fastloss-") for thread in threading.enumerate())


def fork(body):
    """The number of a child that exits with 0 if ``body`` returns True; SIGALRM ends it if it hangs."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            signal.alarm(30)
            code = 0 if body() else 4
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def wait(pid, what):
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    meaning = {4: "other bits", -signal.SIGALRM: "a deadlock", 3: "an exception"}.get(code, f"exit code {code}")
    assert code == 0, f"{what}: {meaning}"


def child_fork_before_and_after():
    wait(fork(lambda: serial_results() == results()), "fork before anything")
    expected = serial_results()
    wait(fork(lambda: results() == expected and workers() == 3), "fork before the first shared call")
    assert results() == expected and workers() == 3
    for attempt in range(3):
        wait(fork(lambda: workers() == 0 and results() == expected and workers() == 3), f"fork {attempt} after calls")
        assert results() == expected

    def grandchild():
        wait(fork(lambda: results() == expected), "fork in a fork")
        return results() == expected

    wait(fork(grandchild), "fork that forks")


@needs_fork
def test_fork_before_and_after_calls():
    run_child("child_fork_before_and_after")


def child_fork_after_tensors():
    # GNU OpenMP, whose threads these calls use, would wait for them for ever in a child.
    import torch

    x, t = torch.randn(2000, 1000, requires_grad=True), torch.randint(0, 1000, (2000,))

    def step():
        (grad,) = torch.autograd.grad(fl.cross_entropy(x, t), x)
        return grad.numpy().tobytes()

    expected = step()
    for attempt in range(3):
        wait(fork(lambda: step() == expected), f"fork {attempt} after calls")
        assert step() == expected


@needs_fork
def test_fork_after_calls_on_tensors():
    pytest.importorskip("torch")
    run_child("child_fork_after_tensors")


def child_fork_to_the_end():
    # The child leaves as a program does, not by os._exit.
    expected = serial_results()
    assert results() == expected
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        assert results() == expected
        sys.exit(0)
    wait(pid, "child that ends normally")


@needs_fork
def test_forked_child_ends_normally():
    run_child("child_fork_to_the_end")


def child_fork_inside_a_kernel(attempts):
    expected = serial_results()
    x = np.broadcast_to(np.linspace(-1, 1, 1000), (100_000, 1000))
    t = np.zeros(100_000, np.int64)
    stop, started = threading.Event(), threading.Event()

    def busy():
        while not stop.is_set():
            fl.cross_entropy(x, t)
            started.set()

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    started.wait()
    try:
        for attempt in range(attempts):
            time.sleep(0.003 * (attempt % 5))
            wait(fork(lambda: results() == expected), f"attempt {attempt}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert results() == expected


@needs_fork
def test_fork_while_another_thread_is_inside_a_kernel():
    run_child("child_fork_inside_a_kernel", 10)


def child_fork_while_starting(delays):
    # Imports, compilation and the start of the pool, all in another thread at the time of the fork.
    fl.set_num_threads(3)
    x = np.linspace(-1, 1, 400_000, dtype=np.float32)
    compiled = []

    def first_calls():
        for dtype in (np.float32, np.float64):
            compiled.append(fl.mse_loss(x.astype(dtype), x.astype(dtype)[::-1]))

    thread = threading.Thread(target=first_calls)
    thread.start()
    pids = []
    for delay in delays:
        time.sleep(delay)
        pids.append(fork(lambda: 0 < fl.mse_loss(x, x[::-1]) < 2))
    for number, pid in enumerate(pids):
        wait(pid, f"fork number {number}")
    thread.join()
    assert len(compiled) == 2


@needs_fork
@pytest.mark.parametrize("delays", [(0.0, 0.2), (0.5, 0.7), (1.5, 0.5)], ids=str)
def test_fork_while_another_thread_compiles(delays):
    run_child("child_fork_while_starting", delays, FASTLOSS_CACHE="0")


def child_fork_while_another_library_compiles():
    import numba

    expected = serial_results()
    stop, started = threading.Event(), threading.Event()

    def compiles():
        while not stop.is_set():
            started.set()
            numba.njit(lambda a: (a * 2.0).sum())(np.ones(3))

    thread = threading.Thread(target=compiles)
    thread.start()
    started.wait()
    x = np.ones(400_000)
    try:
        for attempt in range(3):
            time.sleep(0.1)
            wait(fork(lambda: results() == expected), f"attempt {attempt}")
        wait(fork(lambda: fl.mse_loss(x, -x) == 4.0), "a kernel that the child must load")
    finally:
        stop.set()
        thread.join()


@needs_fork
def test_fork_while_another_library_compiles():
    run_child("child_fork_while_another_library_compiles")


def child_fork_from_a_thread():
    expected = serial_results()
    assert results() == expected
    failures = []

    def body():
        try:
            wait(fork(lambda: results() == expected), "fork from a thread")
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@needs_fork
def test_fork_from_threads_at_once():
    run_child("child_fork_from_a_thread")


def task(number):
    fl.set_num_threads(3)
    return number, results()


def child_multiprocessing(method):
    expected = serial_results()
    assert results() == expected
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(task, range(4))
    assert [number for number, _ in found] == [0, 1, 2, 3]
    assert all(result == expected for _, result in found)
    assert results() == expected


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing(method):
    run_child("child_multiprocessing", method)


# PyTorch.


class Samples:
    """A dataset that computes losses in the worker."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        import torch

        rng = np.random.default_rng(index)
        x, t = rng.standard_normal((300, 1000), np.float32), rng.integers(0, 1000, 300)
        value, grad = fl.cross_entropy.value_and_grad(x, t)
        leaf = torch.from_numpy(x).requires_grad_()
        loss = fl.cross_entropy(leaf, torch.from_numpy(t))
        loss.backward()
        return torch.tensor([float(value), float(loss.detach())]), torch.from_numpy(grad), leaf.grad


def collate(samples):
    import torch

    values = torch.stack([s[0] for s in samples])
    grads = torch.stack([torch.stack(s[1:]) for s in samples])
    return values, grads, fl.mse_loss(grads, torch.zeros_like(grads), reduction="sum")


def child_data_loader(method):
    import torch

    samples = Samples()
    fl.set_num_threads(1)
    expected = [collate([samples[2 * i], samples[2 * i + 1]]) for i in range(4)]
    fl.set_num_threads(4)
    collate([samples[0]])
    loader = torch.utils.data.DataLoader(
        samples, batch_size=2, num_workers=2, collate_fn=collate, multiprocessing_context=method, timeout=60
    )
    found = list(loader)
    assert len(found) == 4
    for got, want in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
        assert torch.equal(got[0][:, 0], got[0][:, 1])


@pytest.mark.parametrize("method", [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()])
def test_data_loader(method):
    pytest.importorskip("torch")
    run_child("child_data_loader", method)


def ddp_gradients(loss):
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 300))
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    generator = torch.Generator().manual_seed(torch.distributed.get_rank())
    for _ in range(2):
        parallel.zero_grad()
        x = torch.randn(256, 32, generator=generator)
        y = torch.randint(0, 300, (256,), generator=generator)
        loss(parallel(x), y, label_smoothing=0.1).backward()
    return torch.cat([p.grad.reshape(-1) for p in model.parameters()])


def ddp_rank(rank, path):
    import torch
    import torch.distributed as dist

    warnings.simplefilter("ignore")  # torch's own
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    try:
        fl.set_num_threads(2)
        ours = ddp_gradients(fl.cross_entropy)
        theirs = ddp_gradients(torch.nn.functional.cross_entropy)
        assert float(theirs.abs().max()) > 1e-3
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-7)
        gathered = [torch.empty_like(ours) for _ in range(2)]
        dist.all_gather(gathered, ours)
        assert torch.equal(*gathered)
        print("rank done", flush=True)
    finally:
        dist.destroy_process_group()


def child_ddp(path):
    import torch.multiprocessing

    torch.multiprocessing.spawn(ddp_rank, args=(path,), nprocs=2)


def test_distributed_data_parallel(tmp_path):
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    output = run_child("child_ddp", str(tmp_path / "init"), GLOO_SOCKET_IFNAME="lo", TORCH_CPP_LOG_LEVEL="ERROR")
    assert output.count("rank done") == 2
