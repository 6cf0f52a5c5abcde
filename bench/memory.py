"""How much memory a step takes beyond its arguments, in units of the input's size.

    python bench/memory.py

With ``out`` nothing of the input's size may be allocated, without it one gradient, through autograd likewise.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastloss as fl

SHAPE = (2048, 32000)
_PAGE = 4096
#: What the step may take at most; a little more than 0 and 1 for the interpreter and for threads' stacks.
LIMITS = {"value": 0.02, "value_and_grad(out=)": 0.02, "value_and_grad": 1.02, "autograd": 1.02}


def measure() -> dict[str, dict[str, float]]:
    """For each kind of step: resident memory at its peak, and what NumPy allocated, over the input's bytes."""
    import torch

    x = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    y = np.random.default_rng(1).integers(0, SHAPE[1], SHAPE[0])
    out = np.ones_like(x)
    leaf, target = torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)

    def autograd() -> Any:
        loss = fl.cross_entropy(leaf, target)
        loss.backward()
        leaf.grad = None

    steps: dict[str, Callable[[], Any]] = {
        "value": lambda: fl.cross_entropy(x, y),
        "value_and_grad(out=)": lambda: fl.cross_entropy.value_and_grad(x, y, out=out),
        "value_and_grad": lambda: fl.cross_entropy.value_and_grad(x, y),
        "autograd": autograd,
    }
    found = {}
    for name, step in steps.items():
        step()  # compiles, starts threads
        found[name] = {
            "resident": resident_growth(step) / x.nbytes,
            "numpy": _traced_peak(step) / x.nbytes,
            "limit": LIMITS[name],
        }
    return found


def _traced_peak(step: Callable[[], Any]) -> int:
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def resident_growth(step: Callable[[], Any]) -> int:
    """Peak of the resident memory during a step over that before it."""
    before = _status("VmRSS")
    if _reset_peak():
        step()
        return max(0, _status("VmHWM") - before)
    # Not allowed to reset the peak: look often, from another thread. Kernels release the GIL.
    peak, done = before, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, _status("VmRSS"))
            time.sleep(2e-4)

    watcher = threading.Thread(target=watch)
    watcher.start()
    step()
    done.set()
    watcher.join()
    return max(0, peak - before)


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return _status("VmHWM") - _status("VmRSS") < 16 * _PAGE


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in /proc/self/status")


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        sys.exit("bench/memory.py reads /proc: Linux only")
    print(json.dumps(measure(), indent=1))
