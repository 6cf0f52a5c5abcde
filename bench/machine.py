"""What the numbers were measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

PACKAGES = ("fastloss", "numba", "llvmlite", "numpy", "torch", "jax", "optax", "scikit-learn")
#: Assumed where the system does not say: more than most processors have, so that buffers are cold.
LAST_CACHE = 64 << 20
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def own_process(**more: str) -> dict[str, str]:
    """The environment of a process that is timed from its start: modules have bytecode, as installed ones do."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | more


def describe() -> dict[str, Any]:
    import torch

    import fastloss as fl

    return {
        "processor": _processor(),
        "cores": fl.info()["cpus_available"],
        "vector_bits": fl.info()["vector_bits"],
        "last_cache_bytes": last_cache(),
        "threads": {"fastloss": fl.get_num_threads(), "torch": torch.get_num_threads()},
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def last_cache() -> int:
    """Bytes of the largest cache of the first processor."""
    sizes = [LAST_CACHE]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text().strip()
        if text[:-1].isdigit() and text[-1] in _UNITS:
            sizes.append(int(text[:-1]) * _UNITS[text[-1]])
    return max(sizes[1:], default=LAST_CACHE)


class Neighbours:
    """What other processes do meanwhile: a benchmark beside them measures them too."""

    def __init__(self) -> None:
        self._start = self._now()

    def share(self) -> float | None:
        """Of all processors' time since the beginning; None where the system does not say."""
        if self._start is None or (now := self._now()) is None:
            return None
        busy, own, clock = (b - a for a, b in zip(self._start, now, strict=True))
        return max(0.0, busy - own) / (clock * (os.cpu_count() or 1))

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        try:
            fields = [int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return None
        busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")  # all but idle and waiting for disks
        return busy, time.process_time(), time.perf_counter()


def settle() -> None:
    """Wait until all other threads of this process sleep.

    Threads of OpenMP spin after a parallel region, those of PyTorch and scikit-learn for some 10 ms, and whoever comes
    next would share the processors with them. The process's clock does not tell: what another thread takes is added to
    it at the next tick only.
    """
    for _ in range(50):
        time.sleep(2e-3)
        if not _others_run():
            return


def _others_run() -> bool:
    own = str(threading.get_native_id())
    try:
        return any(_state(thread) == "R" for thread in os.listdir("/proc/self/task") if thread != own)
    except OSError:  # no Linux: longer than they spin
        time.sleep(2e-2)
        return False


def _state(thread: str) -> str:
    try:
        return Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:  # it has ended since
        return ""


def rounded(value: Any) -> Any:
    """Results for JSON: five digits are plenty."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    import llvmlite.binding as llvm

    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({llvm.get_host_cpu_name()})"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
