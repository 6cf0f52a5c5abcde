"""The OpenMP threads of torch, which share the calls of its tensors.

After each of torch's operations its idle threads spin, for some 6 ms with GNU OpenMP, and in a training loop every loss
comes right after such an operation. Threads of our own would share the processors with them: they get their turn when
the scheduler takes it from a spinning one, up to 3 ms later, and until then a call has one thread (4096 x 1000 after
``relu_`` on two cores: 1.4 ms in place of 0.85). So those that spin already do the work. The price is torch's own:
a team is complete only when its last thread has come, however busy the machine is. Calls on NumPy's arrays, whose
threads are ours, do not wait for latecomers.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

_forked = False


def gomp_parallel() -> int:
    """The address of ``GOMP_parallel`` in the GNU OpenMP that torch uses, or 0.

    0 too in a forked child, where GNU OpenMP waits for ever for threads that only the parent has.
    """
    return 0 if _forked else _find()


@functools.cache
def _find() -> int:
    import torch

    if not sys.platform.startswith("linux") or "backend: OpenMP" not in torch.__config__.parallel_info():
        return 0
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(maxsplit=5)[-1].strip() for line in maps if ".so" in line}
        names = {path: os.path.basename(path) for path in paths}
        # MKL's and LLVM's OpenMP take GNU's calls, and perhaps torch's; which of several is torch's cannot be told.
        if any(name.startswith(("libiomp", "libomp")) for name in names.values()):
            return 0
        found = [path for path, name in names.items() if name.startswith("libgomp")]
        own = [path for path in found if path.startswith(os.path.dirname(torch.__file__))] or found
        if len(own) != 1:
            return 0
        return ctypes.cast(ctypes.CDLL(own[0]).GOMP_parallel, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


def _after_fork_in_child() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
