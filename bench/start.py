"""What a program pays before the first loss: import, and the first call with a cold and with a warm disk cache.

    python bench/start.py [--quick]

Every number is the median of fresh processes, the compared imports in turn.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from machine import own_process

#: import: fastloss over numba; cold and warm: seconds of the first call alone.
LIMITS = {"import_ratio": 1.3, "first_call_cold": 2.0, "first_call_warm": 0.4}

_IMPORT = """
import sys, time
start = time.perf_counter()
import {name}
print(time.perf_counter() - start)
print("torch" in sys.modules)
"""
_FIRST_CALL = """
import time
import numpy as np
import fastloss as fl
x, y = np.ones((256, 100), np.float32), np.zeros(256, np.int64)
out = np.empty_like(x)
start = time.perf_counter()
fl.cross_entropy.value_and_grad(x, y, out=out)
print(time.perf_counter() - start)
"""


def measure(quick: bool = False) -> dict[str, Any]:
    repeats = 3 if quick else 9
    imports: dict[str, list[float]] = {"numba": [], "fastloss": []}
    torch_imported = False
    for _ in range(repeats):
        for name, seconds in imports.items():
            lines = _run(_IMPORT.format(name=name))
            seconds.append(float(lines[0]))
            torch_imported |= name == "fastloss" and lines[1] == "True"
    cold, warm = [], []
    for _ in range(1 if quick else 5):
        with tempfile.TemporaryDirectory() as directory:
            cold.append(_first_call(directory))
            warm += [_first_call(directory) for _ in range(2)]
    medians = {name: statistics.median(seconds) for name, seconds in imports.items()}
    return {
        "import_numba": medians["numba"],
        "import_fastloss": medians["fastloss"],
        "import_ratio": medians["fastloss"] / medians["numba"],
        "torch_imported": torch_imported,
        "first_call_cold": statistics.median(cold),
        "first_call_warm": statistics.median(warm),
        "limits": LIMITS,
    }


def _first_call(cache: str) -> float:
    return float(_run(_FIRST_CALL, FASTLOSS_CACHE_DIR=cache)[0])


def _run(code: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=own_process(**environment),
        cwd=tempfile.gettempdir(),  # "-c" puts the current folder on the path, where kernels/ is ours
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv), indent=1))
